"""What people want of the cluster: a mix of all operations that there are."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import define, field

from gantry.protocols.values import Json

Op = dict[str, Json]

ALLOCATOR: Final = "first"
COMMAND: Final = "ring-the-bell"
"""What may be run on nodes, and must not be done twice."""

MEMORY_MIB: Final = 128
MEMORY_STEP_MIB: Final = 4
"""Memory is rounded up to multiples of it."""
SPINDLES: Final = 25 * MEMORY_STEP_MIB
"""Above these each job that changes a setting has a value of its own, so that it is known later
whose value is there."""

APART: Final = "apart"
"""How the names of instances begin that are left alone."""

TEMPLATES: Final = ("file", "sharedfile", "sharedfile", "diskless")


@define(eq=False)
class Known:
    """What the people around the cluster know of it, which may be wrong."""

    nodes: list[str]
    chance: random.Random
    instances_max: int
    instances: dict[str, str] = field(factory=dict)
    """Those that were asked for, and the template of each."""
    groups: list[str] = field(factory=lambda: ["default"])
    networks: list[str] = field(factory=list)
    connected: set[str] = field(factory=set)
    """Networks that were asked to be connected to the first group."""
    spares: list[str] = field(factory=list)
    """Machines that may become nodes."""
    count: int = 0

    def fresh(self, word: str) -> str:
        """Return a name that nobody has used."""
        self.count += 1
        return f"{word}{self.count}"

    def number(self) -> int:
        """Return a number that nobody has used."""
        self.count += 1
        return self.count

    def spindles(self) -> int:
        """Return a number of spindles that nobody has used, and that is no size of a memory."""
        count = self.number()
        return SPINDLES + count + (count - 1) // (MEMORY_STEP_MIB - 1)

    def node(self) -> str:
        """Choose a node."""
        return self.chance.choice(self.nodes)

    def group(self) -> str:
        """Choose a node group other than the first one, which most nodes are in."""
        return self.chance.choice(self.groups[1:]) if self.groups[1:] else "nothing"

    def see(
        self,
        nodes: Sequence[str],
        instances: Mapping[str, str],
        groups: Sequence[str],
        networks: Sequence[str],
    ) -> None:
        """Learn what there is."""
        self.nodes = [*nodes]
        self.instances = {n: each for n, each in instances.items() if not n.startswith(APART)}
        self.groups = ["default", *(name for name in groups if name != "default")]
        self.networks = [*networks]

    def network(self) -> str:
        """Choose a network, or a name that none has."""
        return self.chance.choice(self.networks) if self.networks else "nowhere"

    def instance(self, *templates: str) -> str:
        """Choose an instance, or a name that none has."""
        fitting = [n for n, t in self.instances.items() if not templates or t in templates]
        known = fitting or [*self.instances] or ["nobody.gantry.test"]
        return self.chance.choice(known)


def _nic(known: Known) -> dict[str, Json]:
    """Return a NIC: of no network, or with an address that the cluster chooses."""
    usable = [name for name in known.networks if name in known.connected]
    if usable and known.chance.random() < 0.8:
        return {"network": known.chance.choice(usable), "ip": "pool"}
    return {}


def _create(known: Known) -> Op:
    if len(known.instances) >= known.instances_max:
        return _remove(known)
    name, chance = f"{known.fresh('inst')}.gantry.test", known.chance
    template = chance.choice(TEMPLATES)
    known.instances[name] = template
    sizes = [] if template == "diskless" else [{"size": 128}] * chance.randint(1, 2)
    return {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": name,
        "mode": "create",
        "disks": [*sizes],
        "nics": [_nic(known) for _ in range(chance.randint(0, 2))],
        "disk_template": template,
        "os_type": "noop",
        **({"pnode": known.node()} if chance.random() < 0.8 else {"iallocator": ALLOCATOR}),
        "start": chance.random() < 0.8,
        "name_check": False,
        "ip_check": False,
        "ignore_ipolicy": True,
    }


def _remove(known: Known) -> Op:
    name = known.instance()
    known.instances.pop(name, None)
    return {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": name}


def _rename(known: Known) -> Op:
    old, new = known.instance(), f"{known.fresh('inst')}.gantry.test"
    known.instances[new] = known.instances.pop(old, "file")
    return {
        "OP_ID": "OP_INSTANCE_RENAME",
        "instance_name": old,
        "new_name": new,
        "name_check": False,
        "ip_check": False,
    }


def _simple(op_id: str, **more: Json) -> Callable[[Known], Op]:
    def wish(known: Known) -> Op:
        return {"OP_ID": op_id, "instance_name": known.instance(), **more}

    return wish


def _move(op_id: str, **more: Json) -> Callable[[Known], Op]:
    def wish(known: Known) -> Op:
        name = known.instance("sharedfile")
        return {"OP_ID": op_id, "instance_name": name, "target_node": known.node(), **more}

    return wish


def _reboot(known: Known) -> Op:
    kind = known.chance.choice(("soft", "hard", "full"))
    return {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": known.instance(), "reboot_type": kind}


def _modify(known: Known) -> Op:
    memory = MEMORY_MIB + MEMORY_STEP_MIB * known.number()
    return {
        "OP_ID": "OP_INSTANCE_SET_PARAMS",
        "instance_name": known.instance(),
        "beparams": {"memory": memory},
        "ignore_ipolicy": True,
    }


def _delay(known: Known) -> Op:
    nodes = known.chance.sample(known.nodes, min(known.chance.randint(0, 2), len(known.nodes)))
    return {
        "OP_ID": "OP_TEST_DELAY",
        "duration": round(known.chance.uniform(0.0, 20.0), 2),
        "on_nodes": [*nodes],
        "on_master": not nodes,
    }


def _tag(known: Known) -> Op:
    kind = known.chance.choice(("cluster", "node", "instance", "nodegroup", "network"))
    names = {"cluster": None, "node": known.node(), "instance": known.instance()}
    names["network"] = known.network()
    name = names.get(kind, known.chance.choice(known.groups))
    return {"OP_ID": "OP_TAGS_SET", "kind": kind, "name": name, "tags": [known.fresh("tag")]}


def _untag(known: Known) -> Op:
    tag = f"tag{known.chance.randint(1, max(1, known.count))}"
    return {"OP_ID": "OP_TAGS_DEL", "kind": "cluster", "name": None, "tags": [tag]}


def _tags(known: Known) -> Op:
    return {"OP_ID": "OP_TAGS_GET", "kind": "cluster", "name": None}


def _add_group(known: Known) -> Op:
    name = known.fresh("rack")
    known.groups.append(name)
    return {"OP_ID": "OP_GROUP_ADD", "group_name": name}


def _remove_group(known: Known) -> Op:
    return {"OP_ID": "OP_GROUP_REMOVE", "group_name": known.group()}


def _rename_group(known: Known) -> Op:
    old, new = known.group(), known.fresh("rack")
    known.groups.append(new)
    return {"OP_ID": "OP_GROUP_RENAME", "group_name": old, "new_name": new}


def _assign(known: Known) -> Op:
    return {
        "OP_ID": "OP_GROUP_ASSIGN_NODES",
        "group_name": known.chance.choice(known.groups),
        "nodes": [known.node()],
        "force": True,
    }


def _group_params(known: Known) -> Op:
    return {
        "OP_ID": "OP_GROUP_SET_PARAMS",
        "group_name": known.chance.choice(known.groups),
        "ndparams": {"spindle_count": known.spindles()},
    }


ROLES: Final[tuple[Op, ...]] = (
    {"drained": True, "auto_promote": True},
    {"drained": False},
    {"drained": False},
    {"master_candidate": True},
    {"master_candidate": False, "auto_promote": True},
    {"master_candidate": False},
    {"master_capable": False, "auto_promote": True},
    {"master_capable": True},
    {"vm_capable": False},
    {"vm_capable": True},
)
"""What a node is made. Nobody calls one offline that is not: then its instances may run twice."""


def _role(known: Known) -> Op:
    settings: Op = {"ndparams": {"spindle_count": known.spindles()}}
    role = known.chance.choice((*ROLES, settings, settings))
    return {"OP_ID": "OP_NODE_SET_PARAMS", "node_name": known.node(), **role}


def _command(known: Known) -> Op:
    return {"OP_ID": "OP_RESTRICTED_COMMAND", "nodes": [known.node()], "command": COMMAND}


def _take_in(known: Known) -> Op:
    """Add a machine that is no node, or one that was taken out."""
    name = known.chance.choice([*known.spares, *known.spares, *known.nodes])
    if name not in known.nodes:
        known.nodes.append(name)
    return {"OP_ID": "OP_NODE_ADD", "node_name": name, "group": known.chance.choice(known.groups)}


def _take_out(known: Known) -> Op:
    name = known.chance.choice([*known.spares, known.node()])
    return {"OP_ID": "OP_NODE_REMOVE", "node_name": name}


def _cluster_params(known: Known) -> Op:
    settings: tuple[Op, ...] = (
        {"beparams": {"vcpus": known.chance.randint(1, 3)}},
        {"candidate_pool_size": known.chance.randint(3, 5)},
        {"max_running_jobs": known.chance.randint(3, 20)},
        {"default_iallocator": known.chance.choice((ALLOCATOR, ""))},
        {"ndparams": {"spindle_count": known.spindles()}},
        {"maintain_node_health": known.chance.random() < 0.5},
        {"mac_prefix": known.chance.choice(("aa:00:00", "aa:00:01"))},
    )
    return {"OP_ID": "OP_CLUSTER_SET_PARAMS", **known.chance.choice(settings)}


def _add_network(known: Known) -> Op:
    name = known.fresh("net")
    known.networks.append(name)
    place = len(known.networks)
    return {
        "OP_ID": "OP_NETWORK_ADD",
        "network_name": name,
        "network": f"198.51.{place}.0/28",
        "gateway": f"198.51.{place}.1",
    }


def _network(op_id: str, **more: Json) -> Callable[[Known], Op]:
    def wish(known: Known) -> Op:
        return {"OP_ID": op_id, "network_name": known.network(), **more}

    return wish


def _network_params(known: Known) -> Op:
    place, last = known.chance.randint(1, 4), known.chance.randint(2, 14)
    change = known.chance.choice(("add_reserved_ips", "remove_reserved_ips"))
    addresses = [f"198.51.{place}.{last}"]
    return {
        "OP_ID": "OP_NETWORK_SET_PARAMS",
        "network_name": known.network(),
        **known.chance.choice(({change: addresses}, {"mac_prefix": "aa:bb:cc"})),
    }


def _rename_network(known: Known) -> Op:
    old, new = known.network(), known.fresh("net")
    known.networks.append(new)
    return {"OP_ID": "OP_NETWORK_RENAME", "network_name": old, "new_name": new}


def _connect(known: Known) -> Op:
    if not known.networks:
        return _add_network(known)
    network, group = known.network(), known.chance.choice(["default", "default", *known.groups])
    if group == "default":
        known.connected.add(network)
    return {
        "OP_ID": "OP_NETWORK_CONNECT",
        "network_name": network,
        "group_name": group,
        "network_mode": "bridged",
        "network_link": "br0",
    }


def _disconnect(known: Known) -> Op:
    return {
        "OP_ID": "OP_NETWORK_DISCONNECT",
        "network_name": known.network(),
        "group_name": known.chance.choice(known.groups),
    }


def _of_group(op_id: str) -> Callable[[Known], Op]:
    def wish(known: Known) -> Op:
        return {"OP_ID": op_id, "group_name": known.chance.choice(known.groups)}

    return wish


def _query(known: Known) -> Op:
    what = known.chance.choice(("node", "instance", "group", "network", "job", "lock"))
    fields = ["id"] if what == "job" else ["name"]
    return {"OP_ID": "OP_QUERY", "what": what, "fields": [*fields], "qfilter": None}


def _node(op_id: str, **more: Json) -> Callable[[Known], Op]:
    def wish(known: Known) -> Op:
        return {"OP_ID": op_id, "node_name": known.node(), **more}

    return wish


def _plain(op_id: str, **more: Json) -> Callable[[Known], Op]:
    def wish(_: Known) -> Op:
        return {"OP_ID": op_id, **more}

    return wish


WISHES: Final[Mapping[str, tuple[int, Callable[[Known], Op]]]] = {
    "create": (18, _create),
    "remove": (5, _remove),
    "start": (5, _simple("OP_INSTANCE_STARTUP")),
    "start as a trial": (1, _simple("OP_INSTANCE_STARTUP", dry_run=True)),
    "stop": (5, _simple("OP_INSTANCE_SHUTDOWN")),
    "reboot": (3, _reboot),
    "rename": (2, _rename),
    "reinstall": (3, _simple("OP_INSTANCE_REINSTALL")),
    "migrate": (6, _move("OP_INSTANCE_MIGRATE", allow_failover=True)),
    "fail over": (4, _move("OP_INSTANCE_FAILOVER")),
    "modify": (3, _modify),
    "activate": (1, _simple("OP_INSTANCE_ACTIVATE_DISKS")),
    "deactivate": (1, _simple("OP_INSTANCE_DEACTIVATE_DISKS")),
    "console": (1, _simple("OP_INSTANCE_CONSOLE")),
    "delay": (8, _delay),
    "tag": (10, _tag),
    "untag": (3, _untag),
    "tags": (1, _tags),
    "search": (1, _plain("OP_TAGS_SEARCH", pattern="tag.*")),
    "add group": (2, _add_group),
    "remove group": (1, _remove_group),
    "rename group": (1, _rename_group),
    "assign": (1, _assign),
    "group params": (1, _group_params),
    "role": (4, _role),
    "take in": (3, _take_in),
    "take out": (2, _take_out),
    "leave a node": (1, _node("OP_NODE_MIGRATE")),
    "evacuate": (1, _node("OP_NODE_EVACUATE", mode="primary-only", iallocator=ALLOCATOR)),
    "command": (3, _command),
    "clean up": (2, _node("OP_NODE_CLEAN_UP")),
    "add network": (3, _add_network),
    "network params": (2, _network_params),
    "rename network": (1, _rename_network),
    "connect": (4, _connect),
    "disconnect": (1, _disconnect),
    "remove network": (1, _network("OP_NETWORK_REMOVE")),
    "address up": (1, _plain("OP_CLUSTER_ACTIVATE_MASTER_IP")),
    "address down": (1, _plain("OP_CLUSTER_DEACTIVATE_MASTER_IP")),
    "cluster values": (1, _plain("OP_CLUSTER_CONFIG_QUERY", output_fields=["cluster_name"])),
    "verify all": (1, _plain("OP_CLUSTER_VERIFY")),
    "verify group": (1, _of_group("OP_CLUSTER_VERIFY_GROUP")),
    "disks of group": (1, _of_group("OP_GROUP_VERIFY_DISKS")),
    "details": (1, _plain("OP_INSTANCE_QUERY_DATA")),
    "query": (2, _query),
    "fields": (1, _plain("OP_QUERY_FIELDS", what="node", fields=None)),
    "cluster params": (3, _cluster_params),
    "cluster query": (1, _plain("OP_CLUSTER_QUERY")),
    "verify": (1, _plain("OP_CLUSTER_VERIFY_CONFIG")),
    "verify disks": (1, _plain("OP_CLUSTER_VERIFY_DISKS")),
    "diagnose": (1, _plain("OP_OS_DIAGNOSE", output_fields=["name"], names=[])),
}
"""How often each is wanted, and what it is."""


WHEN_STOPPED: Final = frozenset(
    {"OP_INSTANCE_RENAME", "OP_INSTANCE_REINSTALL", "OP_INSTANCE_DEACTIVATE_DISKS"}
)
"""What an instance that runs refuses: people mostly have it stopped first, in the same job."""


def draw(known: Known) -> tuple[Op, ...]:
    """Return the opcodes of one more job."""
    names = [*WISHES]
    weights = [WISHES[name][0] for name in names]
    count = 1 if known.chance.random() < 0.9 else 2
    chosen = known.chance.choices(names, weights, k=count)
    return tuple(op for name in chosen for op in _prepared(known, WISHES[name][1](known)))


def _prepared(known: Known, op: Op) -> tuple[Op, ...]:
    if op["OP_ID"] not in WHEN_STOPPED or known.chance.random() < 0.2:
        return (op,)
    return ({"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": op["instance_name"]}, op)
