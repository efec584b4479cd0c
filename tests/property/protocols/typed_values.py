"""Hypothesis strategies made from types: whatever a frozen class declares can be generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, partial
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs
from hypothesis import reject
from hypothesis import strategies as st
from immutables import Map

from gantry.protocols.identity import Key
from gantry.protocols.objects.disk import LOGICAL_IDS, Disk
from gantry.protocols.objects.wire import EXTRA, ConfigObject
from gantry.protocols.opcodes.secrecy import Private, Secret
from gantry.protocols.values import Constraint, Json

T = TypeVar("T")

ITEMS_MAX: Final = 3
"""Short collections find as much as long ones, sooner."""

NAMES: Final = st.text(max_size=6)
NUMBERS: Final = st.integers(0, 15) | st.integers(-(2**53), 2**53)
FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False)

JSON: Final[st.SearchStrategy[Json]] = st.recursive(
    st.none() | st.booleans() | NUMBERS | FLOATS | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
PLACES: Final = st.integers(0, 9)
UNKNOWN_KEYS: Final = st.dictionaries(NAMES.map("x-{}".format), JSON, max_size=1)

SCALARS: Final[dict[object, st.SearchStrategy[Any]]] = {
    bool: st.booleans(),
    int: NUMBERS,
    float: FLOATS,
    str: NAMES,
    NoneType: st.none(),
    object: JSON,
    Key: st.builds(Key, job=PLACES, opcode=PLACES, step=PLACES),
}


def values(cls: type[T]) -> st.SearchStrategy[T]:
    """Return a strategy for the values of a frozen class."""
    return cast("st.SearchStrategy[T]", _values(cls))


def _values(hint: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a hint is any type form
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, NewType):
        return _values(hint.__supertype__)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    origin = get_origin(hint)
    if origin in GENERICS:
        return GENERICS[origin](*get_args(hint))
    return _class(hint)


@cache
def _class(cls: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a hint is any type form
    return st.deferred(lambda: _build(cls))  # a class may be made of others of its kind


def _build(cls: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a hint is any type form
    if cls is Disk:
        return disks(depth=1)
    hints = get_type_hints(cls, include_extras=True)
    fields = {each.name: _values(hints[each.name]) for each in attrs.fields(cls)}
    if issubclass(cls, ConfigObject):
        fields[EXTRA] = UNKNOWN_KEYS
    return st.builds(partial(_proper, cls), **fields)


def _proper(cls: type[T], **fields: object) -> T:
    """Make an object, unless its own validators object."""
    try:
        return cls(**fields)
    except ValueError:
        reject()


def disks(depth: int) -> st.SearchStrategy[Disk]:
    """Return a strategy for disks with up to ``depth`` generations of devices below them."""
    hints = get_type_hints(Disk, include_extras=True)
    fields = {each.name: _values(hints[each.name]) for each in attrs.fields(Disk) if _plain(each)}
    below = st.lists(disks(depth - 1), max_size=2).map(tuple) if depth else st.just(())

    def of_template(template: str) -> st.SearchStrategy[Disk]:
        place = _class(cast("dict[str, Any]", LOGICAL_IDS)[template])
        known = {"dev_type": st.just(template), "logical_id": place, "children": below}
        return st.builds(Disk, **{**fields, **known, EXTRA: UNKNOWN_KEYS})

    return st.sampled_from(sorted(LOGICAL_IDS)).flatmap(of_template)


def _plain(attribute: attrs.Attribute[object]) -> bool:
    return attribute.name not in {"dev_type", "logical_id", "children", EXTRA}


def _annotated(inner: object, *notes: object) -> st.SearchStrategy[Any]:
    found = _values(inner)
    if inner is str:
        found = found | NAMES.map("/{}".format)
    for note in notes:
        if isinstance(note, Constraint):
            found = found.filter(note.holds)
    return found


def _tuple(*items: object) -> st.SearchStrategy[Any]:
    if len(items) == 2 and items[1] is Ellipsis:
        return st.lists(_values(items[0]), max_size=ITEMS_MAX).map(tuple)
    return st.tuples(*map(_values, items))


def _union(*members: object) -> st.SearchStrategy[Any]:
    return st.one_of(*map(_values, members))


def _mapping(key: object, value: object) -> st.SearchStrategy[Any]:
    return st.dictionaries(_values(key), _values(value), max_size=ITEMS_MAX)


def _map(key: object, value: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a hint is any type form
    """A persistent map; one of objects has them under their uuids, as the configuration does."""
    if not attrs.has(value):
        return _mapping(key, value).map(Map)
    objects = st.lists(_class(value), max_size=2, unique_by=lambda each: each.uuid)
    return objects.map(lambda found: Map({each.uuid: each for each in found}))


GENERICS: Final[dict[object, Callable[..., st.SearchStrategy[Any]]]] = {
    Annotated: _annotated,
    Literal: lambda *choices: st.sampled_from(choices),
    Union: _union,
    UnionType: _union,
    tuple: _tuple,
    frozenset: lambda item: st.frozensets(_values(item), max_size=ITEMS_MAX),
    Mapping: _mapping,
    Map: _map,
    Private: lambda inner: _values(inner).map(Private),
    Secret: lambda inner: _values(inner).map(Secret),
}
