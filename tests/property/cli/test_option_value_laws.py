"""Laws of option values: what is written is read back, and nothing crashes."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gantry.cli.filter_language import FilterError, parse_filter
from gantry.cli.option_values import (
    MEBIBYTES,
    SIZE_GRANULE_MIB,
    parse_identified,
    parse_key_values,
    parse_size,
    split_escaped,
)

TEXTS = st.text(alphabet=st.sampled_from("ab,=\\:/-_ é"), max_size=12)
KEYS = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True).filter(lambda key: key[:3] != "no_")


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,")


@given(st.lists(TEXTS, min_size=1))
def test_escaped_items_are_read_back(items: list[str]) -> None:
    assert split_escaped(",".join(map(escaped, items))) == items


@given(st.dictionaries(KEYS, TEXTS | st.booleans() | st.none()))
def test_key_values_are_read_back(parameters: dict[str, str | bool | None]) -> None:
    written = []
    for key, content in parameters.items():
        match content:
            case True:
                written.append(key)
            case False:
                written.append(f"no_{key}")
            case None:
                written.append(f"-{key}")
            case text:
                written.append(f"{key}={escaped(text)}")
    assert parse_key_values(",".join(written)) == parameters


@given(st.text(max_size=30))
def test_no_text_crashes_a_parser(text: str) -> None:
    for parse in (parse_key_values, parse_identified, parse_size):
        with suppress(ValueError):
            parse(text)


@given(st.decimals(0, 10**6, places=3, allow_nan=False), st.sampled_from(sorted(MEBIBYTES)))
def test_a_size_is_never_smaller_than_what_was_asked_for(number: object, unit: str) -> None:
    mib = parse_size(f"{number}{unit}")
    exact = Fraction(str(number)) * MEBIBYTES[unit]
    assert mib % SIZE_GRANULE_MIB == 0
    # The exact value passes through a double: half a MiB of 10**12 is far above its error.
    assert exact - Fraction(1, 2) <= mib < exact + SIZE_GRANULE_MIB + 1


FIELDS = st.from_regex(r"f[a-z0-9_/.]{0,6}", fullmatch=True)
VALUES = st.text(alphabet=st.sampled_from("ab\"'\\ ()="), max_size=6) | st.integers(-99, 99)


def quoted(content: str | int) -> str:
    if isinstance(content, int):
        return str(content)
    return '"' + content.replace("\\", "\\\\").replace('"', '\\"') + '"'


LEAVES = st.one_of(
    st.builds(lambda f: (f, ["?", f]), FIELDS),
    st.builds(
        lambda f, op, v: (f"{f} {op} {quoted(v)}", ["=" if op == "==" else op, f, v]),
        FIELDS,
        st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        VALUES,
    ),
    st.builds(lambda f, v: (f"{quoted(v)} in {f}", ["=[]", f, v]), FIELDS, VALUES),
    st.builds(lambda f, v: (f"{quoted(v)} not in {f}", ["!", ["=[]", f, v]]), FIELDS, VALUES),
)
Filter = tuple[str, list[object]]


def _joined(word: str, operator: str, parts: list[Filter]) -> Filter:
    text = f" {word} ".join(f"({part})" for part, _ in parts)
    return text, [operator, *(meaning for _, meaning in parts)]


FILTERS: st.SearchStrategy[Filter] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda part: (f"not ({part[0]})", ["!", part[1]]), inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: _joined("and", "&", parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: _joined("or", "|", parts)),
    ),
    max_leaves=8,
)


@given(FILTERS)
def test_a_written_filter_is_read_back(written: Filter) -> None:
    text, meaning = written
    assert parse_filter(text) == meaning


@given(st.text(alphabet=st.sampled_from("ab1 \"'()=!~*<>/m#^|\\"), max_size=20))
def test_a_filter_is_read_or_refused(text: str) -> None:
    with suppress(FilterError):
        assert isinstance(parse_filter(text), list)
