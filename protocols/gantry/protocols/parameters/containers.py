"""The parameters of the hypervisors that are none: fake, chroot and lxc."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import frozen

from gantry.protocols.parameters.parameter_set import ParameterSet
from gantry.protocols.values import AbsolutePath, NonNegative


@frozen(kw_only=True)
class FakeParameters(ParameterSet):
    """How a pretended instance is run."""

    SUBJECT: ClassVar[str] = "hypervisor fake"

    migration_mode: Literal["live", "non-live"] = "live"


@frozen(kw_only=True)
class ChrootParameters(ParameterSet):
    """How an instance is run as processes below a folder of its own."""

    SUBJECT: ClassVar[str] = "hypervisor chroot"

    init_script: AbsolutePath = "/ganeti-chroot"
    """In the instance: starts it, stops it and says whether it runs."""


@frozen(kw_only=True)
class LxcParameters(ParameterSet):
    """How LXC runs an instance."""

    SUBJECT: ClassVar[str] = "hypervisor lxc"

    cpu_mask: str = ""
    devices: str = (
        "c 1:3 rw,c 1:5 rw,c 1:7 rw,c 1:8 rw,c 1:9 rw,c 1:10 rw,"
        "c 5:0 rw,c 5:1 rw,c 5:2 rw,c 136:* rw"
    )
    """The devices that it may use, in the form of the control group's list."""
    drop_capabilities: str = "mac_override,sys_boot,sys_module,sys_time,sys_admin"
    extra_cgroups: str = ""
    extra_config: str = ""
    num_ttys: NonNegative = 6
    startup_timeout: NonNegative = 30
    """In seconds."""
