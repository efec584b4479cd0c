"""What trio does most often, done in fewer steps: its loop and its cancel scopes.

Each function here does what the one does whose place it takes, for a run that has nothing to ask
the kernel, no guest, and no instruments but those that look at the steps of tasks: but for what
is said at :func:`sleep_until`, a run is the same, turn by turn, with trio's own (a test says so).
What is unusual is left to trio's own, too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from operator import attrgetter
from types import TracebackType
from typing import Any, Final, cast

import trio
from outcome import Error, Outcome, Value
from trio._core import _run

from gantry.runtime.testing.alarms import Alarm

SOURCES: Final[Any] = _run  # private to trio, all of it
GLOBAL: Final[Any] = SOURCES.GLOBAL_RUN_CONTEXT
CancelReason: Final[Any] = SOURCES.CancelReason
CancelStatus: Final[Any] = SOURCES.CancelStatus
Scope: Final[Any] = trio.CancelScope

ENTER: Final[Any] = Scope.__enter__
CLOSE: Final[Any] = Scope._close
EXIT: Final[Any] = Scope.__exit__
CANCEL: Final[Any] = Scope._cancel
DEADLINE: Final[Any] = Scope.deadline
SLEEP: Final = trio.sleep
SLEEP_UNTIL: Final = trio.sleep_until
NO_SEND: Final[Any] = SOURCES._NO_SEND
AGE: Final = attrgetter("_counter")


class _Nothing:
    """What a task gets that is woken for nothing in particular."""

    def unwrap(self) -> None:
        """Return it."""


NOTHING: Final = _Nothing()


# --- the loop ------------------------------------------------------------------------------------


def reschedule(runner: Any, task: Any, next_send: Any = NO_SEND) -> None:  # noqa: ANN401 - trio's
    """Let a task go on in the next turn."""
    task._next_send_fn = task.coro.send
    task._next_send = NOTHING if next_send is NO_SEND else next_send
    task._abort_func = None
    task.custom_sleep_data = None
    runner.runq.append(task)


def loop(
    runner: Any,  # noqa: ANN401 - trio's
    main: Any,  # noqa: ANN401 - any async function
    args: tuple[Any, ...],
    *_: object,
    **__: object,
) -> Generator[float, Any, None]:
    """Run all tasks until there is none; yields when the kernel is to be asked after all."""
    turns = runner.clock
    try:
        runner.entry_queue.wakeup.wakeup_on_signals()
        turns.start_clock()
        runner.init_task = runner.spawn_impl(
            runner.init, (main, args), None, "<init>", system_task=True
        )
        while runner.tasks:
            if not runner.runq:
                timeout = turns.deadline_to_sleep_time(runner.deadlines.next_deadline())
                if timeout > 0:
                    runner.io_manager.process_events((yield timeout))
            runner.deadlines.expire(turns.current_time())
            batch = [*runner.runq]
            runner.runq.clear()
            if len(batch) > 1:
                batch.sort(key=AGE)
            turns.shuffle(batch)
            while batch:
                _step(runner, batch.pop())
            GLOBAL.__dict__.pop("task", None)
    except trio.TrioInternalError:
        raise
    except BaseException as error:
        raise trio.TrioInternalError("internal error in the simulation's loop") from error
    finally:
        runner.close()
        GLOBAL.__dict__.clear()
        if runner.ki_pending:
            runner.main_task_outcome = Error(KeyboardInterrupt())


def _step(runner: Any, task: Any) -> None:  # noqa: ANN401 - trio's
    """Let a task run to where it waits next."""
    GLOBAL.task = task
    if "before_task_step" in runner.instruments.data:
        runner.instruments.call("before_task_step", task)
    send, sent = task._next_send_fn, task._next_send
    task._next_send_fn = task._next_send = None
    over: Outcome[object]
    try:
        message = task.context.run(send, sent)
    except StopIteration as end:
        over = Value(end.value)
    except BaseException as error:  # noqa: BLE001 - it is the task's, and kept as its end
        trace = error.__traceback__
        over = Error(error.with_traceback(trace and trace.tb_next))
        del trace
    else:
        task._schedule_points += 1
        if message is SOURCES.CancelShieldedCheckpoint:
            reschedule(runner, task)
        elif type(message) is SOURCES.WaitTaskRescheduled:
            task._cancel_points += 1
            task._abort_func = message.abort_func
            if runner.ki_pending and task is runner.main_task:
                task._attempt_delivery_of_pending_ki()
            if task._cancel_status.effectively_cancelled:
                task._attempt_delivery_of_any_pending_cancel()
        else:
            raise TypeError(f"a task of the simulation has yielded {message!r}")
        if "after_task_step" in runner.instruments.data:
            runner.instruments.call("after_task_step", task)
        return
    runner.task_exited(task, over)


# --- time ----------------------------------------------------------------------------------------


async def sleep_until(deadline: float) -> None:
    """Sleep up to a moment; who is cancelled in that very moment sleeps to the end."""
    await Alarm().wait(deadline)


async def sleep(seconds: float) -> None:
    """Sleep for some time."""
    if seconds <= 0:
        await SLEEP(seconds)
    else:
        await Alarm().wait(trio.current_time() + seconds)


# --- cancel scopes -------------------------------------------------------------------------------


def _register(scope: Any, deadline: float) -> None:  # noqa: ANN401 - trio's
    """Have a scope's deadline in the list of those that count."""
    old = scope._registered_deadline
    if old != deadline:
        scope._registered_deadline = deadline
        deadlines = GLOBAL.runner.deadlines
        if old != inf:
            deadlines.remove(old, scope)
        if deadline != inf:
            deadlines.add(deadline, scope)


def enter(self: Any) -> Any:  # noqa: ANN401 - trio's
    """Enter a cancel scope."""
    task = GLOBAL.task
    parent = task._cancel_status
    if self._has_been_entered or parent is None:
        return ENTER(self)
    self._has_been_entered = True
    if self._relative_deadline != inf:
        self._deadline = trio.current_time() + self._relative_deadline
        self._relative_deadline = inf
    if self._deadline != inf and trio.current_time() >= self._deadline:
        cancel(self, CancelReason(source="deadline"))
    self._cancel_status = status = CancelStatus(self)
    status._parent = parent
    parent._children.add(status)
    if self._cancel_called or parent.effectively_cancelled:
        status.recalculate()
    parent._tasks.remove(task)
    task._cancel_status = status
    status._tasks.add(task)
    if not self._cancel_called:
        _register(self, self._deadline)
    return self


def close(self: Any, error: BaseException | None) -> BaseException | None:  # noqa: ANN401 - trio's
    """Leave a cancel scope; returns the error that goes on from there."""
    task, status = GLOBAL.task, self._cancel_status
    parent = None if status is None else status._parent
    if (
        parent is None
        or task._cancel_status is not status
        or len(status._tasks) > 1
        or status._children
        or status.abandoned_by_misnesting
        or (error is not None and status.effectively_cancelled)
    ):
        return cast("BaseException | None", CLOSE(self, error))
    status._tasks.remove(task)
    task._cancel_status = parent
    parent._tasks.add(task)
    parent._children.remove(status)
    status._parent = None
    self._cancel_status = None
    if self._registered_deadline != inf:
        _register(self, inf)
    return error


def leave(
    self: Any,  # noqa: ANN401 - trio's
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> bool:
    """Leave a cancel scope; returns whether an error goes no further."""
    if error is not None:
        return cast("bool", EXIT(self, kind, error, trace))
    wrong = close(self, None)
    if wrong is not None:
        raise wrong
    return True


def cancel(self: Any, reason: Any) -> None:  # noqa: ANN401 - trio's
    """Cancel a scope."""
    if self._cancel_called:
        return
    if self._cancel_reason is None:
        self._cancel_reason = reason
    self._cancel_called = True
    _register(self, inf)
    if self._cancel_status is not None:
        self._cancel_status.recalculate()


def set_deadline(self: Any, deadline: float) -> None:  # noqa: ANN401 - trio's
    """Give a scope another deadline."""
    if self._relative_deadline != inf or deadline != deadline:
        DEADLINE.__set__(self, deadline)
        return
    self._deadline = float(deadline)
    if self._cancel_status is not None and not self._cancel_called:
        _register(self, self._deadline)


@contextmanager
def lean(current_time: Callable[[], float]) -> Iterator[None]:
    """Have trio use all this, until the end of the body."""
    changed: list[tuple[Any, str, object]] = [
        (SOURCES, "unrolled_run", loop),
        (SOURCES.Runner, "reschedule", reschedule),
        (trio, "sleep", sleep),
        (trio, "sleep_until", sleep_until),
        (trio, "current_time", current_time),
        (SOURCES, "current_time", current_time),
        (Scope, "__enter__", enter),
        (Scope, "__exit__", leave),
        (Scope, "_close", close),
        (Scope, "_cancel", cancel),
        (Scope, "deadline", property(DEADLINE.fget, set_deadline)),
    ]
    with replaced(changed):
        yield


@contextmanager
def replaced(changed: Sequence[tuple[Any, str, object]]) -> Iterator[None]:
    """Have other attributes at some places, until the end of the body."""
    before = [(place, name, vars(place)[name]) for place, name, _ in changed]
    try:
        for place, name, ours in changed:
            setattr(place, name, ours)
        yield
    finally:
        for place, name, theirs in before:
            setattr(place, name, theirs)
