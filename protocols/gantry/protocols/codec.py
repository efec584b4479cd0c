"""Turn JSON values into typed objects and back, strictly.

Parse, don't validate: a value that arrives is structured once, at the door, into frozen
classes; nothing is coerced (``"3"`` never becomes ``3``, ``true`` never becomes ``1``).

Unions of frozen classes travel as objects with the class name under :data:`TAG`. Unions of
scalars are told apart by the exact type of the JSON value. Two converters exist: :data:`OURS`
refuses unknown keys and is used for every protocol that is Gantry's own; Ganeti's data has its
own rules, which live with those classes (see :mod:`gantry.protocols.objects`).
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from reprlib import Repr
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
)

import attrs
import cattrs
import orjson
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from gantry.protocols.values import Constraint, RenderedJson
from gantry.protocols.values import Json as Json

TAG: Final = "kind"
"""The key that names the class of a value whose declared type is a union of classes."""

NESTING_MAX: Final = 200
"""Of containers in a JSON value. What is parsed can be rendered, which ends at 254, with some more
containers around it; and Python's recursion, by which values are looked at, ends at 1000."""

CLIENT_NESTING_MAX: Final = 100
"""In what clients send: it is put into other values, stored, and read again."""

SHOWN_CHARACTERS_MAX: Final = 60
"""Of a wrong value in an error's text."""

SCALARS: Final = (bool, int, float, str, type(None))

T = TypeVar("T")


class Malformed(ValueError):
    """A JSON value does not have the declared shape; the text says where and why."""


def _exactly(kind: type) -> Callable[[object, object], object]:
    def structure(value: object, _: object) -> object:
        if type(value) is not kind:
            raise Malformed(f"expected {kind.__name__}, got {_shown(value)}")
        return value

    return structure


def _float(value: object, _: object) -> float:
    """Accept any JSON number: writers may render an integral float as an integer."""
    if type(value) is int or type(value) is float:
        try:
            return float(cast(float, value))
        except OverflowError:
            raise Malformed(f"the number {_shown(value)} is too large") from None
    raise Malformed(f"expected a number, got {_shown(value)}")


def _shown(value: object) -> str:
    """Show a value, however large it is, without rendering all of it."""
    if isinstance(value, str):
        value = value[:SHOWN_CHARACTERS_MAX]
    text = repr(value) if type(value) in SCALARS else _OUTLINE.repr(value)
    return text if len(text) < SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "..."


def _outline() -> Repr:
    outline = Repr()
    outline.maxlevel, outline.maxstring, outline.maxother = 3, SHOWN_CHARACTERS_MAX, 60
    return outline


_OUTLINE: Final = _outline()


def _literal_hook(hint: Any) -> Callable[[object, object], object]:
    choices = {(type(choice), choice) for choice in get_args(hint)}

    def structure(value: object, _: object) -> object:
        if type(value) in SCALARS and (type(value), value) in choices:
            return value
        raise Malformed(f"expected one of {sorted(map(repr, get_args(hint)))}, got {_shown(value)}")

    return structure


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _plain(hint: Any) -> Any:
    """Look through NewType and Annotated to the type that travels."""
    while isinstance(hint, NewType) or _is_annotated(hint):
        hint = hint.__supertype__ if isinstance(hint, NewType) else hint.__origin__
    return hint


def _is_annotated(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def _is_literal(hint: Any) -> bool:
    return get_origin(hint) is Literal


def _is_set(hint: Any) -> bool:
    return hint in (set, frozenset) or get_origin(hint) in (set, frozenset, AbstractSet)


def _is_sequence(hint: Any) -> bool:
    return get_origin(hint) in (tuple, list, set, frozenset, Sequence, AbstractSet)


def _is_mapping(hint: Any) -> bool:
    return get_origin(hint) in (dict, Mapping)


def _sequence_hook(converter: cattrs.Converter, hint: Any) -> Callable[[object, object], object]:
    origin, arguments = get_origin(hint), get_args(hint)
    build = (
        list if origin is list else frozenset if origin in (set, frozenset, AbstractSet) else tuple
    )
    fixed = origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis)
    hooks = [(converter.get_structure_hook(a), a) for a in arguments if a is not Ellipsis]

    def structure(value: object, _: object) -> object:
        if type(value) is not list:
            raise Malformed(f"expected a list, got {_shown(value)}")
        items = cast("list[object]", value)
        if fixed:
            if len(items) != len(hooks):
                raise Malformed(f"expected {len(hooks)} items, got {len(items)}")
            return tuple(hook(item, a) for item, (hook, a) in zip(items, hooks, strict=True))
        hook, item_type = hooks[0]
        built = build([hook(item, item_type) for item in items])
        if build is frozenset and len(built) != len(items):
            raise Malformed("expected a list without duplicates")
        return built

    return structure


def _mapping_hook(converter: cattrs.Converter, hint: Any) -> Callable[[object, object], object]:
    key_type, value_type = get_args(hint)
    key_hook = converter.get_structure_hook(key_type)
    value_hook = converter.get_structure_hook(value_type)

    def structure(value: object, _: object) -> object:
        if type(value) is not dict:
            raise Malformed(f"expected an object, got {_shown(value)}")
        items = cast("dict[str, object]", value).items()
        return {key_hook(k, key_type): value_hook(v, value_type) for k, v in items}

    return structure


def _annotated_hook(converter: cattrs.Converter, hint: Any) -> Callable[[object, object], object]:
    inner = converter.get_structure_hook(hint.__origin__)
    constraints = [each for each in hint.__metadata__ if isinstance(each, Constraint)]

    def structure(value: object, _: object) -> object:
        structured = inner(value, hint.__origin__)
        for constraint in constraints:
            if not constraint.holds(structured):
                raise Malformed(f"expected {constraint.text}, got {_shown(value)}")
        return structured

    return structure


@attrs.frozen
class _Members:
    """The members of a union, sorted by how their JSON forms are told apart."""

    classes: dict[str, Any]
    scalars: tuple[Any, ...]
    others: tuple[Any, ...]

    @classmethod
    def of(cls, hint: Any) -> _Members:
        members = get_args(hint)
        classes = {m.__name__: m for m in members if attrs.has(m)}
        taken = [name for name, m in classes.items() if TAG in {a.name for a in attrs.fields(m)}]
        if taken and len(classes) > 1:
            raise TypeError(f'{taken}: an attribute "{TAG}" would hide the class in {hint}')
        scalars = tuple(m for m in members if _plain(m) in SCALARS or get_origin(m) is Literal)
        others = tuple(m for m in members if not attrs.has(m) and m not in scalars)
        if len(others) > 1 and not all(_is_sequence(o) or _is_mapping(o) for o in others):
            raise TypeError(f"the JSON forms of {hint} can not be told apart")
        return cls(classes, scalars, others)


@attrs.frozen
class _Member:
    """A member of a union that is no class."""

    hint: Any
    fits: Callable[[object], bool]
    """Whether a JSON value is of this member's form."""
    structure: Callable[[object, object], object]

    @classmethod
    def of(cls, hint: Any, members: _Members, converter: cattrs.Converter) -> _Member:
        fits = _fits_scalar(_plain(hint), members) if hint in members.scalars else _fits_other(hint)
        return cls(hint, fits, converter.get_structure_hook(hint))


def _fits_scalar(scalar: Any, members: _Members) -> Callable[[object], bool]:
    """Tell scalars by their exact type; an integer may stand for a float, if alone."""
    if get_origin(scalar) is Literal:
        choices = {(type(choice), choice) for choice in get_args(scalar)}
        return lambda value: type(value) in SCALARS and (type(value), value) in choices
    if scalar is float and int not in map(_plain, members.scalars):
        return lambda value: type(value) is float or type(value) is int
    return lambda value: type(value) is scalar


def _fits_other(hint: Any) -> Callable[[object], bool]:
    expects = dict if _is_mapping(hint) else list if _is_sequence(hint) else None
    return lambda value: expects is None or type(value) is expects


def _union_structure(converter: cattrs.Converter, hint: Any) -> Callable[[object, object], object]:
    members = _Members.of(hint)
    hooks = {name: converter.get_structure_hook(m) for name, m in members.classes.items()}
    lone = next(iter(members.classes.values())) if len(members.classes) == 1 else None
    rest = [_Member.of(m, members, converter) for m in (*members.scalars, *members.others)]

    def structure(value: object, _: object) -> object:
        if type(value) is dict and members.classes:
            body = dict(cast("dict[str, object]", value))
            if lone is not None:  # Optional[Class]: nothing to tell apart, so no tag
                return hooks[lone.__name__](body, lone)
            name = body.pop(TAG, None)
            if not isinstance(name, str) or name not in hooks:
                raise Malformed(f'"{TAG}" must be one of {sorted(hooks)}, got {_shown(name)}')
            return hooks[name](body, members.classes[name])
        for member in rest:
            if member.fits(value):
                return member.structure(value, member.hint)
        raise Malformed(f"expected {_shown_type(hint)}, got {_shown(value)}")

    return structure


def _union_unstructure(converter: cattrs.Converter, hint: Any) -> Callable[[object], object]:
    members = _Members.of(hint)
    tagged = len(members.classes) > 1
    by_class = {m: (name, converter.get_unstructure_hook(m)) for name, m in members.classes.items()}
    lone = members.others[0] if len(members.others) == 1 else None
    other = None if lone is None else converter.get_unstructure_hook(lone)

    def unstructure(value: object) -> object:
        if type(value) in by_class:
            name, hook = by_class[type(value)]
            return {TAG: name, **hook(value)} if tagged else hook(value)
        if other is not None and type(value) not in SCALARS:
            return cast(object, other(value))
        return converter.unstructure(value)

    return unstructure


# cattrs' own hooks for containers register themselves when they are made, which throws away what
# the converter has compiled until then: classes would be compiled again at each new type of list.


def _is_bare(hint: Any) -> bool:
    return hint in (tuple, list, dict)


def _bare_unstructure(converter: cattrs.Converter, hint: Any) -> Callable[[Any], object]:
    render = converter.unstructure
    if hint is dict:
        return lambda value: {render(k): render(v) for k, v in value.items()}
    return lambda value: [render(item) for item in value]


def _sequence_unstructure(converter: cattrs.Converter, hint: Any) -> Callable[[Any], object]:
    origin, arguments = get_origin(hint), get_args(hint)
    hooks = [converter.get_unstructure_hook(a) for a in arguments if a is not Ellipsis]
    if origin is tuple and Ellipsis not in arguments:
        return lambda value: [hook(item) for hook, item in zip(hooks, value, strict=True)]
    return lambda value: [hooks[0](item) for item in value]


def _mapping_unstructure(converter: cattrs.Converter, hint: Any) -> Callable[[Any], object]:
    key_hook, value_hook = map(converter.get_unstructure_hook, get_args(hint))
    return lambda value: {key_hook(k): value_hook(v) for k, v in value.items()}


def _shown_type(hint: object) -> str:
    return str(hint).replace("typing.", "")


def _class_hook(converter: cattrs.Converter, cls: Any) -> Callable[[object, object], object]:
    build = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=converter.forbid_extra_keys
    )

    def structure(value: object, _: object) -> object:
        if type(value) is not dict:
            raise Malformed(f"expected an object, got {_shown(value)}")
        return build(value, cls)

    return structure


def _object_hook(value: object, _: object) -> object:
    return value


def new_converter(*, forbid_extra_keys: bool = True) -> cattrs.Converter:
    """Make a strict converter; the hooks of more classes may be registered on it."""
    converter = cattrs.Converter(forbid_extra_keys=forbid_extra_keys)
    for kind in (int, str, bool, type(None)):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook_func(lambda hint: hint is object, _object_hook)
    converter.register_structure_hook_factory(_is_literal, _literal_hook)
    for predicate, factory in (
        (_is_sequence, _sequence_hook),
        (_is_mapping, _mapping_hook),
        (_is_union, _union_structure),
        (_is_annotated, _annotated_hook),
        (attrs.has, _class_hook),
    ):
        converter.register_structure_hook_factory(
            predicate, lambda hint, factory=factory: factory(converter, hint)
        )
    for predicate, renderer in (
        (_is_bare, _bare_unstructure),
        (_is_sequence, _sequence_unstructure),
        (_is_mapping, _mapping_unstructure),
        (_is_union, _union_unstructure),
    ):
        converter.register_unstructure_hook_factory(
            predicate, lambda hint, renderer=renderer: renderer(converter, hint)
        )
    converter.register_unstructure_hook_func(_is_set, lambda value: sorted(value))
    converter.register_unstructure_hook_factory(
        attrs.has, lambda cls: make_dict_unstructure_fn(cls, converter)
    )
    return converter


OURS: Final = new_converter()
"""The converter of Gantry's own protocols: unknown keys are refused."""


def load(hint: type[T], value: object, converter: cattrs.Converter = OURS) -> T:
    """Structure a JSON value as ``hint``.

    Raises:
        Malformed: the value does not fit; every misfit is named with its place.
    """
    try:
        return converter.structure(value, hint)
    except Malformed:
        raise
    except Exception as error:
        raise Malformed(explain(error)) from error


def dump(value: object, hint: Any = None, converter: cattrs.Converter = OURS) -> object:
    """Return the JSON value of a typed object; give ``hint`` where the type is a union."""
    return converter.unstructure(value, unstructure_as=hint)


def prepare(*hints: Any, converter: cattrs.Converter = OURS) -> None:
    """Make what loading and dumping these types need, which otherwise the first use pays for."""
    for hint in hints:
        converter.get_structure_hook(hint)
        converter.get_unstructure_hook(hint)


def to_bytes(value: object) -> bytes:
    """Render a JSON value as compact UTF-8."""
    return orjson.dumps(value)


def to_pieces(value: object) -> list[bytes]:
    """Render a JSON value in which :class:`RenderedJson` may stand, whose pieces are not copied.

    So nobody has to wait while a value of many megabytes is rendered at once.
    """
    found: list[RenderedJson] = []

    def stand_in(part: object) -> orjson.Fragment:
        if not isinstance(part, RenderedJson):
            raise TypeError(f"{type(part).__name__} is no JSON value")
        found.append(part)
        return orjson.Fragment(_ELSEWHERE)

    first, *others = orjson.dumps(value, default=stand_in).split(_ELSEWHERE)
    pieces = [first]
    for part, after in zip(found, others, strict=True):
        pieces += (*part.pieces, after)
    return pieces


_ELSEWHERE: Final = b"\0"
"""Stands where a value was rendered beforehand: JSON text can not contain it."""


def rendered(value: object) -> bytes:
    """Render a JSON value in which the containers of the configuration's objects may stand."""
    return orjson.dumps(value, default=_container, option=orjson.OPT_NON_STR_KEYS)


def _container(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    raise TypeError(f"{type(value).__name__} is no JSON value")


def canonical(value: object) -> bytes:
    """Render a JSON value with sorted keys: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest_of(value: object) -> str:
    """Return the digest of a JSON value: equal values have equal digests."""
    return hashlib.sha256(canonical(value)).hexdigest()


def from_bytes(data: bytes | str, nesting_max: int = NESTING_MAX) -> object:
    """Parse UTF-8 JSON.

    Raises:
        Malformed: the bytes are not JSON, or containers stand in more than ``nesting_max`` others.
    """
    try:
        value = cast(object, orjson.loads(data))
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error}") from None
    # Each container takes two bytes at least, so what is short needs no look.
    may_be_deep = len(data) > 2 * nesting_max and _openings(data) > nesting_max
    if may_be_deep and not _is_flat(value, nesting_max):
        raise Malformed(f"not JSON that is nested at most {nesting_max} deep")
    return value


def _openings(data: bytes | str) -> int:
    if isinstance(data, str):
        return data.count("[") + data.count("{")
    return data.count(b"[") + data.count(b"{")


def _is_flat(value: object, nesting_max: int) -> bool:
    level: Sequence[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(nesting_max):
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return True
    return False


def explain(error: Exception) -> str:
    """Say in one line what a structuring error found, and where."""
    messages: list[str] = []

    def walk(nested: BaseException, place: str) -> None:
        notes = [str(note) for note in getattr(nested, "__notes__", ())]
        here = place + "".join(_place_of(note) for note in notes)
        if isinstance(nested, BaseExceptionGroup):
            for each in nested.exceptions:
                walk(each, here)
        else:
            messages.append(f"{here.lstrip('.') or 'value'}: {_reason(nested)}")

    walk(error, "")
    return "; ".join(messages[:5])


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    if isinstance(error, cattrs.errors.ForbiddenExtraKeysError):
        return f"unknown keys {sorted(error.extra_fields)}"
    return str(error)


def _place_of(note: str) -> str:
    """Read the attribute out of cattrs' note ``... @ attribute NAME``."""
    if " @ attribute " in note:
        return "." + note.rsplit(" @ attribute ", 1)[1]
    return ""
