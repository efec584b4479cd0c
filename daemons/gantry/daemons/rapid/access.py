"""Who may use which route: the users file, followed as it changes."""

from __future__ import annotations

from typing import Final, assert_never

import trio
from attrs import define, field

from gantry.daemons.rapid.errors import HttpError
from gantry.protocols.rapi import Access
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log
from gantry.security.pem_files import RAPI_USERS
from gantry.security.rapi_users import REALM, RapiUser, RapiUsers, parse_basic, parse_users

LOG: Final = Log("rapid")

CHALLENGE: Final = (("www-authenticate", f'Basic realm="{REALM}"'),)

REREAD_SECONDS: Final = 60.0
"""A change of the file that nothing told of counts after this time."""


@define
class Users:
    """The users file as it was read last; nobody, if there is none."""

    _env: Environment
    known: RapiUsers = field(factory=lambda: RapiUsers({}), init=False)

    async def follow(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read the file whenever it changes, until cancelled; started when it was read once."""
        path = self._env.paths.data / RAPI_USERS
        async with self._env.files.watch(path) as changes:
            await self.reload()
            task_status.started()
            while True:
                with trio.move_on_after(REREAD_SECONDS):
                    await changes.wait()
                await self.reload()

    async def reload(self) -> None:
        """Read the file as it is now. One that can not be read lets nobody in."""
        path = self._env.paths.data / RAPI_USERS
        try:
            content = await self._env.files.read(path)
        except FileNotFoundError:
            content = b""
        except OSError as error:
            LOG.error("the users file can not be read", path=str(path), reason=str(error))
            content = b""
        known = parse_users(content)
        if known != self.known:
            for problem in known.problems:
                LOG.warning("users file", problem=problem)
            LOG.info("users read", count=len(known.users))
        self.known = known


def authorize(
    users: RapiUsers, access: Access, authorization: str | None, *, always: bool
) -> RapiUser | None:
    """Return who asks; ``None``: nobody that the request names, and that is enough.

    Args:
        users: who is known.
        access: what the route asks for.
        authorization: the request's header; if it is there it must be right, whatever the route.
        always: whether users are wanted for every route.

    Raises:
        HttpError: 401: no user, or a wrong password; 403: the user may not.
    """
    user: RapiUser | None = None
    if authorization is not None:
        given = parse_basic(authorization)
        user = users.authenticated(*given) if given is not None else None
    if user is None:
        if authorization is None and access == "everybody" and not always:
            return None
        raise HttpError(401, headers=CHALLENGE)
    match access:
        case "everybody":
            return user
        case "readers":
            allowed = bool(user.options)
        case "writers":
            allowed = "write" in user.options
        case _:
            assert_never(access)
    if not allowed:
        raise HttpError(403)
    return user
