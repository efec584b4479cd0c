"""The types of parameters: text from the command line becomes what opcodes carry.

Parameters that are not in a table are text and stay as they are; whether they exist at all is
for LuxiD to say, which knows the hypervisor and the version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from gantry.cli.errors import CommandError
from gantry.cli.option_values import Identified, Parameters, parse_size

ParameterType = Literal["bool", "int", "float", "size", "maybe-string"]

DEFAULT = "default"
"""The value that takes a parameter back to its default."""

BACKEND_TYPES: dict[str, ParameterType] = {
    "always_failover": "bool",
    "auto_balance": "bool",
    "maxmem": "size",
    "memory": "size",
    "minmem": "size",
    "spindle_use": "int",
    "vcpus": "int",
}

NODE_TYPES: dict[str, ParameterType] = {
    "cpu_speed": "float",
    "exclusive_storage": "bool",
    "ovs": "bool",
    "ovs_link": "maybe-string",
    "ovs_name": "maybe-string",
    "spindle_count": "int",
    "ssh_port": "int",
}

NIC_TYPES: dict[str, ParameterType] = {
    "bridge": "maybe-string",
    "ip": "maybe-string",
    "name": "maybe-string",
    "network": "maybe-string",
    "vlan": "maybe-string",
}

_HYPERVISOR_FLAGS = (
    "acpi pae serial_console spice_playback_compression spice_use_tls spice_use_vdagent "
    "use_bootloader use_chroot use_guest_agent use_localtime user_shutdown vhost_net viridian "
    "vnc_tls vnc_x509_verify vnet_hdr"
)
_HYPERVISOR_NUMBERS = (
    "cpu_cap cpu_cores cpu_sockets cpu_threads cpu_weight kvm_pci_reservations "
    "migration_bandwidth migration_downtime migration_port num_ttys serial_speed "
    "spice_ip_version startup_timeout virtio_net_queues"
)
HYPERVISOR_TYPES: dict[str, ParameterType] = {
    **dict.fromkeys(_HYPERVISOR_FLAGS.split(), "bool"),
    **dict.fromkeys(_HYPERVISOR_NUMBERS.split(), "int"),
    "root_path": "maybe-string",
}


def typed(parameters: Mapping[str, object], types: Mapping[str, ParameterType]) -> Parameters:
    """Return the parameters with the types of a table.

    Raises:
        CommandError: a value does not have its parameter's type.
    """
    return {
        key: content if content == DEFAULT else _typed(key, content, types.get(key))
        for key, content in parameters.items()
    }


def by_ident(given: Iterable[Identified]) -> dict[str, object]:
    """Return parameters by what they are of.

    Raises:
        CommandError: something has no parameters.
    """
    states: dict[str, object] = {}
    for ident, parameters in given:
        if not isinstance(parameters, dict):
            raise CommandError(f"Failure: '{ident}' needs parameters as key=value")
        states[ident] = parameters
    return states


def _typed(key: str, content: object, kind: ParameterType | None) -> object:
    if content is None:
        # -key on the command line: the parameter's default.
        return DEFAULT
    try:
        match kind:
            case "bool":
                return _boolean(content)
            case "int":
                return int(str(content))
            case "float":
                return float(str(content))
            case "size":
                return parse_size(str(content))
            case "maybe-string":
                return None if content is False else str(content)
            case None:
                return "" if content is False else content
    except ValueError as error:
        raise CommandError(f"Failure: parameter '{key}': {error}") from None


def _boolean(content: object) -> bool:
    if isinstance(content, bool):
        return content
    match str(content).lower():
        case "true" | "yes":
            return True
        case "false" | "no":
            return False
        case _:
            raise ValueError(f"'{content}' is neither true nor false")
