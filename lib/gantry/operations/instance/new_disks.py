"""The disks of an instance that is to be made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Final, Literal

from attrs import frozen

from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import DiskUuid, NodeUuid
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.disk import Disk, FileId
from gantry.protocols.objects.vocabulary import DiskMode
from gantry.protocols.opcodes.instance import OpInstanceCreate
from gantry.protocols.values import DISKS_MAX
from gantry.protocols.wconfd import Want

FileBased = Literal["file", "sharedfile"]
KNOWN_KEYS: Final = frozenset({"size", "mode", "name", "spindles"})
ADOPTING: Final = frozenset({"adopt", "vg", "metavg", "provider", "access"})


@frozen
class Template:
    """Where the disks of an instance go."""

    name: Literal["diskless"] | FileBased
    folder: PurePosixPath
    """Of no meaning for a diskless instance."""


def choose_template(opcode: OpInstanceCreate, cluster: Cluster) -> Template:
    """Return the disk template and the instance's folder.

    Raises:
        OpPrereqError: the template is not enabled, or has no driver.
    """
    name = opcode.disk_template
    if name is None:
        name = cluster.enabled_disk_templates[0] if opcode.disks else "diskless"
    if name not in cluster.enabled_disk_templates:
        enabled = ", ".join(cluster.enabled_disk_templates)
        raise OpPrereqError(f"disk template {name} is not enabled on this cluster; use {enabled}")
    match name:
        case "diskless":
            if opcode.disks:
                raise OpPrereqError("a diskless instance has no disks; leave them out (--disk)")
            return Template("diskless", PurePosixPath("/"))
        case "file" | "sharedfile":
            if not opcode.disks:
                raise OpPrereqError("give the instance a disk (--disk 0:size=...), or -t diskless")
            return Template(name, _folder(opcode, cluster, name))
        case _:
            raise OpPrereqError(f"disk template {name} is not available in this version")


def _folder(opcode: OpInstanceCreate, cluster: Cluster, template: FileBased) -> PurePosixPath:
    base = cluster.file_storage_dir if template == "file" else cluster.shared_file_storage_dir
    if not base:
        raise OpPrereqError(f"the cluster has no folder for disks of template {template}")
    below = PurePosixPath(opcode.file_storage_dir or "")
    if below.is_absolute() or ".." in below.parts:
        text = f"the folder {below} must be relative, and below the cluster's folder {base}"
        raise OpPrereqError(text)
    return PurePosixPath(base) / below / opcode.instance_name.lower()


def disk_wants(opcode: OpInstanceCreate) -> tuple[Want, ...]:
    """Return what the disks that are asked for need to be told apart: see :func:`new_disks`.

    Raises:
        OpPrereqError: there are too many.
    """
    if len(opcode.disks) > DISKS_MAX:
        raise OpPrereqError(f"an instance has at most {DISKS_MAX} disks")
    return (Want("uuid"),) * (2 * len(opcode.disks))


def new_disks(
    opcode: OpInstanceCreate,
    template: Template,
    primary: NodeUuid,
    uuids: Sequence[str],
    now: float,
) -> tuple[Disk, ...]:
    """Check the disks that are asked for and choose their places.

    Args:
        opcode: asks for them.
        template: where they go.
        primary: the node that they are on.
        uuids: as :func:`disk_wants` says, and reserved.
        now: the time.

    Raises:
        OpPrereqError: a parameter is wrong.
    """
    if template.name == "diskless":
        return ()
    count, disks = len(opcode.disks), []
    for index, given in enumerate(opcode.disks):
        _check_keys(index, given.keys())
        path = template.folder / f"{uuids[count + index]}.file.disk{index}"
        disks.append(
            Disk(
                dev_type=template.name,
                logical_id=FileId(opcode.file_driver or "loop", str(path)),
                nodes=(primary,),
                iv_name=f"disk/{index}",
                size=disk_size(index, given.get("size")),
                mode=_mode(index, given.get("mode", "rw")),
                name=_name(given.get("name")),
                params={},
                uuid=DiskUuid(uuids[index]),
                serial_no=1,
                ctime=now,
                mtime=now,
            )
        )
    return tuple(disks)


def _check_keys(index: int, keys: Iterable[str]) -> None:
    for key in sorted(keys):
        if key in ADOPTING:
            raise OpPrereqError(f"disk {index}: '{key}' is of no use to disks that are files")
        if key not in KNOWN_KEYS:
            raise OpPrereqError(f"disk {index}: unknown parameter '{key}'")


def disk_size(index: int, size: object) -> int:
    """Return the size of a disk in MiB.

    Raises:
        OpPrereqError: it is none.
    """
    if isinstance(size, str) and size.isascii() and size.isdigit():
        size = int(size)
    if type(size) is not int or size <= 0:
        raise OpPrereqError(f"disk {index}: give a size in MiB, got {size!r}")
    return size


def _mode(index: int, mode: object) -> DiskMode:
    if mode not in ("rw", "ro"):
        raise OpPrereqError(f"disk {index}: the mode is 'rw' or 'ro', got {mode!r}")
    return mode


def _name(name: object) -> str | None:
    return None if name in (None, "", "none") else str(name)
