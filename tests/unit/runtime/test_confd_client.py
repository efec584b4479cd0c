"""How the client weighs the answers of several candidates."""

import pytest

from gantry.protocols.rconfd import LogOrder, Reply, Status
from gantry.runtime.confd_client import newest, wanted_replies


def reply(answer: object, serial: int, index: int | None = None) -> Reply:
    return Reply(Status.OK, answer, serial, None if index is None else LogOrder(1, index))


@pytest.mark.parametrize(("peers", "wanted"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4)])
def test_how_many_replies_are_waited_for(peers: int, wanted: int) -> None:
    assert wanted_replies(peers) == wanted


def test_the_highest_serial_counts() -> None:
    found = newest([reply("old", 3), reply("new", 4), reply("old", 3)])
    assert (found.reply.answer, found.answered, found.consistent) == ("new", 3, True)


def test_the_place_in_the_log_counts_more_than_the_serial() -> None:
    assert newest([reply("old", 9, 3), reply("new", 2, 4)]).reply.answer == "new"


def test_equal_serials_with_different_answers_are_inconsistent() -> None:
    assert not newest([reply("a", 3), reply("b", 3), reply("c", 2)]).consistent
