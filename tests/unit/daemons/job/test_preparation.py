"""What the process that jobs are forked from has loaded before the first fork."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[4]

SCRIPT: Final = """
import sys
from gantry.daemons.job.main import prepare
from gantry.operations.registry import OPERATIONS, operation
from gantry.protocols.codec import OURS
from gantry.protocols.identity import Attempt
from gantry.protocols.opcodes.parsing import parse_opcode
from gantry.protocols.steps import NoUndo, Plan, Planned, Say, Started, Step, dump_record

prepare()
loaded, compiled = {*sys.modules}, OURS._unstructure_func.dispatch.cache_info().misses
for op_id in OPERATIONS:
    operation(op_id)
parse_opcode({"OP_ID": "OP_TEST_DELAY", "duration": 1.5, "reason": []})
step = Step("speak", "idempotent", Say("hello"), NoUndo("it was said"))
dump_record(Planned(0, Plan("OP_TEST_DELAY", 1, (step,))))
dump_record(Started(0, 0, Attempt(1)))
print(sorted({*sys.modules} - loaded))
print(OURS._unstructure_func.dispatch.cache_info().misses - compiled)
"""

EVERY_OPERATION: Final = """
import builtins
import sys
import traceback
from pathlib import Path
import trio
from gantry.daemons.job.main import prepare
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.test_every_operation import SCENARIOS

prepare()
compile_it = builtins.compile


def noting(source, filename, *more, **named):
    functions = [frame.name for frame in traceback.extract_stack()]
    if "_delta_of" not in functions:  # WConfD's work, which is no job's
        print("compiled in", functions[-8:], filename)
    return compile_it(source, filename, *more, **named)


folder = Path(sys.argv[1])
JobBench(folder).environment()
builtins.compile = noting
for name, (before, opcode) in SCENARIOS.items():
    bench = JobBench(folder / name)
    for each in (*before, opcode):
        ran = trio.run(bench.run, each)
        if ran.statuses != {0: "success"}:
            print(name, ran.results)
"""


def test_a_prepared_process_loads_and_compiles_nothing_for_a_job() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.splitlines() == ["[]", "0"], ran.stderr


def test_no_operation_compiles_anything_in_a_prepared_process(tmp_path: Path) -> None:
    """What one compiles, every one of its jobs would: some milliseconds each time."""
    ran = subprocess.run(
        [sys.executable, "-c", EVERY_OPERATION, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPOSITORY,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout + ran.stderr


def test_the_rehearsal_of_a_job_succeeds_and_leaves_nothing_behind(tmp_path: Path) -> None:
    variables = {**os.environ, "TMPDIR": str(tmp_path), "GANTRY_ROOT": str(tmp_path / "node")}
    ran = subprocess.run(
        [sys.executable, "-c", "from gantry.daemons.job.main import prepare; prepare()"],
        capture_output=True,
        text=True,
        timeout=60,
        env=variables,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
