"""The table of the remote API's routes; :mod:`gantry.protocols.rapi` says what its words mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gantry.protocols.rapi import (
    Access,
    Action,
    Compose,
    ComposeName,
    Fixed,
    FromPath,
    FromQuery,
    GetOne,
    GetTags,
    ListAll,
    ListKey,
    Lookup,
    LookupName,
    RapiRoute,
    ResourceName,
    Source,
    Submit,
    TagKind,
)
from gantry.protocols.routes import (
    Argument,
    HttpMethod,
    RouteTable,
    markdown_table,
    shown_arguments,
)

JOB_ID: Final = "job id"
BULK: Final = Argument("bulk", "flag", "all fields instead of names")
LOCK: Final = Argument("lock", "flag", "refused, as in Ganeti")
DRY_RUN: Final = FromQuery("dry-run", "flag")
FORCE: Final = FromQuery("force", "flag")
_INSTANCE: Final[Mapping[str, Source]] = {"instance_name": FromPath("instance_name")}
_NODE: Final[Mapping[str, Source]] = {"node_name": FromPath("node_name")}
_GROUP: Final[Mapping[str, Source]] = {"group_name": FromPath("group_name")}
_NETWORK: Final[Mapping[str, Source]] = {"network_name": FromPath("network_name")}
_DRY: Final[Mapping[str, Source]] = {"dry_run": DRY_RUN}


def _handler(template: str) -> str:
    """Return Ganeti's name of what serves a path: placeholders are named for what they hold."""
    names = {"{filter_uuid}": "uuid", "{job_id}": "id"}
    parts = [
        names.get(part, "name") if part.startswith("{") else part.replace("-", "_")
        for part in template.removeprefix("/2").strip("/").split("/")
        if part != "{disk}"
    ]
    return "_".join(parts)


def _arguments(action: Action) -> tuple[Argument, ...]:
    if not isinstance(action, Submit):
        return ()
    sources = action.parameters.values()
    return tuple(Argument(each.name, each.kind) for each in sources if isinstance(each, FromQuery))


def _route(
    method: HttpMethod,
    template: str,
    action: Action,
    answer: str,
    *arguments: Argument,
    access: Access | None = None,
    handler: str | None = None,
) -> RapiRoute:
    return RapiRoute(
        method=method,
        template=template,
        arguments=(*_arguments(action), *arguments),
        answer=answer,
        handler=_handler(template) if handler is None else handler,
        access=access or ("everybody" if method == "GET" else "writers"),
        action=action,
    )


def _look_up(template: str, name: LookupName, answer: str, *arguments: Argument) -> RapiRoute:
    return _route("GET", template, Lookup(name), answer, *arguments)


def _submit(
    method: HttpMethod,
    template: str,
    op_id: str,
    *parameters: Mapping[str, Source],
    body: bool = True,
    renames: Mapping[str, str] | None = None,
    **more: Source,
) -> RapiRoute:
    merged = {name: source for each in (*parameters, more) for name, source in each.items()}
    action = Submit(op_id, merged, "parameters" if body else "ignored", renames or {})
    return _route(method, template, action, JOB_ID)


def _compose(
    method: HttpMethod, template: str, name: ComposeName, op_id: str, *arguments: Argument
) -> RapiRoute:
    return _route(method, template, Compose(name, op_id), JOB_ID, *arguments)


def _collection(resource: ResourceName, key: ListKey) -> RapiRoute:
    answer = f"[{{{key}, uri}}], or with bulk [object]"
    lock = (LOCK,) if resource == "instances" else ()
    return _route("GET", f"/2/{resource}", ListAll(resource, key), answer, BULK, *lock)


def _item(resource: ResourceName, placeholder: str) -> RapiRoute:
    template = f"/2/{resource}/{{{placeholder}}}"
    lock = () if resource == "filters" else (LOCK,)
    return _route("GET", template, GetOne(resource, placeholder), "the object", *lock)


def _tags(parent: str, kind: TagKind, placeholder: str | None) -> tuple[RapiRoute, ...]:
    template = f"{parent}/tags"
    name: Source = Fixed(None) if placeholder is None else FromPath(placeholder)
    common: Mapping[str, Source] = {
        "kind": Fixed(kind),
        "name": name,
        "tags": FromQuery("tag", "texts"),
        "dry_run": DRY_RUN,
    }
    return (
        _route("GET", template, GetTags(kind, placeholder), "[tag]"),
        _submit("PUT", template, "OP_TAGS_SET", common, body=False),
        _submit("DELETE", template, "OP_TAGS_DEL", common, body=False),
    )


_GENERAL: Final = (
    _route("GET", "/", Lookup("nothing"), "null", handler="root"),
    _route("GET", "/2", Lookup("nothing"), "null", handler="2"),
    _look_up("/version", "version", "the version of the API: 2"),
    _look_up("/2/features", "features", "[name of an extension]"),
    _look_up("/2/info", "info", "the cluster's settings"),
    _look_up("/2/os", "os names", "[OS definition, with its variants]"),
    _route(
        "PUT",
        "/2/modify",
        Submit("OP_CLUSTER_SET_PARAMS", {}, forbidden=frozenset({"compression_tools"})),
        JOB_ID,
        handler="cluster_modify",
    ),
    _route(
        "PUT",
        "/2/redistribute-config",
        Submit("OP_CLUSTER_REDIST_CONF", {}),
        JOB_ID,
        handler="redist_config",
    ),
    *_tags("/2", "cluster", None),
)

_I: Final = "/2/instances/{instance_name}"

_INSTANCES: Final = (
    _collection("instances", "id"),
    _compose(
        "POST", "/2/instances", "create instance", "OP_INSTANCE_CREATE", Argument("dry-run", "flag")
    ),
    _compose(
        "POST",
        "/2/instances-multi-alloc",
        "allocate instances",
        "OP_INSTANCE_MULTI_ALLOC",
        Argument("dry-run", "flag"),
    ),
    _item("instances", "instance_name"),
    _submit(
        "DELETE", _I, "OP_INSTANCE_REMOVE", _INSTANCE, _DRY, ignore_failures=Fixed(value=False)
    ),
    _submit(
        "GET",
        f"{_I}/info",
        "OP_INSTANCE_QUERY_DATA",
        body=False,
        instances=FromPath("instance_name", "list"),
        static=FromQuery("static", "flag"),
    ),
    _route("GET", f"{_I}/console", Lookup("console"), "how to reach the console", access="readers"),
    _submit(
        "PUT",
        f"{_I}/startup",
        "OP_INSTANCE_STARTUP",
        _INSTANCE,
        _DRY,
        body=False,
        force=FORCE,
        no_remember=FromQuery("no_remember", "flag"),
    ),
    _submit(
        "PUT",
        f"{_I}/shutdown",
        "OP_INSTANCE_SHUTDOWN",
        _INSTANCE,
        _DRY,
        no_remember=FromQuery("no_remember", "flag"),
    ),
    _submit(
        "POST",
        f"{_I}/reboot",
        "OP_INSTANCE_REBOOT",
        _INSTANCE,
        _DRY,
        reboot_type=FromQuery("type", "text", "hard"),
        ignore_secondaries=FromQuery("ignore_secondaries", "flag"),
    ),
    _submit("PUT", f"{_I}/migrate", "OP_INSTANCE_MIGRATE", _INSTANCE),
    _submit("PUT", f"{_I}/failover", "OP_INSTANCE_FAILOVER", _INSTANCE),
    _submit("PUT", f"{_I}/rename", "OP_INSTANCE_RENAME", _INSTANCE),
    _submit(
        "PUT",
        f"{_I}/modify",
        "OP_INSTANCE_SET_PARAMS",
        _INSTANCE,
        renames={"custom_beparams": "beparams", "custom_hvparams": "hvparams"},
    ),
    _compose(
        "POST",
        f"{_I}/reinstall",
        "reinstall instance",
        "OP_INSTANCE_REINSTALL",
        Argument("os", "text"),
        Argument("nostartup", "flag"),
    ),
    _compose(
        "POST",
        f"{_I}/replace-disks",
        "replace disks",
        "OP_INSTANCE_REPLACE_DISKS",
        *(Argument(name, "text") for name in ("mode", "disks", "remote_node", "iallocator")),
    ),
    _submit(
        "PUT",
        f"{_I}/activate-disks",
        "OP_INSTANCE_ACTIVATE_DISKS",
        _INSTANCE,
        body=False,
        ignore_size=FromQuery("ignore_size", "flag"),
    ),
    _submit(
        "PUT",
        f"{_I}/deactivate-disks",
        "OP_INSTANCE_DEACTIVATE_DISKS",
        _INSTANCE,
        body=False,
        force=FORCE,
    ),
    _submit("POST", f"{_I}/recreate-disks", "OP_INSTANCE_RECREATE_DISKS", _INSTANCE),
    _submit(
        "POST",
        f"{_I}/disk/{{disk}}/grow",
        "OP_INSTANCE_GROW_DISK",
        _INSTANCE,
        disk=FromPath("disk", "number"),
    ),
    _submit(
        "PUT",
        f"{_I}/prepare-export",
        "OP_BACKUP_PREPARE",
        _INSTANCE,
        body=False,
        mode=FromQuery("mode", "text"),
    ),
    _submit(
        "PUT",
        f"{_I}/export",
        "OP_BACKUP_EXPORT",
        _INSTANCE,
        renames={"destination": "target_node"},
    ),
    *_tags(_I, "instance", "instance_name"),
)

_N: Final = "/2/nodes/{node_name}"

_NODES: Final = (
    _collection("nodes", "id"),
    _item("nodes", "node_name"),
    _look_up(f"{_N}/role", "node role", "the role's name", LOCK),
    _compose(
        "PUT",
        f"{_N}/role",
        "set node role",
        "OP_NODE_SET_PARAMS",
        Argument("force", "flag"),
        Argument("auto-promote", "flag"),
    ),
    _submit("POST", f"{_N}/modify", "OP_NODE_SET_PARAMS", _NODE),
    _submit("POST", f"{_N}/evacuate", "OP_NODE_EVACUATE", _NODE, _DRY),
    _compose(
        "POST",
        f"{_N}/migrate",
        "migrate node",
        "OP_NODE_MIGRATE",
        Argument("mode", "text"),
        Argument("live", "flag"),
    ),
    _submit("POST", f"{_N}/powercycle", "OP_NODE_POWERCYCLE", _NODE, force=FORCE),
    _route(
        "GET",
        f"{_N}/storage",
        Submit(
            "OP_NODE_QUERY_STORAGE",
            {
                "nodes": FromPath("node_name", "list"),
                "storage_type": FromQuery("storage_type", "text"),
                "output_fields": FromQuery("output_fields", "text", form="required comma list"),
            },
            "ignored",
        ),
        JOB_ID,
        access="writers",
    ),
    _compose(
        "PUT",
        f"{_N}/storage/modify",
        "modify storage",
        "OP_NODE_MODIFY_STORAGE",
        *(Argument(name, "text") for name in ("storage_type", "name")),
        Argument("allocatable", "flag"),
    ),
    _submit(
        "PUT",
        f"{_N}/storage/repair",
        "OP_REPAIR_NODE_STORAGE",
        _NODE,
        body=False,
        storage_type=FromQuery("storage_type", "text"),
        name=FromQuery("name", "text", form="required"),
    ),
    *_tags(_N, "node", "node_name"),
)

_G: Final = "/2/groups/{group_name}"

_GROUPS: Final = (
    _collection("groups", "name"),
    _submit("POST", "/2/groups", "OP_GROUP_ADD", _DRY, renames={"name": "group_name"}),
    _item("groups", "group_name"),
    _submit("DELETE", _G, "OP_GROUP_REMOVE", _GROUP, _DRY, body=False),
    _submit(
        "PUT",
        f"{_G}/modify",
        "OP_GROUP_SET_PARAMS",
        _GROUP,
        renames={f"custom_{name}": name for name in ("ndparams", "ipolicy", "diskparams")},
    ),
    _submit("PUT", f"{_G}/rename", "OP_GROUP_RENAME", _GROUP, _DRY),
    _submit("PUT", f"{_G}/assign-nodes", "OP_GROUP_ASSIGN_NODES", _GROUP, _DRY, force=FORCE),
    *_tags(_G, "nodegroup", "group_name"),
)

_NET: Final = "/2/networks/{network_name}"

_NETWORKS: Final = (
    _collection("networks", "name"),
    _submit("POST", "/2/networks", "OP_NETWORK_ADD", _DRY, renames={"name": "network_name"}),
    _item("networks", "network_name"),
    _submit("DELETE", _NET, "OP_NETWORK_REMOVE", _NETWORK, _DRY),
    _submit("PUT", f"{_NET}/connect", "OP_NETWORK_CONNECT", _NETWORK, _DRY),
    _submit("PUT", f"{_NET}/disconnect", "OP_NETWORK_DISCONNECT", _NETWORK, _DRY),
    _submit("PUT", f"{_NET}/modify", "OP_NETWORK_SET_PARAMS", _NETWORK),
    _submit("PUT", f"{_NET}/rename", "OP_NETWORK_RENAME", _NETWORK, _DRY),
    *_tags(_NET, "network", "network_name"),
)

_JOBS: Final = (
    _look_up("/2/jobs", "jobs", "[{id, uri}], or with bulk [job]", BULK),
    _look_up("/2/jobs/{job_id}", "job", "the job; all null but the id if there is none"),
    _route("DELETE", "/2/jobs/{job_id}", Lookup("cancel job"), "[whether, text]"),
    _route(
        "GET",
        "/2/jobs/{job_id}/wait",
        Lookup("job changes"),
        "{job_info, log_entries}, after at most 10 s",
        access="writers",
    ),
)

_QUERIES: Final = (
    _route(
        "GET",
        "/2/query/{resource}",
        Lookup("query"),
        "{fields, data}",
        Argument("fields", "text"),
        access="readers",
        handler="query",
    ),
    _route(
        "PUT",
        "/2/query/{resource}",
        Lookup("query"),
        "{fields, data}",
        Argument("fields", "text"),
        access="readers",
        handler="query",
    ),
    _route(
        "GET",
        "/2/query/{resource}/fields",
        Lookup("query fields"),
        "{fields}",
        Argument("fields", "text"),
        handler="query_fields",
    ),
)

_FILTERS: Final = (
    _collection("filters", "uuid"),
    _route("POST", "/2/filters", Lookup("add filter"), "uuid"),
    _item("filters", "filter_uuid"),
    _route("PUT", "/2/filters/{filter_uuid}", Lookup("replace filter"), "uuid"),
    _route("DELETE", "/2/filters/{filter_uuid}", Lookup("delete filter"), "null"),
)

ROUTES: Final = RouteTable(
    (*_GENERAL, *_INSTANCES, *_NODES, *_GROUPS, *_NETWORKS, *_JOBS, *_QUERIES, *_FILTERS),
    {"job_id": "[0-9]{1,18}", "disk": "[0-9]{1,18}"},
)


def markdown() -> str:
    """Return the reference table that lives in ``doc/design/``."""
    rows = [
        (
            each.method,
            f"`{each.template}`",
            each.access,
            f"`{each.action.op_id}`" if isinstance(each.action, Submit | Compose) else "",
            shown_arguments(each.arguments),
            each.answer,
        )
        for each in ROUTES.routes
    ]
    return markdown_table(("method", "path", "for", "opcode", "arguments", "answer"), rows)
