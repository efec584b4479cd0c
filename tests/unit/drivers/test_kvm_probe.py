"""What is read out of QEMU's and the kernel's texts, and the probe's tiny guest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gantry.drivers.hypervisor.kvm.probe import (
    GUEST_CODE,
    guest_rom,
    newest_q35,
    parse_version,
    recent_enough,
)
from gantry.drivers.hypervisor.kvm.processes import ProcessTimes, parse_stat

SOURCE = Path(__file__).parent / "probe_guest.S"


def test_version_and_machine() -> None:
    banner = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) Fabrice Bellard\n"
    assert parse_version(banner) == "7.2.22"
    assert parse_version("bash: no such file") is None
    machines = (
        "Supported machines are:\n"
        "pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-7.2)\n"
        "q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-7.2)\n"
        "pc-q35-7.2           Standard PC (Q35 + ICH9, 2009)\n"
    )
    assert newest_q35(machines) == "pc-q35-7.2"
    assert newest_q35("") is None


@pytest.mark.parametrize(("version", "enough"), [("6.2.0", False), ("7.0.0", True), ("10.1", True)])
def test_oldest_version(version: str, enough: bool) -> None:
    assert recent_enough(version) is enough


def test_the_rom_jumps_to_its_start() -> None:
    rom = guest_rom()
    assert len(rom) == 0x10000
    assert rom.startswith(GUEST_CODE)
    opcode, displacement = rom[0xFFF0], int.from_bytes(rom[0xFFF1:0xFFF3], "little")
    assert opcode == 0xE9  # jmp rel16
    assert (0xFFF3 + displacement) & 0xFFFF == 0


@pytest.mark.skipif(shutil.which("ld") is None, reason="binutils is not installed")
def test_the_guest_is_what_its_source_says(tmp_path: Path) -> None:
    subprocess.run(["as", "--64", "-o", "guest.o", str(SOURCE)], cwd=tmp_path, check=True)
    link = ["ld", "-Ttext=0", "--oformat", "binary", "-o", "guest", "guest.o"]
    subprocess.run(link, cwd=tmp_path, check=True)
    assert (tmp_path / "guest").read_bytes() == GUEST_CODE


def test_process_times() -> None:
    fields = ["S", "1", *("0",) * 9, "300", "42", *("0",) * 6, "98765", "0"]
    assert parse_stat(f"123 (a ) b) {' '.join(fields)}") == ProcessTimes(98765, 342)
    assert parse_stat(f"123 (qemu) Z {' '.join(fields[1:])}") is None
