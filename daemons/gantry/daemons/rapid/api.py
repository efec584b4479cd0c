"""The remote API as an HTTP handler: the route, the user, the body, the answer."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from gantry.daemons.rapid.access import Users, authorize
from gantry.daemons.rapid.asked import Asked
from gantry.daemons.rapid.errors import HttpError, error_response, http_error_of, rendered
from gantry.daemons.rapid.jobs import Jobs
from gantry.daemons.rapid.lookups import Lookups
from gantry.daemons.rapid.opcodes import opcodes_of
from gantry.protocols.codec import Json
from gantry.protocols.luxi import Luxi
from gantry.protocols.rapi import Compose, RapiRoute, Submit
from gantry.protocols.rapi_routes import ROUTES
from gantry.runtime.environment import Clock
from gantry.runtime.http.messages import Request, Response
from gantry.runtime.logs import Log
from gantry.security.rapi_users import RapiUser

LOG: Final = Log("rapid")


@frozen
class Admitted:
    """A request that may be carried out."""

    route: RapiRoute
    values: dict[str, str]
    user: RapiUser | None


@frozen
class Api:
    """Answers requests with what LuxiD says."""

    luxi: Luxi
    users: Users
    clock: Clock
    always_authenticate: bool = False
    """Whether even what everybody may see is only for users."""

    def check_head(self, request: Request) -> Response | None:
        """Refuse a request before its body is read, if its head is reason enough."""
        try:
            self._admit(request)
        except HttpError as error:
            return error_response(error)
        return None

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        try:
            admitted = self._admit(request)
            now = self.clock.now()
            asked = Asked.of(request, admitted.route, admitted.values, now)
            return rendered(await self._carried_out(asked, admitted))
        except Exception as error:
            told = http_error_of(error)
            if told is None:
                raise
            if told.status >= 500:
                LOG.warning("request failed", path=request.path, reason=str(told))
            return error_response(told)

    def _admit(self, request: Request) -> Admitted:
        """Find the route and the user.

        Raises:
            HttpError: 404: no such path; 501: no such method there; 401, 403: the user.
        """
        found = ROUTES.find(request.segments)
        if found is None:
            raise HttpError(404)
        route = found.routes.get(request.method)
        if route is None:
            text = f"Method {request.method} is unsupported for path {request.path}"
            raise HttpError(501, text)
        authorization = request.header("authorization")
        always = self.always_authenticate
        user = authorize(self.users.known, route.access, authorization, always=always)
        return Admitted(route, dict(found.values), user)

    async def _carried_out(self, asked: Asked, admitted: Admitted) -> Json:
        jobs, action = Jobs(self.luxi), asked.route.action
        if not isinstance(action, Submit | Compose):
            return await Lookups(self.luxi, jobs).look_up(asked, action)
        opcodes = opcodes_of(asked, action)
        job = await jobs.submit(opcodes)
        user = admitted.user.name if admitted.user is not None else None
        LOG.info("job submitted", job=job, user=user, opcodes=[op["OP_ID"] for op in opcodes])
        return job
