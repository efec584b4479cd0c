"""What a watcher does on real clusters: guests that died with their node are started again."""

from __future__ import annotations

from attrs import frozen
from tests.chaos.clients import Client
from tests.chaos.processes import name_of
from tests.chaos.view import View
from tests.crash import jobs as op


@frozen
class Watcher:
    """Looks after guests whose processes the test itself has killed, and after no others."""

    client: Client
    killed: frozenset[str]
    """The names of these guests."""

    def care(self, view: View) -> None:
        """Start what should run and does not, once the node's other jobs are over."""
        if view.cluster.layout.hypervisor != "kvm":
            return
        running = {(node, name_of(process)) for node, process in view.guests}
        for instance in view.configuration.instances.values():
            place = view.home(instance), instance.name
            if (
                instance.admin_state == "up"
                and place not in running
                and instance.name in self.killed
            ):
                self.client.wait(self.client.submit(op.start(instance.name.partition(".")[0])))
