"""The values of options: Ganeti's syntax, by examples."""

from __future__ import annotations

import pytest

from gantry.cli.option_values import (
    Identified,
    parse_boolean,
    parse_identified,
    parse_identified_lists,
    parse_key_values,
    parse_list,
    parse_ratio,
    parse_size,
    parse_time_span,
    split_escaped,
)


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("0", 0),
        ("1", 4),
        ("512", 512),
        ("512m", 512),
        ("513M", 516),
        ("1g", 1024),
        ("1.5GiB", 1536),
        (" 2 tb ", 2 * 1024 * 1024),
        ("0.1g", 104),
        (".5g", 512),
    ],
)
def test_sizes_are_rounded_up_to_whole_granules(text: str, mib: int) -> None:
    assert parse_size(text) == mib


@pytest.mark.parametrize("text", ["", "g", "1k", "-1", "1.2.3", "1e3", "nan", "9" * 400, "."])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|unit|larger"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1,b=x=y", {"a": "1", "b": "x=y"}),
        ("flag,no_other,-third", {"flag": True, "other": False, "third": None}),
        (r"opts=a\,b,c=d", {"opts": "a,b", "c": "d"}),
        (r"path=C:\\dir", {"path": "C:\\dir"}),
        ("empty=", {"empty": ""}),
    ],
)
def test_key_values(text: str, expected: dict[str, object]) -> None:
    assert parse_key_values(text) == expected


def test_a_key_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' was given twice"):
        parse_key_values("a=1,no_a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:size=1g,mode=ro", Identified("0", {"size": "1g", "mode": "ro"})),
        ("kvm", Identified("kvm", {})),
        ("no_0", Identified("0", False)),
        ("-web", Identified("web", None)),
        ("-1:add", Identified("-1", {"add": True})),
        ("0:mac=aa:bb:cc:00:11:22", Identified("0", {"mac": "aa:bb:cc:00:11:22"})),
    ],
)
def test_identified_parameters(text: str, expected: Identified) -> None:
    assert parse_identified(text) == expected


@pytest.mark.parametrize("text", ["no_0:size=1", "-web:a=b"])
def test_what_is_removed_takes_no_parameters(text: str) -> None:
    with pytest.raises(ValueError, match="takes no parameters"):
        parse_identified(text)


def test_groups_of_identified_parameters() -> None:
    text = "min:cpu-count=1,disk-size=4/max:cpu-count=8//min:cpu-count=9"
    assert parse_identified_lists(text) == [
        {"min": {"cpu-count": "1", "disk-size": "4"}, "max": {"cpu-count": "8"}},
        {"min": {"cpu-count": "9"}},
    ]


@pytest.mark.parametrize("text", ["min:a=1/min:a=2", "min:a", "", "min:a=1/"])
def test_malformed_groups_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"twice|no value|empty"):
        parse_identified_lists(text)


def test_lists_split_at_commas_that_are_not_escaped() -> None:
    assert parse_list(r"plain,a\,b") == ["plain", "a,b"]
    assert parse_list(" ") == []
    assert split_escaped("ends with\\") == ["ends with\\"]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("2m", 120), ("1w", 604800), ("0s", 0)])
def test_time_spans(text: str, seconds: int) -> None:
    assert parse_time_span(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "1.5h", "-1", "1y", "²"])
def test_a_time_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time span"):
        parse_time_span(text)


def test_booleans_and_ratios() -> None:
    assert parse_boolean("YES") is True
    assert parse_boolean("false") is False
    assert parse_ratio("default") == "default"
    assert parse_ratio("2.5") == 2.5
    for parse in (parse_boolean, parse_ratio):
        with pytest.raises(ValueError, match="maybe"):
            parse("maybe")
