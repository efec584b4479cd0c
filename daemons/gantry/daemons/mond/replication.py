"""The two replicated logs as metrics, on the node whose daemons lead them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from attrs import frozen

from gantry.core.openmetrics import Family, FamilyType, Sample
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.replication import (
    LEADING,
    STREAMS,
    Stream,
    StreamFigures,
    VoterFigures,
    leading_socket,
)
from gantry.runtime.environment import Environment
from gantry.runtime.rpc import connect

Number = Callable[[StreamFigures], float | None]

_STREAM: Final[tuple[tuple[str, FamilyType, str, str, Number], ...]] = (
    ("epoch", "gauge", "", "The master's epoch.", lambda f: f.epoch),
    ("index", "gauge", "", "The last record on the master's disk.", lambda f: f.index),
    ("committed_index", "gauge", "", "The last record that counts.", lambda f: f.committed),
    ("lease", "gauge", "", "Whether the master holds a lease.", lambda f: f.has_lease),
    ("lease_age_seconds", "gauge", "seconds", "Time since a majority was heard of.",
     lambda f: f.lease_age_seconds),
    ("alone", "gauge", "", "Whether the master of two candidates goes on alone.",
     lambda f: f.alone_since is not None),
    ("flushes", "counter", "", "Flushes of the journal.", lambda f: f.flushes),
    ("records", "counter", "", "Records appended; by flushes: the mean batch.",
     lambda f: f.records_appended),
    ("batch_records_max", "gauge", "", "Records in the largest flush.",
     lambda f: f.batch_records_max),
    ("written_bytes", "counter", "bytes", "Bytes written to the journal.",
     lambda f: f.bytes_written),
    ("journal_bytes", "gauge", "bytes", "The length of the journal.", lambda f: f.file_bytes),
    ("messages", "counter", "", "Messages to other candidates.", lambda f: f.messages),
    ("snapshots", "counter", "", "Snapshots sent to other candidates.", lambda f: f.snapshots),
)  # fmt: skip

_VOTER: Final[tuple[tuple[str, str, str, Callable[[VoterFigures], float | None]], ...]] = (
    ("candidate_lag_records", "", "Records that a candidate is not known to have.",
     lambda v: v.lag),
    ("candidate_silent_seconds", "seconds", "Time since a candidate has answered.",
     lambda v: v.silent_seconds),
)  # fmt: skip


@frozen
class Replication:
    """Asks the daemons that lead a stream on this node; elsewhere there is nothing to tell."""

    _env: Environment

    async def families(self) -> Sequence[Family]:
        """Return the metrics of both streams.

        Raises:
            ConnectionLost: a daemon of the master does not answer.
        """
        found = [await self._figures(stream) for stream in STREAMS]
        return list(families([each for each in found if each is not None]))

    async def _figures(self, stream: Stream) -> StreamFigures | None:
        path = self._env.paths.socket(leading_socket(stream))
        try:
            async with connect(LEADING, self._env.network, path) as leading:
                return await leading.figures()
        except ConnectionLost:
            if await self._is_master():
                raise
            return None

    async def _is_master(self) -> bool:
        try:
            name = await self._env.files.read(self._env.paths.data / "ssconf_master_node")
        except FileNotFoundError:
            return False
        return name.decode(errors="replace").strip() == self._env.node


def markdown() -> str:
    """Return the table of the metrics for the documentation."""
    told = [(name, kind, text) for name, kind, _, text, _ in _STREAM]
    told += [(name, "gauge", text) for name, _, text, _ in _VOTER]
    rows = [f"| `gantry_replication_{name}` | {kind} | {text} |" for name, kind, text in told]
    return "\n".join(["| metric | type | meaning |", "| --- | --- | --- |", *rows])


def families(found: Sequence[StreamFigures]) -> Iterable[Family]:
    """Return what the figures of some streams say."""
    for name, kind, unit, text, number in _STREAM:
        samples = [(number(each), {"stream": str(each.stream)}) for each in found]
        yield Family(f"gantry_replication_{name}", kind, text, _known(samples), unit)
    for name, unit, text, of_voter in _VOTER:
        samples = [
            (of_voter(voter), {"stream": each.stream, "uuid": voter.voter})
            for each in found
            for voter in each.voters
        ]
        yield Family(f"gantry_replication_{name}", "gauge", text, _known(samples), unit)


def _known(samples: Iterable[tuple[float | None, dict[str, str]]]) -> tuple[Sample, ...]:
    return tuple(Sample(float(value), labels) for value, labels in samples if value is not None)
