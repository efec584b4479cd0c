"""Errors of drivers and of the machine as the errors that the NodeD protocol declares."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from gantry.core.keys import Failure
from gantry.protocols.codec import Malformed
from gantry.protocols.errors import Fault, ServiceError, StaleEpoch
from gantry.protocols.noded import Missing, StepFailed
from gantry.protocols.records import CorruptRecord
from gantry.protocols.runtime_types import MachineLacks
from gantry.runtime.logs import Log

LOG = Log("noded")


def as_failure(error: Exception) -> Failure:
    """Return what a caller is told; an unexpected error is logged with its traceback."""
    match error:
        case StepFailed() | Missing() | Fault():
            return error
        case MachineLacks():
            return Missing(error.sentence())
        case ServiceError():
            return StepFailed(error.sentence())
        case FileNotFoundError():
            return StepFailed(f"there is no {error.filename or error}")
        case OSError():
            return StepFailed(
                f"{error.filename}: {error.strerror}" if error.filename else f"{error}"
            )
        case trio.TooSlowError():
            return StepFailed("it took longer than is allowed")
        case _:
            LOG.exception("call failed")
            return Fault(f"NodeD failed: {error!r}; its log has the traceback")


@asynccontextmanager
async def told() -> AsyncIterator[None]:
    """Let a call of another candidate fail only as its protocol says."""
    try:
        yield
    except StaleEpoch:
        raise
    except (Malformed, CorruptRecord) as error:
        raise StepFailed(str(error)) from error
    except Exception as error:
        raise as_failure(error) from error
