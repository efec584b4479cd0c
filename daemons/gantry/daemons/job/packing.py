"""The code that jobs run is laid side by side, so that children copy few pages for it.

To call a function CPython writes to its code: it counts who refers to it. As modules are loaded,
the codes that a job runs lie among ten times as many that it does not, one on almost every page;
and a page that a child writes to is copied. So once it is known which codes a job runs, they are
made anew, one after the other: measured, a sixth of all page faults of a job.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType

Codes = dict[int, CodeType]
"""By their identity: two that are equal are two."""


@contextmanager
def noting_codes() -> Iterator[Codes]:
    """Note which codes are run in the body."""
    run: Codes = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            run[id(frame.f_code)] = frame.f_code

    sys.setprofile(note)
    try:
        yield run
    finally:
        sys.setprofile(None)


def pack(run: Codes) -> None:
    """Give every function that has one of these codes a new one that lies beside the others.

    A code that somebody knows weakly is left alone: he would not know the new one (trio marks
    the code of its own functions so).
    """
    movable = {known: code for known, code in run.items() if not weakref.getweakrefcount(code)}
    functions = [
        each
        for each in gc.get_objects()
        if isinstance(each, FunctionType) and id(each.__code__) in movable
    ]
    moved: Codes = {}
    for function in functions:
        function.__code__ = _moved(function.__code__, movable, moved)


def _moved(code: CodeType, movable: Codes, moved: Codes) -> CodeType:
    """Return the new one of a code; those of the functions that are made in it are new, too."""
    if id(code) not in moved:
        constants = tuple(
            _moved(each, movable, moved)
            if isinstance(each, CodeType) and id(each) in movable
            else each
            for each in code.co_consts
        )
        moved[id(code)] = code.replace(co_consts=constants)
    return moved[id(code)]
