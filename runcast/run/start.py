"""Starting a run: a new one, an earlier one that goes on, or one of which nothing is recorded."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast.errors import JournalError, StoreError
from runcast.events.last_step import last_step
from runcast.run.disabled import NoJournal, NoLink
from runcast.run.journal import Journal
from runcast.run.launch import launch_recorder, parent_created
from runcast.run.link import RecorderLink
from runcast.run.live import Run
from runcast.run.names import make_name
from runcast.run.plain import plain
from runcast.run.program import program_facts
from runcast.run.record import OWN_ROOT, RunRecord, new_run_id
from runcast.run.redact import without_secrets
from runcast.run.resume import Marker, holding, run_to_resume
from runcast.run.roots import Roots
from runcast.run.state import RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runcast.settings import Settings

__all__ = ["start_run"]


def start_run(
    settings: Settings,
    config: Mapping[str, Any],
    *,
    notebook: str | bool | None,
    tensorboard: bool | None,
    sync_tensorboard: bool,
    save: bool,
) -> Run:
    """Return a run whose beginning is in its journal; the recorder is started by `Run.start`.

    `notebook` is a notebook's path, True for one whose path is not known, None for a script. Raises `SettingsError`, or
    `StoreError` (`RunLocked`, `RunNotFound`) for a run that cannot be made or resumed.
    """
    cwd = _working_folder()
    project = settings.project or Path(cwd).name or "uncategorized"
    roots = Roots(cwd)
    make = partial(
        Run, roots=roots, sync_tensorboard=sync_tensorboard, save=save, finish_timeout=settings.finish_timeout
    )
    if settings.mode == "disabled":
        record = RunRecord(
            settings.id or new_run_id(),
            project,
            settings.name or make_name(),
            "running",
            time.time(),
            facts=_labels(settings),
        )
        folder = settings.dir / "runs" / record.id
        return make(record, folder, NoJournal(folder, "nobody"), NoLink(), config=config, disabled=True)

    marker = Marker.of(settings.dir, project, cwd, notebook if isinstance(notebook, str) else None)
    run, earlier = run_to_resume(settings, marker)
    folder = settings.dir / "runs" / run
    process = {
        "pid": os.getpid(),
        "pid_created": parent_created(),
        "cwd": cwd,
        "notebook": notebook,
        "tensorboard": tensorboard,
        "left_out": settings.left_out,
        "to": settings.to,
        "offline": settings.mode == "offline",
        "config": without_secrets(plain(config)),
        "facts": {**_labels(settings), **({} if notebook else program_facts())},
    }
    try:
        if earlier:
            state, journal = _go_on(folder, settings, process)
        else:
            name = settings.name or make_name()
            state, journal = _begin(folder, {"project": project, "name": name, **process})
    except JournalError as error:
        raise StoreError(str(error)) from error
    marker.write(run)
    assert state.run is not None
    for watch in state.watches.values():
        roots.declare(watch.path)
    launch = partial(launch_recorder, folder, cwd=cwd, parent=os.getpid(), created=process["pid_created"])
    return make(
        state.run,
        folder,
        journal,
        RecorderLink(launch, log_file=folder / "recorder.log"),
        config={**state.run.config, **config},
        step=(last_step(folder / OWN_ROOT / "log") or 0) + 1 if earlier else 0,
        url=state.url,
        resumed=earlier,
        ended_well=partial(marker.clear, run),
    )


def _begin(folder: Path, fields: dict[str, Any]) -> tuple[RunState, Journal]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = (
            f"cannot make the run's folder {folder}: {error.strerror}; "
            f"let RUNCAST_DIR (or dir=) name a folder that can be written"
        )
        raise StoreError(message) from error
    journal = Journal(folder / "run.jsonl", f"kernel:{os.getpid()}")
    state = RunState()
    state.fold(journal.append("start", run=folder.name, created=time.time(), **fields))
    return state, journal


def _go_on(folder: Path, settings: Settings, fields: dict[str, Any]) -> tuple[RunState, Journal]:
    """Note that the run goes on. What is not given anew stays as it was."""
    given = {"project": settings.project, "name": settings.name}
    with holding(folder) as state:
        # An author's entries are numbered: a process that resumes its own run is another author.
        journal = Journal(folder / "run.jsonl", f"kernel:{os.getpid()}.{state.resumed + 1}")
        entry = journal.append(
            "resume", **fields, **{name: value for name, value in given.items() if value is not None}
        )
        state.fold(entry)
        return state, journal


def _labels(settings: Settings) -> dict[str, Any]:
    labels = {
        "tags": list(settings.tags),
        "notes": settings.notes,
        "group": settings.group,
        "job_type": settings.job_type,
    }
    return {name: value for name, value in labels.items() if value}


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # removed under our feet
        return str(Path.home())
