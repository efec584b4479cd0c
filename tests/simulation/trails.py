"""What has to happen before a process comes to a point where it seldom is.

Either something goes wrong at other points just before, or people and machines do something: that
is a situation (``situations.py``). Points that are not here are come to by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio
from tests.simulation.aiming import Move
from tests.simulation.scenario import Situation

from gantry.runtime.testing.machine import MemoryProcess

_JOURNAL: Final = "runtime.journal Journal"
_REPLICA: Final = "runtime.replica_log ReplicaLog"
_FILES: Final = "daemons.noded.replica_files ReplicaFiles"
_RUN: Final = "daemons.job.opcode_run OpcodeRun"
_DO: Final = "daemons.job.performer Performer"
_STEP: Final = "daemons.job.stepping Stepper"
_KEYS: Final = "daemons.noded.calls KeyedCalls"


def _noded(process: MemoryProcess, _: trio.lowlevel.Task) -> bool:
    return process.program == "noded"


TRAILS: Final[Mapping[str, Sequence[Move]]] = {
    # A disk fails while a journal is written, and again while that is repaired.
    f"{_JOURNAL}._fail #1": [Move("fail", f"{_JOURNAL}._write #3")],
    f"{_JOURNAL}._fail #2": [Move("fail", f"{_JOURNAL}._write #3")],
    f"{_JOURNAL}._ready_file #1": [Move("fail", f"{_JOURNAL}._write #3")],
    f"{_JOURNAL}._ready_file #2": [Move("fail", f"{_JOURNAL}._write #3")],
    f"{_JOURNAL}._ready_file #3": [
        Move("fail", f"{_JOURNAL}._write #3"),
        Move("fail", f"{_JOURNAL}._cut_back #3"),
    ],
    f"{_JOURNAL}._cut_back #1": [Move("fail", f"{_JOURNAL}._write #1")],
    f"{_JOURNAL}._cut_back #2": [Move("fail", f"{_JOURNAL}._write #3")],
    f"{_JOURNAL}._cut_back #3": [Move("fail", f"{_JOURNAL}._write #3")],
    f"{_JOURNAL}._write #2": [
        Move("fail", f"{_JOURNAL}._write #3"),
        Move("fail", f"{_JOURNAL}._ready_file #1"),
    ],
    f"{_JOURNAL}.start_over #3": [Move("fail", f"{_JOURNAL}._replace #2")],
    f"{_REPLICA}.write #4": [Move("fail", f"{_REPLICA}.write #2")],
    f"{_REPLICA}._opened #3": [Move("fail", f"{_REPLICA}._opened #2")],
    # Others wait while a slow disk works.
    f"{_JOURNAL}._write_waiting #1": [Move("stall", f"{_JOURNAL}._replace #2")],
    f"{_JOURNAL}.aclose #1": [Move("stall and restart", f"{_JOURNAL}._write #3", where=_noded)],
    # What a power cut or a crash leaves is found at the next start.
    f"{_REPLICA}.open #4": [Move("dark", f"{_REPLICA}.write #3")],
    f"{_JOURNAL}.open #5": [Move("dark", f"{_JOURNAL}._write #3", times=2)],
    "daemons.noded.key_journal KeyJournal.open #3": [
        Move("kill", "daemons.noded.key_journal KeyJournal._compact #2")
    ],
    f"{_FILES}.open #3": [Move("kill", f"{_FILES}._carry_out #6")],
    f"{_FILES}.open #4": [Move("kill", f"{_FILES}._carry_out #6")],
    # What undid a job is followed by somebody who goes on with that.
    f"{_RUN}.roll_back #2": [Move("kill", f"{_STEP}.backwards #2")],
    # What was asked is asked again.
    f"{_KEYS}._attach #1": [Move("reset", f"{_KEYS}._run #2")],
}
"""Moves that are made one after the other before the crash."""

SITUATIONS: Final[Mapping[str, Situation]] = {
    f"{_RUN}._prepare #3": "node forsaken",
    f"{_RUN}._check_clean #1": "node forsaken",
    f"{_STEP}.backwards #5": "node forsaken",
    f"{_STEP}._is_noted #1": "node forsaken",
    f"{_STEP}._is_noted #2": "node forsaken",
    f"{_STEP}._leave #1": "node forsaken",
    f"{_DO}.note_leftover #1": "node forsaken",
    f"{_DO}.note_leftover #2": "node forsaken",
    f"{_DO}._act #5": "node forsaken",
    f"{_DO}._clean_up #1": "node forsaken",
    f"{_DO}._clean_up #2": "node forsaken",
    f"{_DO}._clean_up #3": "node forsaken",
    f"{_DO}._have_forgotten #1": "node forsaken",
    f"{_KEYS}.do #1": "node forsaken",
    f"{_RUN}._begin #3": "rehearsal",
    f"{_RUN}._show #1": "rehearsal",
    f"{_RUN}.roll_back #4": "removal hounded",
    f"{_RUN}.roll_back #6": "migration refused",
    f"{_RUN}.roll_back #7": "removal hounded",
    f"{_STEP}._do #4": "source lost",
    f"{_STEP}._bear #1": "source lost",
    f"{_STEP}._is_owed #1": "source lost",
    f"{_STEP}.forwards #4": "target refuses",
    f"{_STEP}._note_owed #1": "target refuses",
    f"{_STEP}._until_known #2": "target refuses",
    f"{_STEP}.forwards #2": "lease lost",
    f"{_DO}._ask_again #2": "seen afterwards",
    f"{_DO}._has_happened #1": "seen afterwards",
    f"{_DO}._look #1": "seen afterwards",
    f"{_KEYS}.forget #1": "forgotten at work",
    f"{_RUN}._carry_out #3": "told to abort",
    f"{_RUN}._abort #1": "told to abort",
    f"{_KEYS}.do #2": "installer killed",
    f"{_RUN}.roll_back #2": "installer hounded",
    f"{_RUN}.roll_back #3": "installer hounded",
    f"{_KEYS}._attach #2": "installer killed",
    f"{_KEYS}.abandon #1": "installer killed",
    "daemons.noded.key_journal KeyJournal.remove #1": "comes and goes",
    "daemons.noded.replica_files remove_replica #1": "comes and goes",
    f"{_REPLICA}.open #2": "comes and goes",
    f"{_KEYS}._run #2": "undone elsewhere",
    f"{_KEYS}._attach #1": "undone elsewhere",
    "daemons.job.step_journal _open #4": "there and back",
    "daemons.job.step_journal opened #3": "there and back",
    f"{_FILES}._carry_out #5": "left behind",
    f"{_FILES}._carry_out #6": "left behind",
    f"{_FILES}.open #3": "left behind",
    f"{_FILES}.open #4": "left behind",
    f"{_REPLICA}._cut #1": "two halves",
    f"{_JOURNAL}._write_waiting #1": "rush",
    f"{_JOURNAL}.aclose #1": "rush",
    f"{_FILES}.aclose #1": "there and back",
}
"""What is done at the moment from which on a process is waited for at a point."""
