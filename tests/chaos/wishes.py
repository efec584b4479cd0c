"""What a person wants next: a mix of all operations on what is theirs, and on nothing else.

So everybody knows what must have become of each job, although many work at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from attrs import define, field, frozen
from tests.chaos.belongings import Belongings, OwnGroup, OwnInstance, OwnNetwork, Template
from tests.crash import jobs as op

from gantry.cli.luxi import Opcode

GROUPS_MAX: Final = 2
NETWORKS_MAX: Final = 1
MEMORIES_MIB: Final = (128, 160, 192)


@frozen
class Wish:
    """One opcode."""

    opcode: Opcode
    instance: str | None = None
    """Which instance it is about."""
    then: Callable[[], object] = lambda: None
    """Notes what there is after it has succeeded; after anything else there is what was there."""


@frozen
class Guests:
    """What instances are like in a cluster, and how many of them it bears."""

    os: str
    disk_mib: int
    link: str
    """What routed networks of the cluster are linked with; bridged ones have their own."""
    each_max: int
    """Of one person: enough that all operations are drawn, few enough for the machine."""


FAKE: Final = Guests(os="plain", disk_mib=1, link="br0", each_max=4)
KVM: Final = Guests(os="busybox", disk_mib=32, link="br0", each_max=2)


@define(eq=False)
class Wishing:
    """What one person may want."""

    name: str
    number: int
    """Of the person; their networks do not overlap with those of others."""
    random: Random
    nodes: tuple[str, ...]
    guests: Guests
    own: Belongings = field(factory=Belongings)
    _count: int = 0

    def draw(self) -> tuple[Wish, ...]:
        """Return the opcodes of the next job."""
        if self.random.random() < 0.1:
            return tuple(self._tag_cluster() for _ in range(self.random.randint(2, 3)))
        if len(self.own.usable()) < self.guests.each_max // 2:
            return (self._create(),)
        while True:
            name = self.random.choices(*WEIGHED)[0]
            wish = WISHES[name][1](self)
            if wish is not None:
                return (wish,)

    def fresh(self, word: str) -> str:
        """Return a name that nobody has used."""
        self._count += 1
        return f"{self.name}-{word}{self._count}"

    def node(self) -> str:
        """Choose a node."""
        return self.random.choice(self.nodes)

    def instance(
        self, *, runs: bool | None = None, template: Template | None = None
    ) -> tuple[str, OwnInstance] | None:
        """Choose one of the person's instances that is so, if there is one."""
        fitting = [
            (name, self.own.instances[name])
            for name in self.own.usable()
            if runs in (None, self.own.instances[name].runs)
            and template in (None, self.own.instances[name].template)
        ]
        return self.random.choice(fitting) if fitting else None

    # --- making and removing -----------------------------------------------------------------

    def _create(self) -> Wish:
        template: Template = self.random.choice(("sharedfile", "sharedfile", "file", "diskless"))
        name, memory = self.fresh("i"), self.random.choice(MEMORIES_MIB)
        runs = self.random.random() < 0.8
        count = 0 if template == "diskless" else self.random.randint(1, 2)
        made = op.add(
            name,
            self.node(),
            disk_template=template,
            disks=[{"size": self.guests.disk_mib}] * count,
            nics=self._nics(),
            os_type=self.guests.os,
            no_install=template == "diskless",
            beparams={"memory": memory},
            ignore_ipolicy=True,
            start=runs,
        )
        new = OwnInstance(template, runs, memory)
        return Wish(made, name, lambda: self.own.instances.update({name: new}))

    def _nics(self) -> list[dict[str, str]]:
        pools = [name for name, network in self.own.networks.items() if network.connected]
        nics: list[dict[str, str]] = [{}] * self.random.randint(0, 2)
        if pools:
            nics = [*nics[:1], {"network": pools[0], "ip": "pool"}]
        return nics

    def create(self) -> Wish | None:
        """Make an instance, if there are not enough."""
        return None if len(self.own.instances) >= self.guests.each_max else self._create()

    def remove(self) -> Wish | None:
        """Remove an instance."""
        if (found := self.instance()) is None:
            return None
        return Wish(op.remove(found[0]), found[0], lambda: self.own.instances.pop(found[0]))

    def rename(self) -> Wish | None:
        """Give a stopped instance another name."""
        if (found := self.instance(runs=False)) is None:
            return None
        old, new = found[0], self.fresh("i")

        def then() -> None:
            self.own.instances[new] = self.own.instances.pop(old)

        return Wish(op.rename(old, new), old, then)

    # --- running -----------------------------------------------------------------------------

    def start(self) -> Wish | None:
        """Start a stopped instance."""
        if (found := self.instance(runs=False)) is None:
            return None
        return Wish(op.start(found[0]), found[0], lambda: setattr(found[1], "runs", True))

    def stop(self) -> Wish | None:
        """Stop a running instance."""
        if (found := self.instance(runs=True)) is None:
            return None
        return Wish(op.stop(found[0]), found[0], lambda: setattr(found[1], "runs", False))

    def migrate(self) -> Wish | None:
        """Move a running instance."""
        found = self.instance(runs=True, template="sharedfile")
        return None if found is None else Wish(op.migrate(found[0], self.node()), found[0])

    def fail_over(self) -> Wish | None:
        """Move an instance by stopping it."""
        if (found := self.instance(template="sharedfile")) is None:
            return None
        target = {"target_node": op.full(self.node()), "shutdown_timeout": 0}
        return Wish(_on(found[0], "OP_INSTANCE_FAILOVER", **target), found[0])

    def modify(self) -> Wish | None:
        """Give an instance another size."""
        if (found := self.instance()) is None:
            return None
        memory = self.random.choice(MEMORIES_MIB)
        opcode = _on(found[0], "OP_INSTANCE_SET_PARAMS", beparams={"memory": memory})
        return Wish(opcode, found[0], lambda: setattr(found[1], "memory_mib", memory))

    # --- groups and networks -----------------------------------------------------------------

    def add_group(self) -> Wish | None:
        """Add a node group."""
        if len(self.own.groups) >= GROUPS_MAX:
            return None
        name = self.fresh("g")
        opcode: Opcode = {"OP_ID": "OP_GROUP_ADD", "group_name": name}
        return Wish(opcode, then=lambda: self.own.groups.update({name: OwnGroup()}))

    def change_group(self) -> Wish | None:
        """Rename, set or remove a node group."""
        if not self.own.groups:
            return None
        name, new = self.random.choice([*self.own.groups]), self.fresh("g")
        group, spindles = self.own.groups[name], self.random.randint(1, 5)

        def renamed() -> None:
            self.own.groups[new] = self.own.groups.pop(name)

        def opcode(verb: str, **more: object) -> Opcode:
            return {"OP_ID": f"OP_GROUP_{verb}", "group_name": name, **more}

        return self.random.choice(
            [
                Wish(opcode("RENAME", new_name=new), then=renamed),
                Wish(
                    opcode("SET_PARAMS", ndparams={"spindle_count": spindles}),
                    then=lambda: setattr(group, "spindles", spindles),
                ),
                Wish(opcode("REMOVE"), then=lambda: self.own.groups.pop(name)),
            ]
        )

    def add_network(self) -> Wish | None:
        """Add a network."""
        if len(self.own.networks) >= NETWORKS_MAX:
            return None
        name, subnet = self.fresh("n"), f"198.51.100.{16 * self.number}/28"
        opcode: Opcode = {"OP_ID": "OP_NETWORK_ADD", "network_name": name, "network": subnet}
        return Wish(opcode, then=lambda: self.own.networks.update({name: OwnNetwork()}))

    def change_network(self) -> Wish | None:
        """Connect, disconnect or remove a network; used ones refuse that."""
        if not self.own.networks:
            return None
        [(name, network)] = self.own.networks.items()
        group: Opcode = {"network_name": name, "group_name": "default"}
        link = {"network_mode": "bridged", "network_link": self.guests.link}
        if not network.connected:
            connect = {"OP_ID": "OP_NETWORK_CONNECT", **group, **link}
            return Wish(connect, then=lambda: setattr(network, "connected", True))
        disconnect = {"OP_ID": "OP_NETWORK_DISCONNECT", **group}
        return Wish(disconnect, then=lambda: setattr(network, "connected", False))

    def remove_network(self) -> Wish | None:
        """Remove a network that is not connected."""
        for name, network in self.own.networks.items():
            if not network.connected:
                opcode: Opcode = {"OP_ID": "OP_NETWORK_REMOVE", "network_name": name}
                return Wish(opcode, then=lambda name=name: self.own.networks.pop(name))  # type: ignore[misc] # mypy infers no type for a lambda's default
        return None

    # --- tags --------------------------------------------------------------------------------

    def _tag_cluster(self) -> Wish:
        tag = self.fresh("t")
        return Wish(op.tag_cluster(tag), then=lambda: self.own.cluster_tags.add(tag))

    def tag(self) -> Wish:
        """Add a tag to something."""
        kinds: list[tuple[str, str, set[str]]] = [
            *(("instance", op.full(n), self.own.instances[n].tags) for n in self.own.usable()),
            *(("nodegroup", name, group.tags) for name, group in self.own.groups.items()),
            *(("network", name, network.tags) for name, network in self.own.networks.items()),
        ]
        if not kinds or self.random.random() < 0.5:
            return self._tag_cluster()
        (kind, name, tags), tag = self.random.choice(kinds), self.fresh("t")
        opcode: Opcode = {"OP_ID": "OP_TAGS_SET", "kind": kind, "name": name, "tags": [tag]}
        return Wish(opcode, then=lambda: tags.add(tag))

    def untag(self) -> Wish | None:
        """Remove a tag from the cluster."""
        if not self.own.cluster_tags:
            return None
        tag = self.random.choice(sorted(self.own.cluster_tags))
        return Wish(op.untag_cluster(tag), then=lambda: self.own.cluster_tags.discard(tag))


def _on(name: str, op_id: str, **more: object) -> Opcode:
    return {"OP_ID": op_id, "instance_name": op.full(name), **more}


def _plainly(
    op_id: str, *, runs: bool | None = None, **more: object
) -> Callable[[Wishing], Wish | None]:
    """Return a wish that leaves an instance as it is."""

    def wish(wishing: Wishing) -> Wish | None:
        found = wishing.instance(runs=runs)
        return None if found is None else Wish(_on(found[0], op_id, **more), found[0])

    return wish


def _reboot(wishing: Wishing) -> Wish | None:
    kind = wishing.random.choice(("soft", "hard", "full"))
    more = {"reboot_type": kind, "shutdown_timeout": 0}
    return _plainly("OP_INSTANCE_REBOOT", runs=True, **more)(wishing)


def _delay(wishing: Wishing) -> Wish:
    return Wish(op.delay(wishing.random.uniform(0.0, 2.0), wishing.node()))


def _asking(op_id: str, **more: object) -> Callable[[Wishing], Wish]:
    return lambda _: Wish({"OP_ID": op_id, **more})


WISHES: Final[Mapping[str, tuple[int, Callable[[Wishing], Wish | None]]]] = {
    "create": (12, Wishing.create),
    "remove": (6, Wishing.remove),
    "rename": (3, Wishing.rename),
    "start": (8, Wishing.start),
    "stop": (6, Wishing.stop),
    "reboot": (4, _reboot),
    "reinstall": (3, _plainly("OP_INSTANCE_REINSTALL", runs=False)),
    "migrate": (8, Wishing.migrate),
    "fail over": (4, Wishing.fail_over),
    "modify": (4, Wishing.modify),
    "activate": (1, _plainly("OP_INSTANCE_ACTIVATE_DISKS", runs=False)),
    "deactivate": (1, _plainly("OP_INSTANCE_DEACTIVATE_DISKS", runs=False)),
    "console": (1, _plainly("OP_INSTANCE_CONSOLE", runs=True)),
    "delay": (6, _delay),
    "tag": (8, Wishing.tag),
    "untag": (2, Wishing.untag),
    "add group": (2, Wishing.add_group),
    "change group": (3, Wishing.change_group),
    "add network": (2, Wishing.add_network),
    "change network": (3, Wishing.change_network),
    "remove network": (1, Wishing.remove_network),
    "tags": (1, _asking("OP_TAGS_GET", kind="cluster", name=None)),
    "search": (1, _asking("OP_TAGS_SEARCH", pattern="p.*")),
    "cluster query": (1, _asking("OP_CLUSTER_QUERY")),
    "verify": (1, _asking("OP_CLUSTER_VERIFY_CONFIG")),
    "verify disks": (1, _asking("OP_CLUSTER_VERIFY_DISKS")),
    "diagnose": (1, _asking("OP_OS_DIAGNOSE", output_fields=["name"], names=[])),
}
"""How often each is wanted, and what it is; ``None``: the person has nothing for it now."""

WEIGHED: Final = ([*WISHES], [weight for weight, _ in WISHES.values()])
