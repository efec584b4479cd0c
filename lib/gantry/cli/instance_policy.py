"""The options that set instance policies: how large instances may be, and how full nodes."""

from __future__ import annotations

from gantry.cli.luxi import Opcode
from gantry.cli.option_values import IDENTIFIED_LISTS, LIST, RATIO
from gantry.cli.options import Option, Options, value
from gantry.cli.parameter_types import ParameterType, typed

BOUNDS = value(
    "--ipolicy-bounds-specs",
    "ipolicy_bounds_specs",
    IDENTIFIED_LISTS,
    "limits of instances, as min:key=value,.../max:key=value,...",
)
TEMPLATES = value(
    "--ipolicy-disk-templates", "ipolicy_disk_templates", LIST, "templates they may have"
)
PROCESSORS = value(
    "--ipolicy-vcpu-ratio", "ipolicy_vcpu_ratio", RATIO, "virtual for each real processor"
)
SPINDLES = value("--ipolicy-spindle-ratio", "ipolicy_spindle_ratio", RATIO, "uses for each spindle")

POLICY_OPTIONS: tuple[Option[object], ...] = (BOUNDS, TEMPLATES, PROCESSORS, SPINDLES)

SPEC_TYPES: dict[str, ParameterType] = {
    "cpu-count": "int",
    "disk-count": "int",
    "disk-size": "size",
    "memory-size": "size",
    "nic-count": "int",
    "spindle-use": "int",
}


def policy(options: Options) -> Opcode | None:
    """Return the policy that the options describe, or ``None`` if they describe none.

    Raises:
        CommandError: an amount is none.
    """
    found: Opcode = {}
    if (bounds := options[BOUNDS]) is not None:
        found["minmax"] = [
            {end: typed(specs, SPEC_TYPES) for end, specs in each.items()} for each in bounds
        ]
    if (templates := options[TEMPLATES]) is not None:
        found["disk-templates"] = templates
    if (processors := options[PROCESSORS]) is not None:
        found["vcpu-ratio"] = processors
    if (spindles := options[SPINDLES]) is not None:
        found["spindle-ratio"] = spindles
    return found or None
