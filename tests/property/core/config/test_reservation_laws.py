"""Laws of reservations: nothing is given twice, and what a job has goes with it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.core.config.histories import a_change
from tests.unit.core.config.small_cluster import MASTER, NETWORK, NODE2, NOW, sample_state, ticket

from gantry.core.config.claims import Claim, ref
from gantry.core.config.reservations import Reservations, reserve
from gantry.core.config.state import State
from gantry.core.config.transaction import Transacted, transact
from gantry.core.config.verify import verify
from gantry.protocols.identity import JobId
from gantry.protocols.wconfd import Reserved, Want

WANTS = st.sampled_from(
    [
        Want("mac"),
        Want("mac", network=NETWORK),
        Want("uuid"),
        Want("port"),
        Want("port", "11001"),
        Want("ip", network=NETWORK),
        Want("ip", "10.77.5.3", NETWORK),
        Want("minor", node=NODE2),
        Want("minor", "0", node=MASTER),
        Want("secret"),
        Want("instance name", "alpha"),
        Want("node name", "beta"),
        Want("node group name", "alpha"),
        Want("network name", "gamma"),
        Want("lv", "xenvg/alpha.disk0_data"),
    ]
)
JOBS = st.integers(1, 3).map(JobId)


def taken(claim: Claim, before: State, after: State) -> bool:
    """Whether a change has given a value to an object; the pool of ports is nobody's."""
    now = after.indexes.claims.get(claim)
    return now not in (None, before.indexes.claims.get(claim), ref(after.configuration.cluster))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_nothing_is_given_twice_and_all_goes_with_its_job(data: st.DataObject) -> None:
    state, reservations = sample_state(), Reservations()
    for step in range(data.draw(st.integers(1, 12))):
        job = data.draw(JOBS)
        match data.draw(st.sampled_from(["reserve", "change", "end"])):
            case "reserve":
                wants = tuple(data.draw(st.lists(WANTS, min_size=1, max_size=3)))
                after, answer = reserve(
                    state, reservations, job, wants, data.draw(st.binary(min_size=16, max_size=16))
                )
                if isinstance(answer, Reserved):
                    assert len(answer.values) == len(wants)
                    kept = set(after.of(job)) - set(reservations.of(job))
                    assert not kept & set(reservations.holders)
                else:
                    assert after == reservations
                reservations = after
            case "change":
                change = data.draw(a_change(state))
                made = transact(state, reservations, ticket(change, job, step), change, NOW)
                if isinstance(made, Transacted):
                    theirs = [c for c, holder in reservations.holders.items() if holder != job]
                    assert not [claim for claim in theirs if taken(claim, state, made.state)]
                    state = made.state
                assert verify(state) == ()
            case _:
                reservations = reservations.without_job(job)
                assert reservations.of(job) == ()
        by_job = {c: job for job in reservations.by_job for c in reservations.of(job)}
        assert dict(reservations.holders) == by_job
