"""Runs and files as JSON, for the panel and for `%runcast status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.store import frames
from runcast.store.protocol import FileRecord

if TYPE_CHECKING:
    from pathlib import Path

    from runcast.run.record import RunRecord
    from runcast.run.state import Child

__all__ = ["child_row", "run_json"]


def run_json(run: RunRecord, folder: Path, url: str | None = None) -> dict[str, Any]:
    """Return a run as panels are told of it, with its folder on this machine, and its page on the server that it is brought to."""
    return {**frames.run_json(run), "folder": str(folder), **({"url": url} if url else {})}


def child_row(child: Child) -> FileRecord:
    """Return what there is to say of a process whose writers are not recorded, as a row among the files."""
    name = f"{child.executable} (process {child.pid})"
    why = (
        f"its TensorBoard writers are recorded in watched folders only ({child.why}); install runcast for that Python, "
        f"or name the folder that it writes to"
    )
    return FileRecord(path=name, size=0, source_path=child.executable, state="ignored", why=why)
