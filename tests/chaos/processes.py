"""Processes of guests and jobs among others, told apart by their command lines."""

from __future__ import annotations

from pathlib import Path

from gantry.cli.devcluster.found import FoundProcess

PROGRAMS = ("kvm", "qemu-system-x86_64")
"""The names by which QEMU is called."""


def is_guest(process: FoundProcess) -> bool:
    """Whether a process is a guest; a QEMU that only tells its version is none."""
    program, *words = process.command.split()
    return Path(program).name in PROGRAMS and "-name" in words


def is_job(process: FoundProcess) -> bool:
    """Whether a process carries out a job."""
    return process.command.startswith("gantry-job")


def name_of(process: FoundProcess) -> str:
    """Return which instance a QEMU process is."""
    words = process.command.split()
    return words[words.index("-name") + 1]
