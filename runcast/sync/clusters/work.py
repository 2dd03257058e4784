"""What a worker of a cluster does: bring a few runs, or say why it cannot."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runcast.errors import RuncastError, StorageFull
from runcast.sync.jobs import grouped
from runcast.sync.transfer import bring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runcast.sync.plan import Planned
    from runcast.sync.stores import Destination
    from runcast.sync.transfer import Brought, Terms

__all__ = ["Done", "Full", "Refused", "Task", "perform", "why_unseen"]


@dataclass(frozen=True, slots=True)
class Task:
    """Runs that are brought by one worker, one after the other."""

    runs: Sequence[Planned]
    to: Destination
    terms: Terms
    shown: Path | None = None
    """A file in the store's folder, which says that a worker has the same folder."""
    unseen: bool = False
    """Whether the files need not be there: they are gone everywhere, and that is told of each."""


@dataclass(slots=True)
class Done:
    """What became of a task's runs, and what was moved for them, as `bring` counts that."""

    brought: list[Brought] = field(default_factory=list)
    bytes: int = 0
    events: int = 0

    def moved(self, size: int, events: int) -> None:
        """Count what was moved."""
        self.bytes += size
        self.events += events


@dataclass(frozen=True, slots=True)
class Refused:
    """Why this worker can bring nothing; another one may. `logs`: it does not see those."""

    why: str
    logs: bool = False


@dataclass(frozen=True, slots=True)
class Full:
    """The store is full."""

    why: str


class _Cancelled(BaseException):
    """Nobody wants the task's result any more."""


def perform(task: Task, is_cancelled: Callable[[], bool] = lambda: False) -> bytes:
    """Do a task, and return a `Done`, `Refused` or `Full`, pickled: nobody on the way has to know what those are."""
    try:
        return pickle.dumps(_done(task, is_cancelled))
    except _Cancelled:
        return pickle.dumps(Done())
    except StorageFull as error:
        return pickle.dumps(Full(str(error)))
    except RuncastError as error:
        return pickle.dumps(Refused(str(error)))


def why_unseen(runs: Sequence[Planned]) -> str | None:
    """Return why the first file at each location cannot be read here, None if it can."""
    looked = set()
    for run in runs:
        for member in (*run.events, *run.whole):
            if member.location.url in looked:
                continue
            looked.add(member.location.url)
            try:
                with member.location.open(member.entry) as file:
                    file.read(1)
            except (OSError, RuncastError) as error:
                reason = (isinstance(error, OSError) and error.strerror) or str(error)
                return f"it cannot read {member.location.address(member.entry)} ({reason})"
    return None


def _done(task: Task, is_cancelled: Callable[[], bool]) -> Done | Refused:
    if not task.unseen and (why := why_unseen(task.runs)) is not None:
        advice = (
            "a bucket's credentials must be in the environment of the worker"
            if any("://" in each.location.label for run in task.runs for each in (*run.events, *run.whole))
            else "workers need the logs at the same path as here (a network mount), or in a bucket"
        )
        return Refused(f"{why}; {advice}", logs=True)
    if task.shown is not None and not task.shown.exists():
        return Refused(
            f"it has another folder {task.shown.parent} than this machine: mount the store's folder there, or keep the files in a bucket (--files)"
        )
    done = Done()

    def moved(size: int, events: int) -> None:
        if is_cancelled():
            raise _Cancelled
        done.moved(size, events)

    with task.to.open() as store:
        for several in grouped(task.runs):
            done.brought += bring(several, store, task.terms, moved)
    for member in (each for run in task.runs for each in (*run.events, *run.whole)):
        member.location.close()
    return done
