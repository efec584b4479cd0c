"""What a converter has compiled stays compiled, whatever is dumped next."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import frozen

from gantry.protocols import codec
from gantry.protocols.codec import dump, new_converter


@frozen
class Inner:
    """A member."""

    number: int


@frozen
class Outer:
    """A class with every kind of container."""

    many: tuple[Inner, ...]
    pair: tuple[str, Inner]
    named: Mapping[str, Inner]
    some: tuple[Inner, ...] | None
    anything: object


def test_containers_are_dumped_by_their_members_types() -> None:
    value = Outer((Inner(1),), ("a", Inner(2)), {"b": Inner(3)}, (Inner(4),), [5])
    assert dump(value) == {
        "many": [{"number": 1}],
        "pair": ["a", {"number": 2}],
        "named": {"b": {"number": 3}},
        "some": [{"number": 4}],
        "anything": [5],
    }


def test_untyped_containers_are_dumped_by_what_is_in_them() -> None:
    assert dump((Inner(1), {"x": [Inner(2)]})) == [{"number": 1}, {"x": [{"number": 2}]}]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (tuple[Inner, ...], (Inner(1),)),
        (tuple[Inner, int], (Inner(1), 2)),
        (list[Inner], [Inner(1)]),
        (Mapping[str, Inner], {"x": Inner(1)}),
        (tuple[Inner, ...] | None, (Inner(1),)),
        (None, (Inner(1),)),
        (None, {"x": Inner(1)}),
    ],
)
def test_a_new_type_of_container_forgets_no_compiled_class(hint: object, value: object) -> None:
    converter = new_converter()
    codec.prepare(Inner, converter=converter)
    compiled = converter.get_unstructure_hook(Inner)
    dump(value, hint, converter)
    assert converter.get_unstructure_hook(Inner) is compiled
