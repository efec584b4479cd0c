"""Find out what a machine offers to QEMU guests.

Hardware acceleration is only believed when a guest ran with it: ``/dev/kvm`` may exist and guests
may still die or crawl (nested and emulated virtualization). The tiny guest is a ROM that enters
64-bit mode, fills 8 MiB of memory, counts to ten million and leaves by a debug port. That takes
some milliseconds of hardware and a tenth of a second of emulation.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from gantry.protocols import codec
from gantry.protocols.runtime_types import Acceleration, MissingPart
from gantry.runtime.environment import Environment

QEMU: Final = "qemu-system-x86_64"
QEMU_PART: Final = MissingPart(f"the program {QEMU}", "qemu-system-x86")
OLDEST_VERSION: Final = (7, 0)

PROGRAM_DEADLINE_SECONDS: Final = 20.0
GUEST_DEADLINE_SECONDS: Final = 3.0
"""Hardware needs some milliseconds; a guest that takes this long is no use."""

GUEST_STATUS: Final = 0x21 * 2 + 1
"""QEMU's exit status after a guest has written 0x21 to the isa-debug-exit device."""

_ROM_BYTES: Final = 0x10000
_RESET_VECTOR: Final = 0xFFF0

GUEST_CODE: Final = bytes.fromhex(
    "fa"  # cli
    "2e660f0116c800"  # lgdtl %cs:gdtr
    "66b811000000"  # mov $0x11, %eax             PE, ET
    "0f22c0"  # mov %eax, %cr0
    "66ea19000f000800"  # ljmpl $8, $protected
    "b810000000"  # protected: mov $16, %eax
    "8ed8"  # mov %eax, %ds
    "8ec0"  # mov %eax, %es
    "c7050010000003200000"  # movl $0x2003, 0x1000        PML4 -> PDPT
    "c7050020000003300000"  # movl $0x3003, 0x2000        PDPT -> PD
    "bf00300000"  # mov $0x3000, %edi           PD: eight pages of 2 MiB
    "b883000000"  # mov $0x83, %eax
    "b908000000"  # mov $8, %ecx
    "8907"  # page: mov %eax, (%edi)
    "c7470400000000"  # movl $0, 4(%edi)
    "0500002000"  # add $0x200000, %eax
    "83c708"  # add $8, %edi
    "e2ed"  # loop page
    "b820000000"  # mov $0x20, %eax             PAE
    "0f22e0"  # mov %eax, %cr4
    "b800100000"  # mov $0x1000, %eax
    "0f22d8"  # mov %eax, %cr3
    "b9800000c0"  # mov $0xc0000080, %ecx       EFER
    "0f32"  # rdmsr
    "0d00010000"  # or $0x100, %eax             LME
    "0f30"  # wrmsr
    "b811000080"  # mov $0x80000011, %eax       PG
    "0f22c0"  # mov %eax, %cr0
    "ea85000f001800"  # ljmpl $24, $long
    "bf00004000"  # long: mov $0x400000, %edi
    "b900008000"  # mov $0x800000, %ecx
    "31c0"  # xor %eax, %eax
    "f3aa"  # rep stosb
    "b980969800"  # mov $10000000, %ecx
    "ffc9"  # count: dec %ecx
    "75fc"  # jnz count
    "b021"  # mov $0x21, %al
    "e6f4"  # out %al, $0xf4
    "f4"  # halt: hlt
    "ebfd"  # jmp halt
    "0f1f440000"  # alignment
    "0000000000000000"  # gdt: null
    "ffff0000009acf00"  # 32-bit code
    "ffff00000092cf00"  # data
    "ffff0000009aaf00"  # 64-bit code
    "1f00"  # gdtr: size - 1
    "a8000f00"  # address
)


def guest_rom() -> bytes:
    """Return the tiny guest as a ROM: code at its start, a jump there at the reset vector."""
    rom = bytearray(b"\xf4" * _ROM_BYTES)
    rom[: len(GUEST_CODE)] = GUEST_CODE
    distance = -(_RESET_VECTOR + 3) & 0xFFFF
    rom[_RESET_VECTOR : _RESET_VECTOR + 3] = b"\xe9" + distance.to_bytes(2, "little")
    return bytes(rom)


@frozen
class MachineFacts:
    """What was found out about QEMU on this machine; true until its next boot."""

    boot_id: str
    program: str
    version: str
    machine: str
    """The newest q35 machine type."""
    acceleration: Acceleration
    note: str


def parse_version(text: str) -> str | None:
    """Find the version number in what ``qemu --version`` prints."""
    found = re.search(r"version ([0-9]{1,9}\.[0-9]{1,9}(?:\.[0-9]{1,9})?)", text)
    return found[1] if found else None


def recent_enough(version: str) -> bool:
    """Whether a version of QEMU is one that Gantry works with."""
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) >= OLDEST_VERSION


def newest_q35(text: str) -> str | None:
    """Find what the alias ``q35`` stands for in what ``qemu -machine help`` prints."""
    found = re.search(r"^q35\s.*\(alias of ([\w.-]+)\)", text, re.MULTILINE)
    return found[1] if found else None


@frozen
class Prober:
    """Finds the facts of one machine, and keeps them below the node's run directory."""

    environment: Environment

    @property
    def _cache(self) -> Path:
        return self.environment.paths.run / "kvm-hypervisor" / "machine.json"

    async def facts(self, program: Path) -> MachineFacts | MissingPart:
        """Return what is known about a QEMU program, finding it out at most once per boot."""
        boot = await self.environment.files.read(Path("/proc/sys/kernel/random/boot_id"))
        boot_id = boot.decode().strip()
        known = await self._remembered()
        if known is not None and (known.boot_id, known.program) == (boot_id, str(program)):
            return known
        version = parse_version(await self._output(program, "--version"))
        machine = newest_q35(await self._output(program, "-machine", "help"))
        if version is None or machine is None or not recent_enough(version):
            wanted = ".".join(map(str, OLDEST_VERSION))
            return MissingPart(f"QEMU {wanted} or newer (found {version})", QEMU_PART.package)
        acceleration, note = await self._acceleration(program)
        facts = MachineFacts(boot_id, str(program), version, machine, acceleration, note)
        await self.environment.files.make_folder(self._cache.parent)
        await self.environment.files.write(self._cache, codec.to_bytes(codec.dump(facts)))
        return facts

    async def _remembered(self) -> MachineFacts | None:
        try:
            data = await self.environment.files.read(self._cache)
            return codec.load(MachineFacts, codec.from_bytes(data))
        except (FileNotFoundError, codec.Malformed):  # a cache: whatever is wrong, probe again
            return None

    async def _output(self, program: Path, *arguments: str) -> str:
        ended = await self.environment.processes.run(
            [str(program), *arguments], deadline_seconds=PROGRAM_DEADLINE_SECONDS
        )
        return ended.output.decode(errors="replace")

    async def _acceleration(self, program: Path) -> tuple[Acceleration, str]:
        if not await self.environment.files.exists(Path("/dev/kvm")):
            return "tcg", "there is no /dev/kvm: guests are emulated"
        problem = await self._try_guest(program)
        return ("kvm", "") if problem is None else ("tcg", f"{problem}: guests are emulated")

    async def _try_guest(self, program: Path) -> str | None:
        """Run the tiny guest with hardware acceleration; return what went wrong."""
        folder = self.environment.paths.run / "kvm-hypervisor"
        rom = folder / f"probe-{self.environment.random.uuid()}.rom"
        await self.environment.files.make_folder(folder)
        await self.environment.files.write(rom, guest_rom())
        try:
            ended = await self.environment.processes.run(
                _guest_command(program, rom), deadline_seconds=GUEST_DEADLINE_SECONDS
            )
        except trio.TooSlowError:
            limit = f"{GUEST_DEADLINE_SECONDS:g} s"
            return f"a guest with hardware acceleration got nowhere within {limit}"
        finally:
            with trio.CancelScope(shield=True):  # one unlink
                await self.environment.files.remove(rom)
        if ended.status == GUEST_STATUS:
            return None
        lines = ended.output.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {ended.status}"
        return f"hardware acceleration does not work ({reason})"


def _guest_command(program: Path, rom: Path) -> list[str]:
    return [
        *(str(program), "-accel", "kvm", "-machine", "q35", "-m", "32"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
        *("-bios", str(rom)),
    ]
