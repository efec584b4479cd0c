"""What people want of the cluster: a mix of all operations that there are."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from attrs import define, field

from gantry.protocols.values import Json

Op = dict[str, Json]

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
    count: int = 0

    def fresh(self, word: str) -> str:
        """Return a name that nobody has used."""
        self.count += 1
        return f"{word}{self.count}"

    def node(self) -> str:
        """Choose a node."""
        return self.chance.choice(self.nodes)

    def instance(self, *templates: str) -> str:
        """Choose an instance, or a name that none has."""
        fitting = [n for n, t in self.instances.items() if not templates or t in templates]
        return self.chance.choice(fitting) if fitting else "nobody.gantry.test"


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
        "nics": [{}] * chance.randint(0, 2),
        "disk_template": template,
        "os_type": "noop",
        "pnode": known.node(),
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
    known.instances[new] = known.instances.get(old, "file")
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
    memory = known.chance.choice((128, 256, 512))
    return {
        "OP_ID": "OP_INSTANCE_SET_PARAMS",
        "instance_name": known.instance(),
        "beparams": {"memory": memory},
    }


def _delay(known: Known) -> Op:
    nodes = known.chance.sample(known.nodes, known.chance.randint(0, 2))
    return {
        "OP_ID": "OP_TEST_DELAY",
        "duration": round(known.chance.uniform(0.0, 20.0), 2),
        "on_nodes": [*nodes],
        "on_master": not nodes,
    }


def _tag(known: Known) -> Op:
    kind = known.chance.choice(("cluster", "node", "instance", "nodegroup"))
    names = {"cluster": None, "node": known.node(), "instance": known.instance()}
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
    return {"OP_ID": "OP_GROUP_REMOVE", "group_name": known.chance.choice(known.groups)}


def _rename_group(known: Known) -> Op:
    old, new = known.chance.choice(known.groups), known.fresh("rack")
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
        "ndparams": {"spindle_count": known.chance.randint(1, 5)},
    }


def _drain_node(known: Known) -> Op:
    return {
        "OP_ID": "OP_NODE_SET_PARAMS",
        "node_name": known.node(),
        "drained": known.chance.random() < 0.3,
        "auto_promote": True,
    }


def _cluster_params(known: Known) -> Op:
    return {"OP_ID": "OP_CLUSTER_SET_PARAMS", "beparams": {"vcpus": known.chance.randint(1, 3)}}


def _node(op_id: str, **more: Json) -> Callable[[Known], Op]:
    def wish(known: Known) -> Op:
        return {"OP_ID": op_id, "node_name": known.node(), **more}

    return wish


def _plain(op_id: str, **more: Json) -> Callable[[Known], Op]:
    def wish(_: Known) -> Op:
        return {"OP_ID": op_id, **more}

    return wish


WISHES: Final[Mapping[str, tuple[int, Callable[[Known], Op]]]] = {
    "create": (14, _create),
    "remove": (5, _remove),
    "start": (5, _simple("OP_INSTANCE_STARTUP")),
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
    "drain": (2, _drain_node),
    "evacuate": (1, _node("OP_NODE_MIGRATE")),
    "cluster params": (1, _cluster_params),
    "cluster query": (1, _plain("OP_CLUSTER_QUERY")),
    "verify": (1, _plain("OP_CLUSTER_VERIFY_CONFIG")),
    "verify disks": (1, _plain("OP_CLUSTER_VERIFY_DISKS")),
    "diagnose": (1, _plain("OP_OS_DIAGNOSE", output_fields=["name"], names=[])),
}
"""How often each is wanted, and what it is."""


def draw(known: Known) -> tuple[Op, ...]:
    """Return the opcodes of one more job."""
    names = [*WISHES]
    weights = [WISHES[name][0] for name in names]
    count = 1 if known.chance.random() < 0.9 else 2
    chosen = known.chance.choices(names, weights, k=count)
    return tuple(WISHES[name][1](known) for name in chosen)
