"""When Python looks for unreachable cycles: not while a large state is made, and not in it.

The collector walks over every container there is, again and again while more are made. A
configuration of 20,000 instances has some millions, none of them garbage: loading it took twice as
long, and each full collection later held the event loop for a third of a second. Reference counts
free what is let go of all the same.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """Collect nothing while the body makes what will stay; later leave out what there is then.

    Where nobody collects anyway nothing is left out: garbage that waits for that would stay, too.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()
