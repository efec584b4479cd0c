"""Opcodes that compare the cluster with what it is meant to be."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from gantry.protocols.opcodes.opcode import GroupOpcode, Opcode
from gantry.protocols.values import NonEmpty

OptionalCheck = Literal["nplusone_mem", "hvparam_assessment"]
"""Checks that can be skipped. The second is of Ganeti 3.1 and later, and never made here."""

ErrorClass = Literal[
    "ECLUSTERCERT",
    "ECLUSTERCFG",
    "ECLUSTERCLIENTCERT",
    "ECLUSTERDANGLINGINST",
    "ECLUSTERDANGLINGNODES",
    "ECLUSTERFILECHECK",
    "EEXTAGS",
    "EGROUPDIFFERENTPVSIZE",
    "EINSTANCEBADNODE",
    "EINSTANCEDOWN",
    "EINSTANCEFAULTYDISK",
    "EINSTANCELAYOUT",
    "EINSTANCEMISSINGCFGPARAMETER",
    "EINSTANCEMISSINGDISK",
    "EINSTANCEPOLICY",
    "EINSTANCESPLITGROUPS",
    "EINSTANCEUNSUITABLENODE",
    "EINSTANCEWRONGNODE",
    "ENODEDRBD",
    "ENODEDRBDHELPER",
    "ENODEDRBDVERSION",
    "ENODEFILECHECK",
    "ENODEFILESTORAGEPATHS",
    "ENODEFILESTORAGEPATHUNUSABLE",
    "ENODEGLUSTERSTORAGEPATHUNUSABLE",
    "ENODEHOOKS",
    "ENODEHV",
    "ENODELVM",
    "ENODEN1",
    "ENODENET",
    "ENODEOOBPATH",
    "ENODEORPHANINSTANCE",
    "ENODEORPHANLV",
    "ENODEOS",
    "ENODERPC",
    "ENODESETUP",
    "ENODESHAREDFILESTORAGEPATHUNUSABLE",
    "ENODESSH",
    "ENODETIME",
    "ENODEUSERSCRIPTS",
    "ENODEVERSION",
]
"""What verification can find."""


@frozen(kw_only=True)
class OpClusterVerify(Opcode):
    """Verify the whole cluster: submits a job for the configuration and one for each group."""

    debug_simulate_errors: bool = False
    error_codes: bool = False
    """Report findings in the form that programs read."""
    skip_checks: frozenset[OptionalCheck] = frozenset()
    ignore_errors: frozenset[ErrorClass] = frozenset()
    """What is reported as a warning."""
    verbose: bool = False
    group_name: NonEmpty | None = None
    """Verify this node group only."""
    verify_clutter: bool = False
    """Also look for SSH keys that belong to nobody."""


@frozen(kw_only=True)
class OpClusterVerifyConfig(Opcode):
    """Verify the configuration itself; true if nothing was found."""

    debug_simulate_errors: bool = False
    error_codes: bool = False
    ignore_errors: frozenset[ErrorClass] = frozenset()
    verbose: bool = False


@frozen(kw_only=True)
class OpClusterVerifyGroup(GroupOpcode):
    """Verify the nodes and instances of one node group; true if nothing was found."""

    debug_simulate_errors: bool = False
    error_codes: bool = False
    skip_checks: frozenset[OptionalCheck] = frozenset()
    ignore_errors: frozenset[ErrorClass] = frozenset()
    verbose: bool = False
    verify_clutter: bool = False


@frozen(kw_only=True)
class OpClusterVerifyDisks(Opcode):
    """Look at the disks of all instances: submits a job for each node group."""

    group_name: NonEmpty | None = None


@frozen(kw_only=True)
class OpGroupVerifyDisks(GroupOpcode):
    """Look at the disks of a group's instances.

    The result is (errors by node, instances with disks to activate, missing volumes by
    instance).
    """
