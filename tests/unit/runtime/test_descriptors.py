"""How many connections a server holds follows from how many descriptors its process has."""

from __future__ import annotations

import resource

import pytest

from gantry.runtime.descriptors import DESCRIPTORS_MAX, connections_max, raise_limit

ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "raised", "usable"),
    [
        ((1024, 4096), (4096, 4096), 4096),
        ((1024, 1_000_000), (DESCRIPTORS_MAX, 1_000_000), DESCRIPTORS_MAX),
        (
            (1024, resource.RLIM_INFINITY),
            (DESCRIPTORS_MAX, resource.RLIM_INFINITY),
            DESCRIPTORS_MAX,
        ),
        ((65536, 65536), None, DESCRIPTORS_MAX),
        ((512, 512), None, 512),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_makes_sense(
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    raised: tuple[int, int] | None,
    usable: int,
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: told.append(wanted))
    assert raise_limit() == usable
    assert told == ([] if raised is None else [raised])


def test_a_daemon_keeps_some_for_itself() -> None:
    assert connections_max(8192) == 7936
    assert connections_max(1024) == 768
    assert connections_max(256) == 128
