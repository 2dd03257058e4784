"""Runs and files as JSON, for the panel and for `%runcast status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.recorder.sources import OLDER
from runcast.run.strict import strict
from runcast.store.protocol import FileRecord

if TYPE_CHECKING:
    from pathlib import Path

    from runcast.run.record import RunRecord
    from runcast.run.state import Child

__all__ = ["child_row", "file_json", "run_json"]


def run_json(run: RunRecord, folder: Path) -> dict[str, Any]:
    """Return a run, with its folder and without its summary, which the panel has in its series."""
    return {
        "id": run.id,
        "project": run.project,
        "name": run.name,
        "state": run.state,
        "folder": str(folder),
        "created": run.created,
        "ended": run.ended,
        "config": strict(run.config),
        "facts": strict(run.facts),
    }


def file_json(file: FileRecord) -> dict[str, Any]:
    """Return a file with its lag: how many bytes of its source are to be recorded and are not yet."""
    return {
        "path": file.path,
        "source": file.source_path,
        "size": file.source_size,
        "recorded": file.size,
        "lag": 0 if file.state == OLDER else max(0, file.source_size - file.size),
        "skipped": file.skipped,
        "state": file.state,
        "why": file.why,
    }


def child_row(child: Child) -> FileRecord:
    """Return what there is to say of a process whose writers are not recorded, as a row among the files."""
    name = f"{child.executable} (process {child.pid})"
    why = (
        f"its TensorBoard writers are recorded in watched folders only ({child.why}); install runcast for that Python, "
        f"or name the folder that it writes to"
    )
    return FileRecord(path=name, size=0, source_path=child.executable, state="ignored", why=why)
