"""What the demo reads from a guest's serial console."""

from __future__ import annotations

from gantry.cli.demo.console_log import gap, ticks


def test_only_whole_lines_count() -> None:
    assert ticks(b"GUEST-UP name=x\r\ntick 1\r\nnoise tick 2\r\ntick 3") == [1, 2]


def test_a_missing_or_repeated_number_is_a_gap() -> None:
    assert gap([1, 2, 3]) is None
    assert gap([]) is None
    assert gap([1, 3]) == "1 is followed by 3"
    assert gap([1, 1]) == "1 is followed by 1"
