"""An instance as queries see it: with its cluster, its parts, and where it was seen running."""

from __future__ import annotations

from functools import cached_property
from typing import Final, Literal

from attrs import define, field

from gantry.core.query.fields import NODATA, NODE_OFFLINE, UNAVAIL
from gantry.core.query.live import LiveData
from gantry.core.query.view import AnyDisk, AnyInstance, Filled, View
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Nic
from gantry.protocols.query import Cell
from gantry.protocols.runtime_types import InstanceRuntime

Status = Literal[
    "running",
    "ADMIN_down",
    "ADMIN_offline",
    "ERROR_down",
    "ERROR_up",
    "ERROR_nodedown",
    "ERROR_nodeoffline",
    "ERROR_wrongnode",
    "USER_down",
]

ALIVE: Final = frozenset({"running", "paused"})
"""The states of a runtime in which there is a guest."""


# What rows remember they keep in plain attributes: there are thousands of rows, and a cached
# property costs several times as much when it is read for the first time.


@define(eq=False)
class NicRow:
    """A NIC with its parameters of all layers."""

    nic: Nic
    view: View
    _params: Filled | None = field(default=None, init=False)

    @property
    def params(self) -> Filled:
        """The parameters, of all layers."""
        if self._params is None:
            self._params = self.view.nicparams(self.nic)
        return self._params

    @property
    def network_name(self) -> str | None:
        """The name of the network that it is in."""
        uuid = self.nic.network
        network = None if uuid is None else self.view.configuration.networks.get(uuid)
        return None if network is None else network.name


@define(eq=False)
class InstanceRow:
    """An instance with everything that its fields are read from; nothing changes what it shows."""

    instance: AnyInstance
    view: View
    live: LiveData
    _disks: tuple[AnyDisk, ...] | None = field(default=None, init=False)
    _nics: list[NicRow] | None = field(default=None, init=False)
    _beparams: Filled | None = field(default=None, init=False)
    _hvparams: Filled | None = field(default=None, init=False)
    _secondary_nodes: tuple[NodeUuid, ...] | None = field(default=None, init=False)

    # --- its parts

    @property
    def disks(self) -> tuple[AnyDisk, ...]:
        """The disks, in order."""
        found = self._disks
        if found is None:
            found = self._disks = self.view.disks(self.instance)
        return found

    @property
    def nics(self) -> list[NicRow]:
        """The NICs, in order."""
        found = self._nics
        if found is None:
            found = self._nics = [NicRow(nic, self.view) for nic in self.instance.nics or ()]
        return found

    @property
    def beparams(self) -> Filled:
        """The back-end parameters, of all layers."""
        if self._beparams is None:
            self._beparams = self.view.beparams(self.instance)
        return self._beparams

    @property
    def hvparams(self) -> Filled:
        """The hypervisor parameters, of all layers."""
        found = self._hvparams
        if found is None:
            found = self._hvparams = self.view.hvparams(self.instance)
        return found

    @property
    def secondary_nodes(self) -> tuple[NodeUuid, ...]:
        """The nodes, besides the primary one, that hold its disks."""
        if self._secondary_nodes is None:
            self._secondary_nodes = self.view.secondary_nodes(self.instance)
        return self._secondary_nodes

    @property
    def primary_group(self) -> NodeGroup | None:
        """The node group of the primary node."""
        return self.view.owned_as(self.instance.primary_node)

    @cached_property
    def secondary_groups(self) -> list[NodeGroup]:
        """The node groups of the secondary nodes, each once."""
        groups = (self.view.owned_as(node) for node in self.secondary_nodes)
        return list({each.uuid: each for each in groups if each is not None}.values())

    # --- its life

    @cached_property
    def primary_offline(self) -> bool:
        """Whether the primary node is marked offline."""
        uuid = self.instance.primary_node
        node = self.view.configuration.nodes.get(uuid) if uuid is not None else None
        return node is not None and node.offline

    @cached_property
    def seen(self) -> tuple[NodeUuid, InstanceRuntime] | None:
        """Where the instance was seen and how; the primary node's word counts more."""
        sightings = self.live.seen.get(self.instance.uuid, ())
        primary = self.instance.primary_node
        return next((each for each in sightings if each[0] == primary), None) or next(
            (each for each in sightings if each[1].state in ALIVE), None
        )

    @property
    def trouble(self) -> Cell | None:
        """What a live field shows if the primary node can't be heard."""
        primary = self.instance.primary_node
        if primary is None:
            return UNAVAIL
        if self.primary_offline:
            return NODE_OFFLINE
        return None if self.live.answered(primary) else NODATA

    @property
    def alive(self) -> InstanceRuntime | None:
        """The guest, if there is one."""
        return self.seen[1] if self.seen is not None and self.seen[1].state in ALIVE else None

    def status(self) -> Status:
        """Compare what is wanted with what was seen."""
        if self.primary_offline:
            return "ERROR_nodeoffline"
        if self.trouble is not None:
            return "ERROR_nodedown"
        wanted_up = self.instance.admin_state == "up"
        if self.alive is not None:
            if self.seen is not None and self.seen[0] != self.instance.primary_node:
                return "ERROR_wrongnode"
            return "running" if wanted_up else "ERROR_up"
        return self._down()

    def _down(self) -> Status:
        match self.instance.admin_state:
            case "up":
                ended = self.seen is not None and self.seen[1].state == "shutdown"
                return "USER_down" if ended and self._may_shut_down() else "ERROR_down"
            case "offline":
                return "ADMIN_offline"
            case "down" | None:
                by_user = self.instance.admin_state_source == "user" and self._may_shut_down()
                return "USER_down" if by_user else "ADMIN_down"

    def _may_shut_down(self) -> bool:
        """Whether the guest's user may end the instance from inside."""
        if not self.view.configuration.cluster.enabled_user_shutdown:
            return False
        return self.instance.hypervisor != "kvm" or self.hvparams.get("user_shutdown") is True
