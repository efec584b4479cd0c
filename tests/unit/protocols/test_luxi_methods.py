"""LUXI has all of Ganeti's methods, with their arguments by place, and some by other names."""

from __future__ import annotations

from typing import Final

import pytest

from gantry.protocols.luxi import LUXI

GANETIS: Final = {
    "SubmitJob": ("ops",),
    "SubmitJobToDrainedQueue": ("ops",),
    "SubmitManyJobs": ("jobs",),
    "WaitForJobChange": ("job_id", "fields", "prev_job_info", "prev_log_serial", "timeout"),
    "CancelJob": ("job_id", "kill"),
    "ChangeJobPriority": ("job_id", "priority"),
    "ArchiveJob": ("job_id",),
    "AutoArchiveJobs": ("age", "timeout"),
    "PickupJob": ("job_id",),
    "Query": ("what", "fields", "qfilter"),
    "QueryFields": ("what", "fields"),
    "QueryInstances": ("names", "fields", "use_locking"),
    "QueryNodes": ("names", "fields", "use_locking"),
    "QueryGroups": ("names", "fields", "use_locking"),
    "QueryNetworks": ("names", "fields", "use_locking"),
    "QueryJobs": ("job_ids", "fields"),
    "QueryFilters": ("uuids", "fields"),
    "ReplaceFilter": ("uuid", "priority", "predicates", "action", "reason"),
    "DeleteFilter": ("uuid",),
    "QueryExports": ("nodes", "use_locking"),
    "QueryConfigValues": ("fields",),
    "QueryClusterInfo": (),
    "QueryTags": ("kind", "name"),
    "SetDrainFlag": ("flag",),
    "SetWatcherPause": ("until",),
}
"""Ganeti 3.0's methods and the order of their arguments."""

OPTIONAL: Final = {("CancelJob", "kill")}
"""Arguments that clients may leave out."""

OURS: Final = {
    "DecideJob",
    "PauseJob",
    "QueryJobProcess",
    "QueryQuestions",
    "ResumeJob",
    "SetJobLogLevel",
    "SetQueuePause",
}


@pytest.mark.parametrize("name", GANETIS)
def test_a_method_of_ganetis_takes_what_ganetis_takes(name: str) -> None:
    method = LUXI.methods[name]
    assert tuple(method.params) == GANETIS[name]
    assert {(name, each) for each in method.defaults} <= OPTIONAL


def test_there_are_twenty_five_and_a_few_of_our_own() -> None:
    assert len(GANETIS) == 25
    assert LUXI.methods.keys() == {*GANETIS, *OURS}
