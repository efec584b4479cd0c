"""Random histories of jobs, whose processes die and which are cancelled, against a serial model.

The model knows instances by name: where they are, whether they run, their tags. A job changes it
as a whole or not at all; one that nobody cancels or gives up does what the model says.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import trio
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.operations.job_bench import JobBench, Ran
from tests.unit.operations.twin_cluster import TwinCluster

from gantry.core.config.verify import verify
from gantry.core.queue.attempts import DEATHS_MAX
from gantry.protocols.opcodes.instance import (
    OpInstanceCreate,
    OpInstanceReboot,
    OpInstanceRemove,
    OpInstanceRename,
    OpInstanceShutdown,
    OpInstanceStartup,
)
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.relocation import OpInstanceFailover, OpInstanceMigrate
from gantry.protocols.opcodes.tags import OpTagsDel, OpTagsSet


def full(name: str) -> str:
    return f"{name}.gnt.test"


NAMES = st.sampled_from(("a", "a", "a", "b")).map(full)
NODES = st.sampled_from(("node1", "node2", "node3")).map(full)
TAGS = st.sampled_from(("x", "y"))


@frozen
class Guest:
    """An instance as the model knows it."""

    node: str
    runs: bool
    tags: frozenset[str] = frozenset()


Model = dict[str, Guest]


def after(model: Model, job: Opcode) -> Model | None:  # noqa: C901, PLR0912 - one case per kind
    """Return what a job makes of the model; ``None``: it has to fail."""
    match job:
        case OpInstanceCreate(instance_name=name, pnode=node, start=start):
            return None if name in model else {**model, name: Guest(str(node), start)}
        case OpInstanceRename(instance_name=old, new_name=new):
            if old not in model or model[old].runs or new in model:
                return None
            return {new if name == old else name: guest for name, guest in model.items()}
        case OpTagsSet(name=str(name), tags=tags) | OpTagsDel(name=str(name), tags=tags):
            pass
        case _:
            name, tags = str(getattr(job, "instance_name")), ()  # noqa: B009 - they all have one
    if name not in model:
        return None
    guest = model[name]
    match job:
        case OpInstanceRemove():
            return {each: other for each, other in model.items() if each != name}
        case OpInstanceStartup() | OpInstanceReboot():
            guest = evolve(guest, runs=True)
        case OpInstanceShutdown():
            guest = evolve(guest, runs=False)
        case OpInstanceMigrate(target_node=str(node)):
            if not guest.runs or node == guest.node:
                return None
            guest = evolve(guest, node=node)
        case OpInstanceFailover(target_node=str(node)):
            if node == guest.node:
                return None
            guest = evolve(guest, node=node)
        case OpTagsSet():
            guest = evolve(guest, tags=guest.tags | {*tags})
        case OpTagsDel():
            if not guest.tags >= {*tags}:
                return None
            guest = evolve(guest, tags=guest.tags - {*tags})
        case _:
            raise AssertionError(job)
    return {**model, name: guest}


def seen(cluster: TwinCluster) -> Model:
    """Return what the cluster looks like; nodes and configuration have to say the same."""
    configuration = cluster.wconfd.state.configuration
    found: Model = {}
    for instance in configuration.instances.values():
        if instance.name not in (full("a"), full("b")):
            continue
        nodes = {each.uuid: each for each in cluster.all()}
        running = [node.name for node in cluster.all() if instance.name in node.running]
        home, is_up = nodes[instance.primary_node].name, instance.admin_state == "up"
        assert running == ([home] if is_up else [])
        found[instance.name] = Guest(home, is_up, frozenset(instance.tags))
    kept = {disk.uuid for disk in configuration.disks.values()}
    wanted = {uuid for each in configuration.instances.values() for uuid in each.disks}
    assert kept == wanted
    assert len(cluster.shared) == len(found)
    assert not any(node.incoming or node.begun for node in cluster.all())
    assert not list(verify(cluster.wconfd.state))
    return found


def add(name: str, node: str, *, start: bool) -> OpInstanceCreate:
    return OpInstanceCreate(
        instance_name=name,
        pnode=node,
        start=start,
        mode="create",
        disk_template="sharedfile",
        disks=({"size": 128},),
        nics=(),
        os_type="noop",
        name_check=False,
        ip_check=False,
        ignore_ipolicy=True,
    )


JOBS: st.SearchStrategy[Opcode] = st.one_of(
    st.builds(lambda name, node, start: add(name, node, start=start), NAMES, NODES, st.booleans()),
    st.builds(lambda name: OpInstanceRemove(instance_name=name), NAMES),
    st.builds(lambda name: OpInstanceStartup(instance_name=name), NAMES),
    st.builds(lambda name: OpInstanceShutdown(instance_name=name), NAMES),
    st.builds(lambda name: OpInstanceReboot(instance_name=name, reboot_type="hard"), NAMES),
    st.builds(
        lambda old, new: OpInstanceRename(instance_name=old, new_name=new, name_check=False),
        NAMES,
        NAMES,
    ),
    st.builds(
        lambda name, node: OpInstanceMigrate(instance_name=name, target_node=node), NAMES, NODES
    ),
    st.builds(
        lambda name, node: OpInstanceFailover(instance_name=name, target_node=node), NAMES, NODES
    ),
    st.builds(
        lambda name, tags: OpTagsSet(kind="instance", name=name, tags=tuple(tags)),
        NAMES,
        st.sets(TAGS, min_size=1),
    ),
    st.builds(
        lambda name, tags: OpTagsDel(kind="instance", name=name, tags=tuple(tags)),
        NAMES,
        st.sets(TAGS, min_size=1),
    ),
)


@frozen
class Disturbed:
    """A job, and what happens to it after so many of its step records."""

    job: Opcode
    deaths: tuple[int, ...] = ()
    cancelled_after: int | None = None

    @property
    def must_go_its_way(self) -> bool:
        """Whether nothing happens to it that may turn it back."""
        return len(self.deaths) < DEATHS_MAX and self.cancelled_after is None


MOMENTS = st.integers(1, 20)
DEATHS = st.lists(MOMENTS, min_size=1, max_size=DEATHS_MAX).map(lambda each: tuple(sorted(each)))
HISTORIES = st.builds(
    lambda node, start, rest: [Disturbed(add(full("a"), node, start=start)), *rest],
    NODES,
    st.booleans(),
    st.lists(
        st.builds(Disturbed, JOBS)
        | st.builds(Disturbed, JOBS, DEATHS)
        | st.builds(Disturbed, JOBS, st.just(()), MOMENTS)
        | st.builds(Disturbed, JOBS, DEATHS, MOMENTS),
        min_size=4,
        max_size=12,
    ),
)


async def run(bench: JobBench, each: Disturbed) -> Ran:
    gives_up = len(each.deaths) == DEATHS_MAX
    return await bench.run(
        each.job,
        kill_after=each.deaths,
        cancel_after=each.cancelled_after,
        then="roll back" if gives_up else "run",
    )


@settings(max_examples=40)
@given(HISTORIES)
def test_each_job_does_what_the_model_says_or_nothing(history: list[Disturbed]) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            bench, model = JobBench(Path(folder)), Model()
            for each in history:
                expected = after(model, each.job)
                ran = await run(bench, each)
                if ran.statuses == {0: "success"}:
                    assert expected is not None, (each, ran.results)
                    model = expected
                else:
                    assert expected is None or not each.must_go_its_way, (each, ran.results)
                assert seen(bench.cluster) == model, (each, ran.statuses, ran.log)

    trio.run(live)
