"""What guests of a development cluster boot with: the kernel of the shipped OS definition."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Final

import trio

from gantry.cli.devcluster.layout import DevClusterError
from gantry.runtime.shipped import OS_FOLDER

BUILD_SECONDS_MAX: Final = 120.0
"""Unpacking a kernel and packing an initrd takes a second."""


async def guest_parameters(say: Callable[[str], None]) -> list[str]:
    """Make kernel and initrd of the ``busybox`` guests; return options for ``gnt-cluster init``.

    Raises:
        DevClusterError: packages are missing; the text names them.
    """
    say("making the kernel and initrd of the busybox guests")
    with trio.fail_after(BUILD_SECONDS_MAX):
        ended = await trio.run_process(
            [str(OS_FOLDER / "busybox/boot-files"), "--build"],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = ended.stdout.decode(errors="replace").strip()
    if ended.returncode:
        raise DevClusterError(text)
    values = ",".join(line.replace(",", r"\,") for line in text.splitlines())
    return ["-H", f"kvm:{values}"]
