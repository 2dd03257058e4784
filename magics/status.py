"""`%runcast status`: what is recorded, in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runcast.extension.session import Session

__all__ = ["print_status", "table"]

ANSWER = 2.0
"""Seconds that the recorder has to answer."""

COLUMNS = ("file", "written", "recorded", "lag", "skipped", "state", "why")
NUMBERS = frozenset({"written", "recorded", "lag", "skipped"})


def print_status(session: Session) -> None:
    """Print what the recorder says of the run's files, and what went wrong in the hooks."""
    for line in _lines(session):
        print(line)  # noqa: T201


def _lines(session: Session) -> Iterator[str]:
    run = session.run
    if run is None:
        yield "runcast: no run is recorded; %sync_tensorboard starts one"
    else:
        status = run.status(ANSWER)
        pid = run.recorder_pid
        alive = (
            f"recorder: process {pid}" if pid is not None else "recorder: dead; a new one is being started"
        )
        yield f"{run.project} / {run.name} · {run.state} · {run.id} · {alive}"
        yield f"in {run.folder}"
        if run.url is not None:
            yield f"and on {run.url}"
        if status is None and pid is not None:
            yield "the recorder does not answer; what is written stays in the event files and is recorded later"
        elif status is not None:
            yield from table([_row(file) for file in status["files"]]) if status["files"] else (NOTHING_YET,)
    for warning in session.warnings:
        yield f"warning: {warning}"


NOTHING_YET = "no event file yet: they appear here when a SummaryWriter opens one"


def _row(file: dict[str, Any]) -> dict[str, str]:
    return {
        "file": str(file["path"]).removeprefix("files/"),
        "written": _bytes(file["size"]),
        "recorded": _bytes(file["recorded"]),
        "lag": _bytes(file["lag"]),
        "skipped": f"{file['skipped']:,}",
        "state": str(file["state"]),
        "why": str(file["why"]),
    }


def table(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """Yield the lines of a plain table: numbers to the right, a column that is empty throughout left out."""
    columns = [name for name in COLUMNS if name in NUMBERS or any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    for row in ({name: name for name in columns}, *rows):
        cells = (
            row[name].rjust(widths[name]) if name in NUMBERS else row[name].ljust(widths[name])
            for name in columns
        )
        yield "  ".join(cells).rstrip()


def _bytes(count: int) -> str:
    return f"{count:,} B"
