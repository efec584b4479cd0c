"""An instance's status: what is wanted compared with what was seen."""

from typing import Any

import attrs
import pytest

from gantry.core.query.instance_row import InstanceRow, Status
from gantry.core.query.instances import INSTANCES
from gantry.core.query.live import LiveData, NodeLive
from gantry.core.query.view import View
from gantry.protocols.identity import InstanceUuid, NodeUuid
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.objects.instance import ForthcomingInstance, Instance
from gantry.protocols.query import Cell
from gantry.protocols.runtime_types import InstanceRuntime, InstanceState, SocketConsole

NODE1 = NodeUuid("4d80e271-c4ae-4394-aae9-c634f98eb05e")
NODE2 = NodeUuid("30969da0-a282-463d-aea9-c0c473b1cad6")
INST2 = InstanceUuid("6ae7d516-e9f6-40a6-9718-229b12567466")


def seen(state: InstanceState) -> InstanceRuntime:
    return InstanceRuntime("inst2.gnt.test", INST2, "fake", state, 48, 3, 0.0, 1.0)


def answers(here: InstanceState | None, there: InstanceState | None = None) -> LiveData:
    """Both nodes answered; the first is the primary node."""
    return LiveData({
        NODE1: NodeLive(instances=() if here is None else (seen(here),)),
        NODE2: NodeLive(instances=() if there is None else (seen(there),)),
    })  # fmt: skip


def changed(
    configuration: Configuration,
    *,
    user_shutdown: bool = False,
    offline: bool = False,
    **change: Any,  # noqa: ANN401 - any of the instance's attributes
) -> Configuration:
    node = attrs.evolve(configuration.nodes[NODE1], offline=offline)
    instance = attrs.evolve(configuration.instances[INST2], **change)
    return attrs.evolve(
        configuration,
        cluster=attrs.evolve(configuration.cluster, enabled_user_shutdown=user_shutdown),
        nodes=configuration.nodes.set(NODE1, node),
        instances=configuration.instances.set(INST2, instance),
    )


def row(configuration: Configuration, live: LiveData) -> InstanceRow:
    return InstanceRow(configuration.instances[INST2], View(configuration), live)


def cells(row: InstanceRow, *names: str) -> list[Cell]:
    return [INSTANCES.fields[name].read(row) for name in names]


UP: dict[str, Any] = {"admin_state": "up"}
DOWN: dict[str, Any] = {"admin_state": "down"}
DOWN_BY_USER: dict[str, Any] = {"admin_state": "down", "admin_state_source": "user"}
OFFLINE: dict[str, Any] = {"admin_state": "offline"}
USERS = {"user_shutdown": True}


@pytest.mark.parametrize(
    ("wanted", "live", "status"),
    [
        (UP, answers("running"), "running"),
        (UP, answers("paused"), "running"),
        (UP, answers(None), "ERROR_down"),
        (UP, answers("crashed"), "ERROR_down"),
        (UP, answers("shutdown"), "ERROR_down"),
        (UP | USERS, answers("shutdown"), "USER_down"),
        (UP | USERS, answers("crashed"), "ERROR_down"),
        (UP | USERS | {"hypervisor": "kvm"}, answers("shutdown"), "ERROR_down"),
        (
            UP | USERS | {"hypervisor": "kvm", "hvparams": {"user_shutdown": True}},
            answers("shutdown"),
            "USER_down",
        ),
        (UP, answers(None, "running"), "ERROR_wrongnode"),
        (UP, answers("running", "running"), "running"),
        (UP, answers("running", "incoming"), "running"),
        (UP, answers(None, "incoming"), "ERROR_down"),
        (UP, answers(None, "crashed"), "ERROR_down"),
        (DOWN, answers(None), "ADMIN_down"),
        (DOWN, answers("running"), "ERROR_up"),
        (DOWN, answers("crashed"), "ADMIN_down"),
        (DOWN_BY_USER, answers(None), "ADMIN_down"),
        (DOWN_BY_USER | USERS, answers(None), "USER_down"),
        (OFFLINE, answers(None), "ADMIN_offline"),
        (OFFLINE, answers("running"), "ERROR_up"),
        (UP, LiveData({NODE2: NodeLive(instances=())}), "ERROR_nodedown"),
        (UP, LiveData({NODE1: NodeLive()}), "ERROR_nodedown"),
        (UP | {"offline": True}, answers("running"), "ERROR_nodeoffline"),
    ],
)
def test_status(
    configuration: Configuration, wanted: dict[str, Any], live: LiveData, status: Status
) -> None:
    assert cells(row(changed(configuration, **wanted), live), "status") == [(0, status)]


@pytest.mark.parametrize(
    ("wanted", "live", "expected"),
    [
        (UP, answers("running"), [(0, True), (0, 48), (0, 3)]),
        (UP, answers(None, "running"), [(0, True), (0, 48), (0, 3)]),
        (UP, answers(None), [(0, False), (3, None), (3, None)]),
        (UP, answers("shutdown"), [(0, False), (3, None), (3, None)]),
        (UP, LiveData(), [(2, None), (2, None), (2, None)]),
        (UP | {"offline": True}, LiveData(), [(4, None), (4, None), (4, None)]),
    ],
)
def test_what_runs(
    configuration: Configuration, wanted: dict[str, Any], live: LiveData, expected: list[Cell]
) -> None:
    found = cells(
        row(changed(configuration, **wanted), live), "oper_state", "oper_ram", "oper_vcpus"
    )
    assert found == expected


def test_a_socket_console_is_a_command_for_a_shell_on_its_node(
    configuration: Configuration,
) -> None:
    console = SocketConsole("node1.gnt.test", "/run/inst2.serial")
    live = LiveData(consoles={INST2: console})
    (cell,) = cells(row(configuration, live), "console")
    expected = {
        "instance": "inst2.gnt.test",
        "kind": "ssh",
        "host": "node1.gnt.test",
        "user": "root",
        "command": [
            "socat",
            "STDIO,raw,echo=0,escape=0x1d",
            "UNIX-CONNECT:/run/inst2.serial",
        ],
    }
    assert cell == (0, expected)
    assert cells(row(changed(configuration, offline=True), live), "console") == [(4, None)]


def test_of_a_forthcoming_instance_only_what_is_known_is_shown(
    configuration: Configuration,
) -> None:
    uuid = InstanceUuid("00000000-0000-4000-8000-000000000001")
    coming = ForthcomingInstance(uuid=uuid, serial_no=1, name="soon.gnt.test")
    coming_row = InstanceRow(coming, View(configuration), LiveData())
    shown = {name: field.read(coming_row) for name, field in INSTANCES.fields.items()}
    assert shown["forthcoming"] == (0, True)
    assert shown["name"] == (0, "soon.gnt.test")
    unknown = {"os", "pnode", "status", "oper_state", "admin_up", "mac", "console", "ctime"}
    assert {shown[name] for name in unknown} == {(3, None)}
    real_row = InstanceRow(configuration.instances[INST2], View(configuration), LiveData())
    assert isinstance(real_row.instance, Instance)
    assert INSTANCES.fields["forthcoming"].read(real_row) == (0, False)
