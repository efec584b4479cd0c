"""Structured logs: one event, its fields, the job id.

A person at a terminal reads text; everything else gets one JSON object per line. No secret
may become a field: what is logged is named field by field, never a whole object.
"""

from __future__ import annotations

import datetime
import logging
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Final

import orjson
from attrs import frozen
from typing_extensions import override

LINE_BYTES_MAX: Final = 16 * 1024
"""A longer log line is cut: a log is read by people and shippers with limits of their own."""


@frozen
class Log:
    """The log of one part of the program."""

    name: str

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to know."""
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log what happened."""
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log what went wrong and was dealt with."""
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what went wrong and needs a person."""
        self._emit(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log the exception that is being handled, with its traceback."""
        logging.getLogger(self.name).error(event, extra={"fields": fields}, exc_info=True)

    def _emit(self, level: int, event: str, fields: dict[str, object]) -> None:
        logging.getLogger(self.name).log(level, event, extra={"fields": fields})


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", {})
    return fields if isinstance(fields, dict) else {}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "log": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()[:LINE_BYTES_MAX]


class TextFormatter(logging.Formatter):
    """One line for people; a traceback follows on lines of its own."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname:7} {record.name}: {record.getMessage()} {fields}"
        line = line.rstrip()[:LINE_BYTES_MAX]
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_level(*, debug: bool) -> None:
    """Log more, or no more than usual, from now on."""
    root, level = logging.getLogger(), logging.DEBUG if debug else logging.INFO
    if root.level != level:  # to set it has every logger forget what it knew
        root.setLevel(level)


def is_debugging() -> bool:
    """Whether more is logged than usual."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def set_up(file: Path | None, *, debug: bool) -> None:
    """Send this process's logs to a file, or to standard error.

    A terminal on standard error gets text there; otherwise JSON goes to ``file`` (reopened by
    itself after a rotation), or to standard error if there is none.
    """
    use(destination(file), debug=debug)


def use(handler: logging.Handler, *, debug: bool) -> None:
    """Send this process's logs where a :func:`destination` says."""
    logging.getLogger().handlers[:] = [handler]
    set_level(debug=debug)


def destination(file: Path | None, *, opens_late: bool = False) -> logging.Handler:
    """Return where logs go, as :func:`set_up` says.

    With ``opens_late`` the file is opened for its first line: most jobs have nothing to say.
    """
    handler: logging.Handler
    if sys.stderr.isatty() or file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        if not opens_late:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        handler = WatchedFileHandler(file, delay=opens_late)
    handler.setFormatter(TextFormatter() if sys.stderr.isatty() else JsonFormatter())
    return handler
