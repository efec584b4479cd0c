"""The cluster's address is tried until it is up; what keeps it down is said once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import trio
from attrs import define
from tests.unit.daemons.wconfd.running_wconfd import config_store, lone_master_files
from typing_extensions import override

from gantry.daemons.wconfd.address import RETRY_SECONDS, Links, hold_address
from gantry.protocols.noded import StepFailed
from gantry.protocols.objects.node import Node
from gantry.protocols.replication import Replicas

T = TypeVar("T")


@define
class Refusing(Links):
    """A NodeD that gives some reasons, one after the other, and then does nothing forever."""

    reasons: list[str]

    @override
    async def ask_replicas(
        self, node: Node, question: Callable[[Replicas], Awaitable[T]], deadline_seconds: float
    ) -> T:
        if not self.reasons:
            await trio.sleep_forever()
        raise StepFailed(self.reasons.pop(0))


async def test_what_keeps_it_down_is_said_when_it_is_new(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    links = Refusing(["no ip"] * 50 + ["no interface"] * 3 + ["no ip"])
    async with config_store(lone_master_files()) as store:
        with caplog.at_level(logging.WARNING), trio.move_on_after(60 * RETRY_SECONDS):
            await hold_address(store, links)
    assert links.reasons == []
    said = [record.fields["reason"] for record in caplog.records if hasattr(record, "fields")]
    assert said == ["no ip", "no interface", "no ip"]
