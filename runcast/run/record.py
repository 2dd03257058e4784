"""What a run is, as everyone above the engine's ground floor passes it around."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

__all__ = ["CONSOLE", "FILES_DIR", "NOTEBOOK", "OWN_ROOT", "RunRecord", "State", "is_own", "new_run_id"]

State = Literal["running", "finished", "failed", "crashed", "synced"]

T = TypeVar("T")

OWN_ROOT = "own"
"""The root of the series that the run itself writes: `own/log` (run.log) and `own/system` (system metrics)."""

CONSOLE = "console.jsonl"
"""Where in the run's folder stands what it printed (see `runcast.run.console.spool`)."""

FILES_DIR = "dir"
"""The folder in the run's whose files are kept when the run ends: `run.dir`."""

NOTEBOOK = f"{OWN_ROOT}/notebook.ipynb"
"""Where in the run's folder a kernel leaves what its cells did, as a notebook, for the recorder to keep."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. Times are seconds since the epoch; `facts` are host, command, git and the like, JSON values all."""

    id: str
    project: str
    name: str
    state: State
    created: float
    ended: float | None = None
    heartbeat: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    trashed: float | None = None
    """When it was put into the store's trash."""

    @property
    def summary(self) -> dict[str, Any]:
        """What the user said came of the training; it wins over what the series say."""
        return _of(self.facts.get("summary"), dict)

    @property
    def tags(self) -> tuple[str, ...]:
        """The user's labels for the run."""
        return tuple(str(tag) for tag in _of(self.facts.get("tags"), list))

    @property
    def notes(self) -> str:
        """What the user wrote about the run, "" for nothing."""
        return str(self.facts.get("notes") or "")

    @property
    def group(self) -> str:
        """The name that runs which belong together share, "" for none."""
        return str(self.facts.get("group") or "")

    @property
    def job_type(self) -> str:
        """What the run does within its group, such as `train`; "" if nobody said."""
        return str(self.facts.get("job_type") or "")


def _of(value: Any, kind: type[T]) -> T:
    """Return a fact if it is of the kind that it should be, else an empty one."""
    return value if isinstance(value, kind) else kind()


def new_run_id() -> str:
    """Return a fresh run id: 16 lowercase base32 characters (80 random bits)."""
    return base64.b32encode(os.urandom(10)).decode("ascii").lower()


def is_own(folder: Path, path: str) -> bool:
    """Whether a file in the folder of a run is there for the run's own ends, and not in `run.dir`, where users put files."""
    place = folder.resolve()
    return Path(path).is_relative_to(place) and not Path(path).is_relative_to(place / FILES_DIR)
