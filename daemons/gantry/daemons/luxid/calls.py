"""What all calls of LUXI share: the daemon's parts, and who is calling."""

from __future__ import annotations

from attrs import frozen

from gantry.core.query.cluster import Release
from gantry.core.query.view import View
from gantry.core.queue.state import Queue
from gantry.daemons.luxid.archive import Archive
from gantry.daemons.luxid.at_work import AtWork
from gantry.daemons.luxid.connection import Caller
from gantry.daemons.luxid.files import QueueFiles
from gantry.daemons.luxid.mirror import Mirror
from gantry.daemons.luxid.store import QueueStore
from gantry.daemons.luxid.supervisor import Supervisor
from gantry.protocols.errors import ConfigurationError, GenericError
from gantry.runtime.environment import Environment
from gantry.runtime.node_links import NodeLinks

NO_CONFIGURATION = "the cluster's configuration is not known yet: is gantry-wconfd running?"


NOT_SHOWN = (
    "which jobs there are is not known yet, since too few master candidates answer; "
    "wait until a majority of them does"
)


@frozen
class Parts:
    """What LuxiD is made of."""

    env: Environment
    store: QueueStore
    at_work: AtWork
    supervisor: Supervisor
    files: QueueFiles
    archive: Archive
    mirror: Mirror
    links: NodeLinks
    release: Release


@frozen
class Calls:
    """Base of the calls that one connection makes."""

    parts: Parts
    caller: Caller

    def view(self) -> View:
        """Return the configuration.

        Raises:
            ConfigurationError: it is not known; every call but one needs it.
        """
        view = self.parts.mirror.view
        if view is None:
            raise ConfigurationError(NO_CONFIGURATION)
        return view

    def queue(self) -> Queue:
        """Return the queue.

        Raises:
            GenericError: what its log held at the start is not confirmed: jobs would be missing.
        """
        store = self.parts.store
        if not store.shown.is_open:
            raise GenericError(NOT_SHOWN)
        return store.committed
