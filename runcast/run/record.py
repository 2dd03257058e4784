"""What a run is, as everyone above the engine's ground floor passes it around."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["OWN_ROOT", "RunRecord", "State", "new_run_id"]

State = Literal["running", "finished", "failed", "crashed", "synced"]

OWN_ROOT = "own"
"""The root of the series that the run itself writes: `own/log` (run.log) and `own/system` (system metrics)."""


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


def new_run_id() -> str:
    """Return a fresh run id: 16 lowercase base32 characters (80 random bits)."""
    return base64.b32encode(os.urandom(10)).decode("ascii").lower()
