"""Regular expressions of clients: found where they should be, and never long looked for."""

import pytest

from gantry.protocols.patterns import PATTERN_LENGTH_MAX, BadPattern, finder


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("web", "inst-web.example.com"),
        (r"^web[0-9]+(\..*)?$", "web12.example.com"),
        ("(?i)WEB", "web"),
        ("(?s)a.b", "a\nb"),
        ("ö.+é$", "an ölé"),
        ("", ""),
        ("^a.?b$", "a\ud800b"),  # which no frame holds, but a function may be given
    ],
)
def test_an_expression_is_found_anywhere_in_a_text(pattern: str, text: str) -> None:
    is_found_in = finder(pattern)
    assert is_found_in(text)
    assert not is_found_in("xyz") or not pattern


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){25}b", "(a?){30}" * 20 + "b"])
def test_what_goes_back_for_years_elsewhere_is_answered(pattern: str) -> None:
    assert not finder(pattern)("a" * 5_000 + "!")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "'(' is not a regular expression: missing )"),
        ("(?=a)", "no lookarounds and no references back"),
        (r"(a)\1", "no lookarounds and no references back"),
        ("\ud800", "is not Unicode text"),
        ("a{100000000}", "invalid repetition size"),
        ("[a-z]{0,1000}" * 50, "too large"),
        ("x" * (PATTERN_LENGTH_MAX + 1), "at most 4096 characters"),
    ],
)
def test_what_can_not_be_looked_for_is_refused_with_a_reason(pattern: str, reason: str) -> None:
    with pytest.raises(BadPattern) as caught:
        finder(pattern)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300
