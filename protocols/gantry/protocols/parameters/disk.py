"""Disk parameters: per disk template, and per device of which its disks are made.

The configuration holds template parameters, of the cluster and of node groups. A mirrored disk
is made of three devices with parameters of their own (:func:`mirror_devices`); for all other
templates the device's parameters are the template's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from attrs import frozen

from gantry.protocols.objects.vocabulary import DiskTemplate
from gantry.protocols.parameters.parameter_set import ParameterSet
from gantry.protocols.values import NonNegative, Port, Positive

Access = Literal["kernelspace", "userspace"]
"""Whether a block device of the node stands between the hypervisor and the storage."""

NetworkProtocol = Literal["A", "B", "C"]
"""When DRBD calls a write done: written here, sent, or written on both sides."""


@frozen(kw_only=True)
class NoParameters(ParameterSet):
    """The template has none."""

    SUBJECT: ClassVar[str] = "disk parameters"
    SEPARATOR: ClassVar[str] = "-"


@frozen(kw_only=True)
class PlainParameters(ParameterSet):
    """Logical volumes."""

    SUBJECT: ClassVar[str] = "disk template plain"
    SEPARATOR: ClassVar[str] = "-"

    stripes: Positive = 1


@frozen(kw_only=True)
class DrbdParameters(ParameterSet):
    """Logical volumes mirrored between two nodes; rates are in KiB/s."""

    SUBJECT: ClassVar[str] = "disk template drbd"
    SEPARATOR: ClassVar[str] = "-"

    resync_rate: NonNegative = 61440
    data_stripes: Positive = 1
    disk_barriers: str = "n"
    """Which write barriers are off: ``n`` none, or some of the letters b, d, f."""
    meta_barriers: bool = False
    """Whether they are off for the meta data."""
    metavg: str = "xenvg"
    meta_stripes: Positive = 1
    disk_custom: str = ""
    """More options for the disk, and below for the connection, as DRBD takes them."""
    net_custom: str = ""
    protocol: NetworkProtocol = "C"
    dynamic_resync: bool = False
    """Whether the rate follows the load; then the limits below hold."""
    c_plan_ahead: NonNegative = 20
    c_fill_target: NonNegative = 0
    c_delay_target: NonNegative = 1
    c_max_rate: NonNegative = 61440
    c_min_rate: NonNegative = 4096


@frozen(kw_only=True)
class DrbdDeviceParameters(ParameterSet):
    """A DRBD device; its volumes have parameters of their own."""

    SUBJECT: ClassVar[str] = "DRBD device"
    SEPARATOR: ClassVar[str] = "-"

    resync_rate: NonNegative = 61440
    disabled_barriers: str = "n"
    disable_meta_flush: bool = False
    default_metavg: str = "xenvg"
    disk_custom: str = ""
    net_custom: str = ""
    protocol: NetworkProtocol = "C"
    dynamic_resync: bool = False
    c_plan_ahead: NonNegative = 20
    c_fill_target: NonNegative = 0
    c_delay_target: NonNegative = 1
    c_max_rate: NonNegative = 61440
    c_min_rate: NonNegative = 4096


@frozen(kw_only=True)
class ExternalParameters(ParameterSet):
    """Volumes of an external storage provider."""

    SUBJECT: ClassVar[str] = "disk template ext"
    SEPARATOR: ClassVar[str] = "-"

    access: Access = "kernelspace"


@frozen(kw_only=True)
class RbdParameters(ParameterSet):
    """Images in a Ceph pool."""

    SUBJECT: ClassVar[str] = "disk template rbd"
    SEPARATOR: ClassVar[str] = "-"

    pool: str = "rbd"
    access: Access = "kernelspace"


@frozen(kw_only=True)
class GlusterParameters(ParameterSet):
    """Image files in a Gluster volume."""

    SUBJECT: ClassVar[str] = "disk template gluster"
    SEPARATOR: ClassVar[str] = "-"

    host: str = "127.0.0.1"
    port: Port = 24007
    volume: str = "gv0"
    access: Access = "kernelspace"


TemplateParameters = (
    NoParameters
    | PlainParameters
    | DrbdParameters
    | ExternalParameters
    | RbdParameters
    | GlusterParameters
)

TEMPLATES: Final[Mapping[DiskTemplate, type[TemplateParameters]]] = {
    "diskless": NoParameters,
    "file": NoParameters,
    "sharedfile": NoParameters,
    "blockdev": NoParameters,
    "plain": PlainParameters,
    "drbd": DrbdParameters,
    "ext": ExternalParameters,
    "rbd": RbdParameters,
    "gluster": GlusterParameters,
}


@frozen
class MirrorDevices:
    """The devices of a mirrored disk."""

    mirror: DrbdDeviceParameters
    data: PlainParameters
    meta: PlainParameters


def mirror_devices(template: DrbdParameters) -> MirrorDevices:
    """Return the parameters of the three devices of which a mirrored disk is made."""
    return MirrorDevices(
        mirror=DrbdDeviceParameters(
            resync_rate=template.resync_rate,
            disabled_barriers=template.disk_barriers,
            disable_meta_flush=template.meta_barriers,
            default_metavg=template.metavg,
            disk_custom=template.disk_custom,
            net_custom=template.net_custom,
            protocol=template.protocol,
            dynamic_resync=template.dynamic_resync,
            c_plan_ahead=template.c_plan_ahead,
            c_fill_target=template.c_fill_target,
            c_delay_target=template.c_delay_target,
            c_max_rate=template.c_max_rate,
            c_min_rate=template.c_min_rate,
        ),
        data=PlainParameters(stripes=template.data_stripes),
        meta=PlainParameters(stripes=template.meta_stripes),
    )
