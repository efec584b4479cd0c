"""Load everything a job needs, once, so that a fork is all it takes to begin one.

What is loaded here must not start threads, open sockets or keep secrets: children get a copy.
"""

from __future__ import annotations

import gc
import importlib
import linecache
import threading
from collections.abc import Callable
from typing import Any, Final

from typing_extensions import override

from gantry.protocols.errors import GantryError
from gantry.protocols.jobproc import SpawnRequest

JobMain = Callable[[int, SpawnRequest], None]
"""A job's whole life, given its listening socket and who it is; blocks until the job is over."""

MODULES: Final = (
    "encodings.idna",  # for the first name that is looked up or compared
    "ssl",
    "trio",
    "trio._subprocess",  # trio loads these two lazily, at the first process
    "trio._unix_pipes",
    "gantry.runtime.real",
)
"""What jobs load lazily or late; the job's own modules come with its entry point."""

GARBAGE_OBJECTS: Final = 20_000
"""How many containers a job makes between two looks for garbage. Most jobs make fewer, and each
look writes to all that it looks at; CPython's own 700 are for programs that run for long."""

PREPARE: Final = "prepare"
"""The function of the entry point's module that loads what its import does not."""


class CannotPreload(GantryError):
    """The fork server can not make jobs; the text says why."""


class _NoLines(dict[str, Any]):
    """Keeps no source of generated methods, which only a debugger would show: 2 of 42 MiB.

    For each page that there is, a fork and the child's end take time.
    """

    @override
    def setdefault(self, key: str, default: Any = None, /) -> Any:
        return default


def _nothing() -> None:
    """Prepare nothing."""


def load_entry_point(reference: str) -> JobMain:
    """Load ``module:function``, the job's entry point, and let its module prepare itself.

    It is named by a string because a daemon never imports another daemon. If the module has a
    function :data:`PREPARE`, that is called: what it does once, no job has to do.

    Raises:
        CannotPreload: there is no such module or function.
    """
    name, _, function = reference.partition(":")
    try:
        module = importlib.import_module(name)
        main: JobMain = getattr(module, function)
        prepare: Callable[[], None] = getattr(module, PREPARE, _nothing)
        prepare()
    except (ImportError, AttributeError, ValueError) as error:
        raise CannotPreload(
            f"the job's entry point {reference!r} can not be loaded: {error}"
        ) from error
    return main


def preload(reference: str) -> JobMain:
    """Load the job's entry point and all it needs, and freeze it for sharing.

    Frozen objects are not touched by the garbage collector, so that the pages they are on stay
    shared with the children (measured: 5 instead of 12 MiB of memory for each job).

    Raises:
        CannotPreload: something can not be loaded, or has started a thread: only the thread that
            forks lives on in a child, so whatever the others hold is held for ever.
    """
    linecache.cache = _NoLines()
    for name in MODULES:
        importlib.import_module(name)
    main = load_entry_point(reference)
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise CannotPreload(f"a module has started threads ({names}); a server that forks may not")
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)
    return main
