"""LUXI's calls that ask: answered from memory, and by nodes where live fields are wanted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path

import attrs
from attrs import frozen
from typing_extensions import override

from gantry.core.query.cluster import QueueState, cluster_info, config_values, tags
from gantry.core.query.engine import plan_query, query_fields
from gantry.core.query.live import LiveData, Needs
from gantry.core.query.older import (
    NamedResource,
    plan_exports,
    plan_filters,
    plan_jobs,
    plan_named,
)
from gantry.core.query.plan import PLAIN, Chosen, Form, Plan, typed
from gantry.core.query.view import View
from gantry.core.queue.state import Queue
from gantry.daemons.luxid.calls import Calls
from gantry.daemons.luxid.connection import Rendered
from gantry.daemons.luxid.live import Inquiry
from gantry.daemons.luxid.sharing import framed, in_slices, one_by_one
from gantry.protocols.codec import Json
from gantry.protocols.errors import ConnectionLost, GenericError
from gantry.protocols.identity import JobId
from gantry.protocols.jobs import Job
from gantry.protocols.locks import LockState
from gantry.protocols.luxi import TagKind
from gantry.protocols.query import parse_query, parse_resource
from gantry.protocols.values import shown_number


@frozen
class QueuedJobs(Mapping[JobId, Job]):
    """The jobs of a queue by id."""

    queue: Callable[[], Queue]
    """Gives always the same one, or says why there is none."""

    @override
    def __getitem__(self, job: JobId) -> Job:
        return self.queue().entries[job].job

    @override
    def __iter__(self) -> Iterator[JobId]:
        return iter(self.queue().entries)

    @override
    def __len__(self) -> int:
        return len(self.queue().entries)


@frozen
class QueryCalls(Calls):
    """The calls that change nothing, and the two small settings beside them."""

    async def query(self, what: str, fields: tuple[str, ...], qfilter: Json) -> Json:
        """Return typed rows of a resource."""
        query = parse_query(what, fields, qfilter)
        view = self.view()
        plan = plan_query(query, view, self._jobs(), self.parts.at_work.inside)
        return await self._answer(plan, typed(plan.columns), view)

    async def query_fields(self, what: str, fields: tuple[str, ...] | None) -> Json:
        """Return the definitions of a resource's fields."""
        resource = parse_resource(what)
        self.view()
        return query_fields(resource, fields)

    async def query_instances(
        self,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        use_locking: bool,  # noqa: FBT001 - LUXI's arguments are positional
    ) -> Json:
        """Return plain rows of instances."""
        return await self._named("instance", names, fields, use_locking=use_locking)

    async def query_nodes(
        self,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        use_locking: bool,  # noqa: FBT001 - LUXI's arguments are positional
    ) -> Json:
        """Return plain rows of nodes."""
        return await self._named("node", names, fields, use_locking=use_locking)

    async def query_groups(
        self,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        use_locking: bool,  # noqa: FBT001 - LUXI's arguments are positional
    ) -> Json:
        """Return plain rows of node groups."""
        return await self._named("group", names, fields, use_locking=use_locking)

    async def query_networks(
        self,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        use_locking: bool,  # noqa: FBT001 - LUXI's arguments are positional
    ) -> Json:
        """Return plain rows of networks."""
        return await self._named("network", names, fields, use_locking=use_locking)

    async def _named(
        self,
        resource: NamedResource,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        *,
        use_locking: bool,
    ) -> Json:
        view = self.view()
        plan = plan_named(resource, names, fields, view, use_locking=use_locking)
        return await self._plain(plan, view)

    async def query_jobs(
        self, job_ids: tuple[int | str, ...] | None, fields: tuple[str, ...]
    ) -> Json:
        """Return plain rows of jobs."""
        view = self.view()
        return await self._plain(
            plan_jobs(job_ids, fields, view, self._jobs(), self.parts.at_work.inside), view
        )

    async def query_filters(self, uuids: tuple[str, ...] | None, fields: tuple[str, ...]) -> Json:
        """Return plain rows of filter rules."""
        view = self.view()
        return await self._plain(plan_filters(uuids, fields, view), view)

    async def query_exports(self, nodes: tuple[str, ...], use_locking: bool) -> Json:  # noqa: FBT001 - LUXI's arguments are positional
        """Return (node, export) pairs."""
        view = self.view()
        return await self._plain(plan_exports(nodes, view, use_locking=use_locking), view)

    async def query_config_values(self, fields: tuple[str, ...]) -> Json:
        """Return single values of the cluster."""
        view = self.view()
        pause = await self._watcher_pause() if "watcher_pause" in fields else None
        queue = self.parts.store.committed
        state = QueueState(queue.drained, pause, queue.paused)
        return config_values(fields, view, state)

    async def query_cluster_info(self) -> Json:
        """Return the cluster's parameters."""
        return cluster_info(self.view(), self.parts.release)

    async def query_tags(self, kind: TagKind, name: str) -> tuple[str, ...]:
        """Return the tags of an object."""
        return tuple(tags(kind, name, self.view()))

    # --- the watcher's rest ----------------------------------------------------------------------

    async def set_watcher_pause(self, until: float | None) -> Json:
        """Pause the watcher until a time, or no longer."""
        self.view()
        try:
            if until is None:
                await self.parts.env.files.remove(self._pause_file())
            else:
                await self.parts.env.files.write(self._pause_file(), b"%d\n" % until, 0o644)
        except OSError as error:
            raise GenericError(f"the watcher's pause can not be written: {error}") from error
        return None if until is None else shown_number(until)

    def _pause_file(self) -> Path:
        return self.parts.env.paths.data / "watcher.pause"

    async def _watcher_pause(self) -> int | None:
        try:
            return int(await self.parts.env.files.read(self._pause_file()))
        except (OSError, ValueError):
            return None

    # --- what is not in memory -------------------------------------------------------------------

    def _jobs(self) -> QueuedJobs:
        if not self.parts.store.shown.is_open:
            return QueuedJobs(self.queue)  # only who asks for jobs hears of it
        queue = self.queue()
        return QueuedJobs(lambda: queue)

    async def _plain(self, plan: Plan, view: View) -> Json:
        return await self._answer(plan, PLAIN, view)

    async def _answer(self, plan: Plan, form: Form, view: View) -> Rendered:
        """Render an answer; other clients are served in between."""
        chosen = await in_slices(plan.choose())
        if chosen.needs.archived == "all":
            return await Rendered.of(framed(form, self._history(chosen, form)))
        rows = await in_slices(chosen.match(await self._find_out(chosen.needs, view)))
        return await Rendered.of(framed(form, one_by_one(rows.rendered(form))))

    async def _history(self, chosen: Chosen, form: Form) -> AsyncGenerator[bytes, None]:
        """Render all jobs there ever were, without having them all in memory."""
        queue, courses = self.queue(), chosen.needs.courses
        history = self.parts.archive.history(queue, courses=courses)
        async with aclosing(history):
            async for part in history:
                rows = await in_slices(chosen.match(part))
                for piece in rows.rendered(form):
                    yield piece

    async def _find_out(self, needs: Needs, view: View) -> LiveData:
        """Find out what a query needs; what can not be found out is just missing."""
        if not needs:
            return LiveData()
        live = LiveData()
        if needs.of_nodes:
            live = await Inquiry(view, self.parts.links).ask(needs)
        if needs.archived and needs.archived != "all":
            live = attrs.evolve(live, archived=await self.parts.archive.read(needs.archived))
            if needs.courses:
                courses = await self.parts.archive.courses(needs.archived)
                live = attrs.evolve(live, courses=courses)
        if needs.locks:
            live = attrs.evolve(live, locks=await self._locks())
        return live

    async def _locks(self) -> tuple[LockState, ...]:
        try:
            return await self.parts.mirror.ask(lambda wconfd: wconfd.locks())
        except ConnectionLost as error:
            raise GenericError(f"the locks can not be asked for: {error}") from error
