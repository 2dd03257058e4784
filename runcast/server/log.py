"""What the server says of itself, as one JSON object a line: requests, and whatever goes wrong."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["REQUESTS", "JsonLines", "TextLines", "set_up_logging"]

REQUESTS = logging.getLogger("runcast.requests")
"""A record for each request, with its facts in `request`. What succeeds often and says little (appends, probes) is at DEBUG."""

_LIBRARIES = ("uvicorn", "alembic")


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `message`, and a request's facts."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback is a text in it."""
        said: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "request", {}),
        }
        if record.name != REQUESTS.name:
            said["logger"] = record.name
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


class TextLines(logging.Formatter):
    """The same for people who watch a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it."""
        line = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.getMessage()}"
        facts = getattr(record, "request", None)
        if facts:
            line += f" {facts['status']} in {facts['ms']} ms"
        # What a client sent must not move the cursor or colour the rest.
        line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logging(level: int, *, as_json: bool, stream: TextIO = sys.stderr) -> None:
    """Send what the server and its libraries log to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    for name in ("runcast", *_LIBRARIES):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level if name == "runcast" else max(level, logging.WARNING))
