"""Large answers are made in short slices, and come out as if made at once."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gantry.core.query import plan as planning
from gantry.core.query import slices
from gantry.core.query.engine import plan_query
from gantry.core.query.live import NO_LIVE_DATA
from gantry.core.query.plan import PLAIN, Chosen, Form, Rows, typed
from gantry.core.query.slices import Slices, at_once
from gantry.core.query.view import View
from gantry.protocols.codec import rendered
from gantry.protocols.errors import ParameterError
from gantry.protocols.query import parse_query

LIVE_AND_NOT = ["name", "status", "disk.sizes", "hvparams", "tags"]


def counted(work: Slices[Any]) -> tuple[Any, int]:
    number = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, number
        number += 1


@pytest.fixture
def single_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "ROWS_MAX", 1)


@pytest.mark.usefixtures("single_rows")
@pytest.mark.parametrize("what", ["instance", "node", "group", "network", "filter", "export"])
def test_many_pieces_are_the_same_answer(
    what: str, view: View, resources: Mapping[str, Any]
) -> None:
    fields = [each["name"] for each in resources[what]["fields"]]
    chosen = plan_query(parse_query(what, fields, None), view, {}).chosen()
    rows = at_once(chosen.match(NO_LIVE_DATA))
    assert len(list(rows.rendered(PLAIN))) == rows.count
    assert answered(rows, typed(rows.columns)) == as_json(chosen.answer())
    assert answered(rows, PLAIN) == as_json(chosen.plain())


def answered(rows: Rows, form: Form) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(form.head + b",".join(rows.rendered(form)) + form.tail)


def as_json(value: object) -> object:
    return json.loads(rendered(value))


@pytest.mark.usefixtures("single_rows")
def test_whoever_drives_gets_a_turn_after_each_part(view: View) -> None:
    query = parse_query("instance", LIVE_AND_NOT, ["=", "status", "running"])
    chosen, turns = counted(plan_query(query, view, {}).choose())
    assert isinstance(chosen, Chosen)
    assert turns == 2 * len(view.instances)  # for the filter, and for whom to ask
    rows, turns = counted(chosen.match(NO_LIVE_DATA))
    assert isinstance(rows, Rows)
    assert turns == len(view.instances)


def test_nothing_is_looked_at_for_a_filter_that_is_none(view: View) -> None:
    rows = at_once(
        plan_query(parse_query("instance", [], None), view, {}).chosen().match(NO_LIVE_DATA)
    )
    assert rows.cells() == [[], [], []]
    assert answered(rows, typed(rows.columns)) == {"fields": [], "data": [[], [], []]}


def test_no_rows_are_an_empty_list(view: View) -> None:
    rows = at_once(
        plan_query(parse_query("instance", ["name"], ["|"]), view, {}).chosen().match(NO_LIVE_DATA)
    )
    assert answered(rows, PLAIN) == []
    assert answered(rows, typed(rows.columns))["data"] == []


def test_what_can_fail_fails_before_anything_is_rendered(view: View) -> None:
    plan = plan_query(parse_query("instance", ["name"], ["=", "name", 5]), view, {})
    with pytest.raises(ParameterError):
        plan.chosen()
    live = plan_query(parse_query("instance", ["name"], ["=", "status", 5]), view, {}).chosen()
    with pytest.raises(ParameterError):
        at_once(live.match(NO_LIVE_DATA))


def test_slices_have_bounds() -> None:
    assert [len(part) for part in slices.parts(range(450), 200)] == [200, 200, 50]
