"""What the remote API reads: each function asks LuxiD and arranges its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, cast

from attrs import frozen

from gantry.daemons.rapid.asked import Asked
from gantry.daemons.rapid.errors import HttpError, bad_request, is_unknown_entity
from gantry.daemons.rapid.jobs import Jobs
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.luxi import Luxi, QueryResource
from gantry.protocols.rapi import (
    FEATURES,
    FIELDS,
    NODE_ROLES,
    VERSION,
    GetOne,
    GetTags,
    ListAll,
    Lookup,
    LookupName,
    ResourceName,
)
from gantry.runtime.luxi_client import LuxiMisuse

ALL: Final[Literal[""]] = ""
"""The name that stands for all objects of a resource, and for the cluster."""

_INFO_ALIASES: Final = {"volume_group_name": "vg_name", "drbd_usermode_helper": "drbd_helper"}
_NODE_ALIASES: Final = {"sip": "secondary_ip"}

Object = dict[str, Json]


@frozen
class Lookups:
    """Carries out everything that is no submission of a job."""

    luxi: Luxi
    jobs: Jobs

    async def look_up(self, asked: Asked, action: ListAll | GetOne | GetTags | Lookup) -> Json:
        """Return the answer.

        Raises:
            HttpError: there is no such object, or an argument is wrong.
        """
        match action:
            case ListAll():
                return await self._list(asked, action)
            case GetOne():
                return await self._one(asked, action)
            case GetTags(kind, placeholder):
                name = ALL if placeholder is None else asked.values[placeholder]
                return list(await self.luxi.query_tags(kind, name))
            case Lookup(name):
                return await self._named[name](asked)

    @property
    def _named(self) -> Mapping[LookupName, Callable[[Asked], Awaitable[Json]]]:
        jobs = self.jobs
        return {
            "nothing": _nothing,
            "version": _version,
            "features": _features,
            "info": self._info,
            "jobs": jobs.all,
            "job": jobs.one,
            "cancel job": jobs.cancel,
            "job changes": jobs.changes,
            "os names": jobs.os_names,
            "console": self._console,
            "node role": self._role,
            "query": self._query,
            "query fields": self._query_fields,
            "add filter": self._add_filter,
            "replace filter": self._replace_filter,
            "delete filter": self._delete_filter,
        }

    # --- objects

    async def _list(self, asked: Asked, action: ListAll) -> Json:
        if asked.flag("bulk"):
            fields = FIELDS[action.resource]
            rows = await self._rows(asked, action.resource, ALL, fields)
            return [_arranged(action.resource, fields, row) for row in rows]
        field = "uuid" if action.resource == "filters" else "name"
        rows = await self._rows(asked, action.resource, ALL, (field,))
        base = asked.route.template
        names = sorted(str(row[0]) for row in rows)
        return [{action.key: name, "uri": f"{base}/{name}"} for name in names]

    async def _one(self, asked: Asked, action: GetOne) -> Json:
        fields = FIELDS[action.resource]
        row = await self._only(asked, action.resource, asked.values[action.placeholder], fields)
        found = _arranged(action.resource, fields, row)
        return _with_aliases(found, _NODE_ALIASES) if action.resource == "nodes" else found

    async def _only(
        self, asked: Asked, resource: ResourceName, name: str, fields: tuple[str, ...]
    ) -> list[Json]:
        """Return the row of one object.

        Raises:
            HttpError: 404: there is none.
        """
        try:
            rows = await self._rows(asked, resource, name, fields)
        except OpPrereqError as error:
            if is_unknown_entity(error):
                raise HttpError(404) from None
            raise
        if not rows:
            raise HttpError(404)
        return rows[0]

    async def _rows(
        self, asked: Asked, resource: ResourceName, name: str, fields: tuple[str, ...]
    ) -> list[list[Json]]:
        """Ask for one object by name, or for all."""
        luxi, lock = self.luxi, asked.flag("lock")
        names = (name,) if name else ()
        match resource:
            case "instances":
                return rows_of(await luxi.query_instances(names, fields, lock))
            case "nodes":
                return rows_of(await luxi.query_nodes(names, fields, lock))
            case "groups":
                return rows_of(await luxi.query_groups(names, fields, lock))
            case "networks":
                return rows_of(await luxi.query_networks(names, fields, lock))
            case "filters":
                return rows_of(await luxi.query_filters(names or None, fields))

    # --- single things

    async def _info(self, _: Asked) -> Json:
        info = await self.luxi.query_cluster_info()
        if not isinstance(info, dict):
            raise LuxiMisuse("the cluster's settings are no object")
        return _with_aliases(info, _INFO_ALIASES)

    async def _console(self, asked: Asked) -> Json:
        name = asked.values["instance_name"]
        console, runs = await self._only(asked, "instances", name, ("console", "oper_state"))
        if not runs:
            raise HttpError(503, "Instance console unavailable")
        return console

    async def _role(self, asked: Asked) -> Json:
        (role,) = await self._only(asked, "nodes", asked.values["node_name"], ("role",))
        return NODE_ROLES.get(str(role), role)

    # --- queries

    async def _query(self, asked: Asked) -> Json:
        condition: Json = None
        listed: Json = None
        if asked.route.method == "PUT":
            body = asked.members()
            condition, listed = body.get("qfilter", body.get("filter")), body.get("fields")
        fields = _fields(asked, listed)
        if fields is None:
            raise bad_request("Missing 'fields' query argument")
        return await self.luxi.query(_resource(asked), fields, condition)

    async def _query_fields(self, asked: Asked) -> Json:
        return await self.luxi.query_fields(_resource(asked), _fields(asked, None))

    # --- filter rules

    async def _add_filter(self, asked: Asked) -> Json:
        return await self._put_filter(asked, None)

    async def _replace_filter(self, asked: Asked) -> Json:
        return await self._put_filter(asked, asked.values["filter_uuid"])

    async def _put_filter(self, asked: Asked, uuid: str | None) -> Json:
        given = asked.members()
        unknown = given.keys() - {"priority", "predicates", "action", "reason"}
        priority, predicates = given.get("priority", 0), given.get("predicates", [])
        trail = given.get("reason", [])
        if unknown:
            raise bad_request(f"Invalid body parameters: {sorted(unknown)}")
        if type(priority) is not int or not isinstance(predicates, list):
            raise bad_request("'priority' must be a whole number, 'predicates' a list")
        if not isinstance(trail, list):
            raise bad_request("'reason' must be a list")
        action = given.get("action", "CONTINUE")
        reason = [*trail, *asked.reason()]
        return await self.luxi.replace_filter(uuid, priority, predicates, action, reason)

    async def _delete_filter(self, asked: Asked) -> Json:
        await self.luxi.delete_filter(asked.values["filter_uuid"])
        return None


async def _nothing(_: Asked) -> Json:
    return None


async def _version(_: Asked) -> Json:
    return VERSION


async def _features(_: Asked) -> Json:
    return list(FEATURES)


def rows_of(answer: Json) -> list[list[Json]]:
    """Check that an answer of LuxiD's is a list of rows.

    Raises:
        LuxiMisuse: it is not.
    """
    if not isinstance(answer, list) or not all(isinstance(row, list) for row in answer):
        raise LuxiMisuse("a table without rows")
    return cast("list[list[Json]]", answer)


def _arranged(resource: ResourceName, fields: tuple[str, ...], row: list[Json]) -> Object:
    found = dict(zip(fields, row, strict=True))
    backend = found.get("beparams")
    if resource == "instances" and isinstance(backend, dict) and "maxmem" in backend:
        found["beparams"] = {**backend, "memory": backend["maxmem"]}
    return found


def _with_aliases(found: Mapping[str, Json], aliases: Mapping[str, str]) -> Object:
    """Add what older clients look for under another name."""
    return {**found, **{alias: found[name] for name, alias in aliases.items() if name in found}}


def _resource(asked: Asked) -> QueryResource:
    """Return the resource by its name; whether there is one of that name LuxiD says."""
    return cast(QueryResource, asked.values["resource"])


def _fields(asked: Asked, listed: Json) -> tuple[str, ...] | None:
    if isinstance(listed, list) and all(isinstance(each, str) for each in listed):
        return tuple(listed)
    if listed is not None:
        raise bad_request("'fields' must be a list of names")
    text = asked.text("fields")
    return None if text is None else tuple(text.split(","))
