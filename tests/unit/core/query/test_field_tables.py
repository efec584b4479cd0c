"""Every field that Ganeti has, with its title, kind, source and way to be compared."""

from collections.abc import Mapping
from typing import Any

import pytest

from gantry.core.query.cluster_fields import CLUSTER
from gantry.core.query.engine import DEFINITIONS, query_fields
from gantry.core.query.external_storage import PROVIDERS
from gantry.core.query.fields import Field, Table, table
from gantry.core.query.groups import GROUPS
from gantry.core.query.instances import INSTANCES
from gantry.core.query.jobs import JOBS
from gantry.core.query.networks import NETWORKS
from gantry.core.query.nodes import NODES
from gantry.core.query.os_fields import OS_DEFINITIONS
from gantry.core.query.records import EXPORTS, LOCKS, RULES
from gantry.protocols.query import RESOURCES, AnyResource, Resource

TABLES: Mapping[AnyResource, Any] = {
    each.resource: each
    for each in (INSTANCES, NODES, GROUPS, NETWORKS, JOBS, LOCKS, RULES, EXPORTS)
}


@pytest.mark.parametrize("resource", RESOURCES)
def test_names_titles_and_kinds_are_ganetis(
    resource: Resource, resources: Mapping[str, Any]
) -> None:
    ours = {each.name: (each.title, each.kind) for each in DEFINITIONS[resource](None)}
    theirs = {each["name"]: (each["title"], each["kind"]) for each in resources[resource]["fields"]}
    assert ours == theirs


@pytest.mark.parametrize("of_jobs", [CLUSTER, OS_DEFINITIONS, PROVIDERS])
def test_what_only_jobs_query_has_ganetis_fields(
    of_jobs: Table[object], resources: Mapping[str, Any]
) -> None:
    ours = {each.name: (each.title, each.kind) for each in of_jobs.definitions(None)}
    theirs = {
        each["name"]: (each["title"], each["kind"])
        for each in resources[of_jobs.resource]["fields"]
    }
    assert ours == theirs


@pytest.mark.parametrize("resource", RESOURCES)
def test_all_fields_are_described_in_ganetis_order(
    resource: Resource, recorded: Mapping[str, Any]
) -> None:
    ours: Any = query_fields(resource, None)
    theirs = recorded[f"queryfields_all_{resource}"]["response"]["result"]
    assert [each["name"] for each in ours["fields"]] == [each["name"] for each in theirs["fields"]]
    assert query_fields(resource, []) == ours


@pytest.mark.parametrize("resource", RESOURCES)
def test_some_fields_are_described_in_the_order_asked_for(
    resource: Resource, recorded: Mapping[str, Any]
) -> None:
    ours: Any = query_fields(resource, ["name", "nosuchfield"])
    theirs = recorded[f"queryfields_some_{resource}"]["response"]["result"]
    assert [{**each, "doc": ""} for each in ours["fields"]] == theirs["fields"]


@pytest.mark.parametrize("resource", ["instance", "node", "group", "network", "job", "filter"])
def test_live_fields_and_comparisons_are_ganetis(
    resource: Resource, resources: Mapping[str, Any]
) -> None:
    fields: Mapping[str, Field[object]] = TABLES[resource].fields
    for fact in resources[resource]["fields"]:
        ours = fields[fact["name"]]
        assert (ours.source != "configuration") == fact["live"], fact["name"]
        assert ours.comparing == fact.get("filter_mode", "plain"), fact["name"]


@pytest.mark.parametrize("resource", ["instance", "node", "group", "network", "job", "lock"])
def test_key_fields_are_ganetis(resource: Resource, resources: Mapping[str, Any]) -> None:
    assert TABLES[resource].key == resources[resource]["key_field"]


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_field_is_documented_and_no_title_has_blanks(resource: Resource) -> None:
    for each in DEFINITIONS[resource](None):
        assert each.doc, each.name
        assert " " not in each.title


def test_a_field_can_not_be_defined_twice() -> None:
    field: Field[object] = Field("name", "Name", "text", "Name", lambda _: (0, ""))
    with pytest.raises(ValueError, match="defined twice"):
        table("node", "name", [field], [field])
