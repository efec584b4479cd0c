"""How configuration objects travel and are stored: Ganeti's own JSON forms.

Ganeti's rules differ from those of our protocols: an attribute that is ``None`` is left out, and
keys that we do not know are carried along in ``extra`` and written again. The same objects
travel inside our protocols, in the same form; so one set of hooks serves the strict converter of
Ganeti's data (:data:`GANETI`) and :data:`gantry.protocols.codec.OURS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
from attrs import field, frozen
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from immutables import Map

from gantry.protocols.codec import OURS, Json, Malformed, explain, new_converter

EXTRA: Final = "extra"

K = TypeVar("K")
V = TypeVar("V")
Obj = TypeVar("Obj", bound="ConfigObject")


@frozen(kw_only=True)
class ConfigObject:
    """Base of everything that has a JSON object of its own in ``config.data``."""

    extra: Mapping[str, Json] = field(factory=dict, repr=False)
    """Keys of the JSON object that this version does not know."""

    OMITTED_WHEN_EMPTY: ClassVar[frozenset[str]] = frozenset()
    """Attributes that Ganeti leaves out when they hold nothing."""

    TRAVELS_OFTEN: ClassVar[bool] = False
    """Whether the same object is sent again and again: then its last form is remembered."""

    @classmethod
    def from_wire(cls, sent: Mapping[str, Json]) -> Mapping[str, Json]:
        """Translate odd wire forms into what the attributes' types say."""
        return sent

    @classmethod
    def to_wire(cls, dumped: dict[str, Json]) -> dict[str, Json]:
        """Translate back: the inverse of :meth:`from_wire`."""
        return dumped


def _is_config_object(hint: Any) -> bool:  # noqa: ANN401 - a hint is any type form
    return isinstance(hint, type) and issubclass(hint, ConfigObject)


def _object_structure(
    converter: cattrs.Converter, cls: type[ConfigObject]
) -> Callable[[object, object], ConfigObject]:
    build = make_dict_structure_fn(
        cls,
        converter,
        _cattrs_forbid_extra_keys=False,
        extra=override(omit=False, struct_hook=lambda value, _: value),
    )
    known = {attribute.name for attribute in attrs.fields(cls)} - {EXTRA}

    def structure(value: object, _: object) -> ConfigObject:
        if type(value) is not dict:
            raise Malformed(f"expected an object, got {type(value).__name__}")
        sent = cls.from_wire(cast("dict[str, Json]", value))
        body: dict[str, Json] = {name: sent[name] for name in sent.keys() & known}
        body[EXTRA] = {name: sent[name] for name in sent if name not in known}
        return build(body, cls)

    return _remembering(structure) if cls.TRAVELS_OFTEN else structure


def _remembering(
    structure: Callable[[object, object], ConfigObject],
) -> Callable[[object, object], ConfigObject]:
    """Answer an equal JSON value with the object that was made of it: comparing is fast."""
    last: tuple[object, ConfigObject] | None = None

    def remembered(value: object, hint: object) -> ConfigObject:
        nonlocal last
        if last is None or last[0] != value:
            last = (value, structure(value, hint))
        return last[1]

    return remembered


def _object_unstructure(
    converter: cattrs.Converter, cls: type[ConfigObject]
) -> Callable[[ConfigObject], dict[str, Json]]:
    render = make_dict_unstructure_fn(cls, converter, extra=override(omit=True))
    sometimes = cls.OMITTED_WHEN_EMPTY

    def unstructure(value: ConfigObject) -> dict[str, Json]:
        rendered = render(value).items()
        dumped = {k: v for k, v in rendered if v is not None and (v or k not in sometimes)}
        return {**value.extra, **cls.to_wire(dumped)}

    if not cls.TRAVELS_OFTEN:
        return unstructure
    last: tuple[ConfigObject, dict[str, Json]] | None = None

    def remembered(value: ConfigObject) -> dict[str, Json]:
        nonlocal last
        if last is None or last[0] is not value:
            last = (value, unstructure(value))
        return {**last[1]}

    return remembered


def _is_map(hint: Any) -> bool:  # noqa: ANN401 - a hint is any type form
    return get_origin(hint) is Map


def _map_structure(
    converter: cattrs.Converter,
    hint: Any,  # noqa: ANN401 - a hint is any type form
) -> Callable[[object, object], Map[object, object]]:
    key_type, value_type = get_args(hint)
    key_hook = converter.get_structure_hook(key_type)
    value_hook = converter.get_structure_hook(value_type)

    def one(key: object, value: object) -> tuple[object, object]:
        try:
            return key_hook(key, key_type), value_hook(value, value_type)
        except Malformed as error:
            raise Malformed(f"{key}: {error}") from None
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a Malformed
            raise Malformed(f"{key}: {explain(error)}") from None

    def structure(value: object, _: object) -> Map[object, object]:
        if type(value) is not dict:
            raise Malformed(f"expected an object, got {type(value).__name__}")
        return Map(dict(one(k, v) for k, v in cast("dict[object, object]", value).items()))

    return structure


def _map_unstructure(
    converter: cattrs.Converter,
    hint: Any,  # noqa: ANN401 - a hint is any type form
) -> Callable[[Map[object, object]], dict[object, object]]:
    hook = converter.get_unstructure_hook(get_args(hint)[1])
    return lambda value: {k: hook(v) for k, v in value.items()}


def _register(converter: cattrs.Converter) -> None:
    """Teach a converter the forms of configuration objects and of persistent maps."""
    converter.register_structure_hook_factory(
        _is_config_object, lambda cls: _object_structure(converter, cls)
    )
    converter.register_unstructure_hook_factory(
        _is_config_object, lambda cls: _object_unstructure(converter, cls)
    )
    converter.register_structure_hook_factory(_is_map, lambda hint: _map_structure(converter, hint))
    converter.register_unstructure_hook_factory(
        _is_map, lambda hint: _map_unstructure(converter, hint)
    )


GANETI: Final = new_converter(forbid_extra_keys=False)
"""The converter of Ganeti's data: nothing is coerced, unknown keys are kept."""

_register(GANETI)
_register(OURS)


def load_object(cls: type[Obj], value: Json) -> Obj:
    """Parse the JSON form of one configuration object.

    Raises:
        Malformed: a required key is missing or a value has the wrong type.
    """
    try:
        return GANETI.structure(value, cls)
    except Malformed:
        raise
    except Exception as error:
        raise Malformed(f"{cls.__name__}: {explain(error)}") from error


def dump_object(value: ConfigObject) -> dict[str, Json]:
    """Return the JSON form of one configuration object, as Ganeti writes it."""
    return cast("dict[str, Json]", GANETI.unstructure(value))


def keyed(objects: Iterable[V], key: Callable[[V], K]) -> Map[K, V]:
    """Return objects as a persistent map, by a key of each."""
    return Map({key(each): each for each in objects})
