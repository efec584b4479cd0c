"""MonD's HTTP interface: Ganeti's paths and answers, and ``/metrics``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio
from attrs import frozen

from gantry.core.openmetrics import CONTENT_TYPE
from gantry.daemons.mond.collector import CollectorFailed, Running
from gantry.daemons.mond.metrics import Metrics
from gantry.protocols.codec import Json, dump, to_bytes
from gantry.protocols.mond import ROUTES, CollectorInfo, Report
from gantry.protocols.routes import Resource, Route
from gantry.runtime.http.messages import Request, Response, text_response

NOT_FOUND: Final = "Resource not found"
NO_REPORT: Final = "Unable to produce a report for the requested resource"
"""Both texts are Ganeti's, by which scrapers can tell the cases."""


@frozen
class Api:
    """Answers requests."""

    collectors: Sequence[Running]
    metrics: Metrics

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        segments = request.segments
        if request.method != "GET":
            return Response(404, b"", "text/html; charset=utf-8")
        found = ROUTES.find(segments[:-1] if segments == ("1", "") else segments)
        if found is None:
            return _missing(NO_REPORT if segments[:2] == ("1", "report") else NOT_FOUND)
        return await self._answer(found)

    async def _answer(self, found: Resource[Route]) -> Response:
        match found.routes["GET"].template:
            case "/":
                return _json([1])
            case "/1":
                return _json(None)
            case "/1/list/collectors":
                return _json([[i.name, i.shown_category, i.kind] for i in self._infos()])
            case "/1/report/all":
                return _json([dump(report) for report in await self._all()])
            case "/metrics":
                return Response(200, (await self.metrics.text()).encode(), CONTENT_TYPE)
            case _:
                return await self._one(found.values["category"], found.values["collector"])

    def _active(self) -> list[Running]:
        return [each for each in self.collectors if each.active]

    def _infos(self) -> list[CollectorInfo]:
        return [each.info for each in self._active()]

    async def _all(self) -> list[Report]:
        """Ask all at once: the slowest does not add to the others."""
        active = self._active()
        reports: dict[str, Report] = {}

        async def one(running: Running) -> None:
            reports[running.info.name] = await running.report_or_problem()

        async with trio.open_nursery() as nursery:
            for each in active:
                nursery.start_soon(one, each)
        return [reports[each.info.name] for each in active]

    async def _one(self, category: str, name: str) -> Response:
        for each in self._active():
            if (each.info.shown_category, each.info.name) == (category, name):
                try:
                    return _json(dump(await each.report()))
                except CollectorFailed as failure:
                    return text_response(f"{name}: {failure}", 500)
        return _missing(NO_REPORT)


def _json(value: Json) -> Response:
    """Render an answer; like Ganeti's it does not say of what type it is."""
    return Response(200, to_bytes(value), None)


def _missing(text: str) -> Response:
    return Response(404, text.encode(), None)
