"""The remote API: what clients made for Ganeti's RAPI may ask over HTTPS, as one table of routes.

Each route says who may use it and what it does: an opcode to submit with where its parameters
come from, or something to look up. RapiD carries out what the table says; the reference in the
documentation is the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from attrs import field, frozen

from gantry.protocols.codec import Json
from gantry.protocols.routes import ArgumentKind, Route

PORT: Final = 5080
VERSION: Final = 2
CREATE_VERSION: Final = 1
"""The ``__version__`` that the body of a request to create an instance must have."""

FEATURES: Final = (
    "instance-create-reqv1",
    "instance-reinstall-reqv1",
    "node-evac-res1",
    "node-migrate-reqv1",
)

WAIT_SECONDS_MAX: Final = 10
"""The longest that one request waits for a job to change."""

USER_REASON: Final = "gnt:user"
LIBRARY_REASON: Final = "gnt:library:rlib2"
"""Sources of reason trail entries: what the request says, and RapiD with the route's handler."""

Access = Literal["everybody", "readers", "writers"]
"""``everybody``: no user is needed. ``readers``: users with the option read or write."""

# --- where an opcode's parameters come from ------------------------------------------------------


@frozen
class FromPath:
    """A placeholder of the path."""

    name: str
    form: Literal["text", "number", "list"] = "text"
    """``list``: as the only item of one."""


@frozen
class FromQuery:
    """An argument of the query part."""

    name: str
    kind: ArgumentKind
    default: str | None = None
    """For texts; a flag that is not given is false."""
    form: Literal["optional", "required", "required comma list"] = "optional"


@frozen
class Fixed:
    """Always the same."""

    value: Json


Source = FromPath | FromQuery | Fixed

# --- what a route does ---------------------------------------------------------------------------

Body = Literal["parameters", "ignored"]
"""``parameters``: an object of the opcode's other parameters."""


@frozen
class Submit:
    """Submit a job of one opcode; the answer is its id."""

    op_id: str
    parameters: Mapping[str, Source]
    """Those that the request's body may not give."""
    body: Body = "parameters"
    renames: Mapping[str, str] = field(factory=dict)
    """Keys of the body, and the parameters that they stand for."""
    forbidden: frozenset[str] = frozenset()
    """Parameters that may not be set over the network."""


ComposeName = Literal[
    "create instance",
    "allocate instances",
    "reinstall instance",
    "replace disks",
    "migrate node",
    "set node role",
    "modify storage",
]


@frozen
class Compose:
    """Submit a job whose opcodes are made from the request in a way of its own."""

    name: ComposeName
    op_id: str
    """The main opcode."""


ListKey = Literal["id", "name", "uuid"]
ResourceName = Literal["instances", "nodes", "groups", "networks", "filters"]


@frozen
class ListAll:
    """List a resource: names and URIs, or with ``bulk`` all fields."""

    resource: ResourceName
    key: ListKey


@frozen
class GetOne:
    """Return all fields of one object."""

    resource: ResourceName
    placeholder: str


TagKind = Literal["cluster", "instance", "node", "nodegroup", "network"]


@frozen
class GetTags:
    """Return the tags of an object."""

    kind: TagKind
    placeholder: str | None


LookupName = Literal[
    "nothing",
    "version",
    "features",
    "info",
    "jobs",
    "job",
    "cancel job",
    "job changes",
    "os names",
    "console",
    "node role",
    "query",
    "query fields",
    "add filter",
    "replace filter",
    "delete filter",
]


@frozen
class Lookup:
    """Answer in a way of its own, without an opcode of the caller's."""

    name: LookupName


Action = Submit | Compose | ListAll | GetOne | GetTags | Lookup


@frozen(kw_only=True)
class RapiRoute(Route):
    """A route of the remote API."""

    handler: str
    """As it is called in reason trails; Ganeti's names."""
    access: Access
    action: Action


# --- fields --------------------------------------------------------------------------------------

_TIMES: Final = ("ctime", "mtime", "uuid", "serial_no", "tags")

FIELDS: Final[Mapping[ResourceName, tuple[str, ...]]] = {
    "instances": (
        *("name", "admin_state", "os", "pnode", "snodes", "disk_template", "nic.ips", "nic.macs"),
        *("nic.modes", "nic.uuids", "nic.names", "nic.links", "nic.networks"),
        *("nic.networks.names", "nic.bridges", "network_port", "disk.sizes", "disk.spindles"),
        *("disk_usage", "disk.uuids", "disk.names", "beparams", "hvparams", "oper_state"),
        *("oper_ram", "oper_vcpus", "status", "custom_hvparams", "custom_beparams"),
        *("custom_nicparams", *_TIMES),
    ),
    "nodes": (
        *("name", "offline", "master_candidate", "drained", "dtotal", "dfree", "sptotal"),
        *("spfree", "mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt", "ctotal", "cnos"),
        *("cnodes", "csockets", "pip", "sip", "role", "pinst_list", "sinst_list"),
        *("master_capable", "vm_capable", "ndparams", "group.uuid", *_TIMES),
    ),
    "groups": (
        *("alloc_policy", "name", "node_cnt", "node_list", "ipolicy", "custom_ipolicy"),
        *("diskparams", "custom_diskparams", "ndparams", "custom_ndparams", *_TIMES),
    ),
    "networks": (
        *("name", "network", "gateway", "network6", "gateway6", "mac_prefix", "free_count"),
        *("reserved_count", "map", "group_list", "inst_list", "external_reservations", *_TIMES),
    ),
    "filters": ("watermark", "priority", "predicates", "action", "reason_trail", "uuid"),
}
"""What bulk lists and single objects hold."""

JOB_FIELDS_BULK: Final = (
    *("id", "ops", "status", "summary", "opstatus", "received_ts", "start_ts", "end_ts"),
)
JOB_FIELDS: Final = (*JOB_FIELDS_BULK, "oplog", "opresult")

NODE_ROLES: Final[Mapping[str, str]] = {
    "M": "master",
    "C": "master-candidate",
    "D": "drained",
    "O": "offline",
    "R": "regular",
}

ROLE_CHANGES: Final[Mapping[str, Mapping[str, bool]]] = {
    "regular": {"master_candidate": False, "offline": False, "drained": False},
    "master-candidate": {"master_candidate": True},
    "drained": {"drained": True},
    "offline": {"offline": True},
}
"""The parameters that a role which may be asked for stands for."""
