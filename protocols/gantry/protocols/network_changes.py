"""Changes of networks and of the node groups that they reach.

Which addresses are taken is WConfD's to keep account of: what instances use follows from their
interfaces, and what else is not to be handed out is said as a difference, so that two changes at
the same time never undo each other. See :mod:`gantry.protocols.changes`.
"""

from __future__ import annotations

from attrs import field, frozen

from gantry.protocols.identity import GroupUuid, NetworkUuid
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.vocabulary import Parameters


@frozen
class AddNetwork:
    """Add a network; its own address, the broadcast address and the gateway are never given out.

    A network that was removed is added again with the bitmaps that it had.
    """

    network: Network
    reserve: tuple[str, ...] = ()
    """Further addresses that are not the cluster's to hand out."""


@frozen
class UpdateNetwork:
    """Replace a network but for its bitmaps; its serial number must be the stored one."""

    network: Network
    reserve: tuple[str, ...] = ()
    """Addresses that are not the cluster's to hand out any more; they must be free."""
    release: tuple[str, ...] = ()
    """Addresses that are the cluster's again; they must have been kept from it."""


@frozen
class RestoreNetwork:
    """Put a network back as it was, but for serial number, times and the addresses in use."""

    network: Network
    reserve: tuple[str, ...] = ()
    release: tuple[str, ...] = ()


@frozen
class RemoveNetwork:
    """Remove a network that no node group and no instance is connected to."""

    uuid: NetworkUuid


@frozen
class ConnectNetwork:
    """Let a network reach a node group, with the parameters that interfaces connect with."""

    network: NetworkUuid
    group: GroupUuid
    nicparams: Parameters = field(factory=dict)


@frozen
class DisconnectNetwork:
    """Let a network reach a node group no more; no instance there may use it."""

    network: NetworkUuid
    group: GroupUuid


NetworkChange = (
    AddNetwork | UpdateNetwork | RestoreNetwork | RemoveNetwork | ConnectNetwork | DisconnectNetwork
)
