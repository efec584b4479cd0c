"""The table of routes compared with the reference's facts."""

import json
from pathlib import Path
from typing import Any

import pytest

from gantry.protocols.opcodes.registry import OPCODES
from gantry.protocols.rapi import (
    FEATURES,
    FIELDS,
    JOB_FIELDS,
    JOB_FIELDS_BULK,
    NODE_ROLES,
    ROLE_CHANGES,
    Access,
    Compose,
    RapiRoute,
    Submit,
)
from gantry.protocols.rapi_routes import ROUTES, markdown
from gantry.protocols.routes import Argument, Route, RouteTable

Facts = dict[str, Any]

FACTS: Facts = json.loads((Path(__file__).parents[2] / "facts" / "rapi.json").read_text())
REFERENCE: dict[tuple[str, str], tuple[Facts, str]] = {
    (method["method"], route["uri"]): (method, route["handler"])
    for route in FACTS["routes_detail"]
    for method in route["methods"]
}
NEWER: dict[tuple[str, str], tuple[Facts, str]] = {
    ("PUT", "/2/networks/{network_name}/rename"): (
        {"access": ["write"], "query": {"dry-run": {}}, "opcode": "OP_NETWORK_RENAME",
         "response": "job id"},
        "R_2_networks_name_rename",
    )
}  # fmt: skip
"""What came with Ganeti 3.1."""

REFERENCE |= NEWER

TOKENS: dict[Access, list[str]] = {
    "everybody": [],
    "readers": ["write", "read"],
    "writers": ["write"],
}


def test_nothing_is_missing_and_nothing_is_made_up() -> None:
    assert {(each.method, each.template) for each in ROUTES.routes} == REFERENCE.keys()
    assert len(ROUTES.routes) == FACTS["route_methods"] + len(NEWER)


@pytest.mark.parametrize("route", ROUTES.routes, ids=lambda r: f"{r.method} {r.template}")
def test_routes_are_those_of_the_reference(route: RapiRoute) -> None:
    facts, handler = REFERENCE[route.method, route.template]
    action = route.action

    assert TOKENS[route.access] == facts["access"]
    assert route.handler == handler.removeprefix("R_").removeprefix("2_")
    assert {argument.name for argument in route.arguments} == facts["query"].keys()
    if isinstance(action, Submit):
        assert action.op_id == facts["opcode"]
        assert (action.body == "ignored") == (facts.get("body") == "ignored")
        assert action.renames == facts.get("body_renames", {})
        assert sorted(action.forbidden) == facts.get("forbidden_params", [])
    elif isinstance(action, Compose):
        assert action.op_id == facts.get("opcode", facts.get("opcode_documented"))
    else:
        assert "opcode" not in facts
    if isinstance(action, Submit | Compose):
        assert action.op_id in OPCODES
        assert "job id" in facts["response"]


def test_fields_are_those_of_the_reference() -> None:
    facts = FACTS["bulk_fields"]
    assert {name: list(fields) for name, fields in FIELDS.items()} == {
        name: facts[name] for name in FIELDS
    }
    assert list(JOB_FIELDS_BULK) == facts["jobs(bulk)"]
    assert list(JOB_FIELDS) == facts["jobs(single)"]
    assert FACTS["node_roles"] == NODE_ROLES
    assert FACTS["role_put_mapping"] == ROLE_CHANGES
    assert list(FEATURES) == FACTS["features"]


def test_the_table_is_documentation() -> None:
    assert markdown().count("\n") == len(ROUTES.routes) + 1


@pytest.mark.parametrize(
    ("path", "template", "values"),
    [
        ((), "/", {}),
        (("2",), "/2", {}),
        (("2", "jobs", "12"), "/2/jobs/{job_id}", {"job_id": "12"}),
        (
            ("2", "instances", "a.b-c_1"),
            "/2/instances/{instance_name}",
            {"instance_name": "a.b-c_1"},
        ),
        (("2", "query", "node", "fields"), "/2/query/{resource}/fields", {"resource": "node"}),
    ],
)
def test_paths_that_are_found(path: tuple[str, ...], template: str, values: dict[str, str]) -> None:
    found = ROUTES.find(path)
    assert found is not None
    assert found.routes["GET"].template == template
    assert found.values == values


@pytest.mark.parametrize(
    "path",
    [
        ("2", ""),
        ("3",),
        ("2", "jobs", "abc"),
        ("2", "jobs", "1" * 19),
        ("2", "instances", ""),
        ("2", "instances", "a/b"),
        ("2", "instances", "a b"),
        ("2", "instances", "x", "nosuch"),
        ("2", "{instances}"),
    ],
)
def test_paths_that_are_not(path: tuple[str, ...]) -> None:
    assert ROUTES.find(path) is None


def test_a_route_that_is_there_twice_is_a_defect() -> None:
    twice = [Route(method="GET", template="/a", answer=text) for text in ("x", "y")]
    with pytest.raises(ValueError, match="twice"):
        RouteTable(tuple(twice))


def test_fixed_parts_come_before_placeholders() -> None:
    routes = [Route(method="GET", template=each, answer="") for each in ("/{name}", "/all")]
    found = RouteTable(tuple(routes)).find(("all",))
    assert found is not None
    assert found.values == {}
    assert Argument("bulk", "flag") == Argument("bulk", "flag", "")
