"""What all calls of LUXI share: the daemon's parts, and who is calling."""

from __future__ import annotations

from attrs import frozen

from gantry.core.query.cluster import Release
from gantry.core.query.view import View
from gantry.daemons.luxid.archive import Archive
from gantry.daemons.luxid.at_work import AtWork
from gantry.daemons.luxid.connection import Caller
from gantry.daemons.luxid.files import QueueFiles
from gantry.daemons.luxid.mirror import Mirror
from gantry.daemons.luxid.store import QueueStore
from gantry.daemons.luxid.supervisor import Supervisor
from gantry.protocols.errors import ConfigurationError
from gantry.runtime.environment import Environment
from gantry.runtime.node_links import NodeLinks

NO_CONFIGURATION = "the cluster's configuration is not known yet: is gantry-wconfd running?"


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
