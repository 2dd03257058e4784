"""The active run of this process: at most one, from `init` to its finish."""

from __future__ import annotations

import atexit
import os
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast import capture
from runcast.errors import JournalError, SettingsError, StoreError
from runcast.run.config import as_mapping
from runcast.run.exits import ExitWatch, Outcome
from runcast.run.journal import Journal
from runcast.run.launch import launch_recorder, parent_created
from runcast.run.link import RecorderLink
from runcast.run.live import Run
from runcast.run.names import make_name
from runcast.run.plain import plain
from runcast.run.program import program_facts
from runcast.run.record import new_run_id
from runcast.run.roots import Roots, check_logdir
from runcast.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["active_run", "declare", "init"]

KERNEL_EXIT_WAIT = 0.1
"""Seconds that a kernel which shuts down may wait for its recorder: Jupyter kills it soon after, and nothing is lost."""

_active: Run | None = None
_declared: list[tuple[str | None, bool]] = []
"""What `runcast.tensorboard.patch` declared for the next run: a logdir (or None), and whether to keep event files."""


def active_run() -> Run | None:
    """Return the run that this process records now."""
    return _active


def init(
    project: str | None = None,
    name: str | None = None,
    config: Mapping[str, Any] | Any = None,
    *,
    sync_tensorboard: bool = False,
    save: bool = True,
    logdirs: Iterable[str | os.PathLike[str]] = (),
    tensorboard: bool | None = None,
    dir: str | os.PathLike[str] | None = None,  # noqa: A002  the name that W&B's users know
    notebook: bool | None = None,
) -> Run:
    """Start a run, and its recorder; a run that is active is finished first.

    `sync_tensorboard` records every TensorBoard writer of this process, those made before included. `logdirs` are folders
    to watch for writers of any process; they need not exist yet. `save=False` keeps the scalars only, not the event files.
    `tensorboard` says whether TensorBoard is served: None, once someone looks. `dir` is where runs live. `notebook` says
    whether this is a kernel, which may not wait long at its end; None finds out.

    Raises `SettingsError`, `LogdirError`, or `StoreError` when the folder for runs cannot be made.
    """
    settings = load_settings(project=project, name=name, dir=dir)
    values = _checked_config(config)
    watched = [
        check_logdir(logdir) for logdir in ([logdirs] if isinstance(logdirs, (str, os.PathLike)) else logdirs)
    ]
    notebook = in_kernel() if notebook is None else notebook
    if _active is not None:
        _active.leave() if not _active.owned else _active.finish()

    cwd = _working_folder()
    run_id = new_run_id()
    folder = _make_folder(settings.dir, run_id)
    created = parent_created()
    journal = Journal(folder / "run.jsonl", f"kernel:{os.getpid()}")
    fields = {
        "project": settings.project or Path(cwd).name or "uncategorized",
        "name": settings.name or make_name(),
        "config": plain(values),
    }
    try:
        journal.append(
            "start",
            run=run_id,
            **fields,
            created=time.time(),
            pid=os.getpid(),
            pid_created=created,
            cwd=cwd,
            notebook=(_notebook_path() or True) if notebook else None,
            tensorboard=tensorboard,
            facts={} if notebook else program_facts(),
            left_out=settings.left_out,
        )
    except JournalError as error:
        raise StoreError(str(error)) from error

    launch = partial(launch_recorder, folder, cwd=cwd, parent=os.getpid(), created=created)
    link = RecorderLink(launch, log_file=folder / "recorder.log")
    run = Run(
        id=run_id,
        name=fields["name"],
        project=fields["project"],
        folder=folder,
        journal=journal,
        link=link,
        roots=Roots(cwd),
        config=values,
        sync_tensorboard=sync_tensorboard,
        save=save and all(kept for _, kept in _declared),
        finish_timeout=settings.finish_timeout,
    )
    for logdir in [*(path for path, _ in _declared if path is not None), *watched]:
        run.watch(logdir)
    _declared.clear()
    link.start()
    if sync_tensorboard:
        capture.patch()
    if sync_tensorboard or capture.is_remembering():
        run.watch_writers()
    run.watch_console(settings.console, interactive=notebook or _is_prompt())
    _become_active(run, notebook=notebook)
    return run


def declare(logdir: str | os.PathLike[str] | None, *, save: bool) -> None:
    """Watch a logdir (None: none), and keep event files or not, in the active run; without one, in the next.

    Raises `LogdirError` for a regular file.
    """
    path = None if logdir is None else check_logdir(logdir)
    if _active is None:
        if (path, save) not in _declared:
            _declared.append((path, save))
        return
    if not save:
        _active.save_event_files = False
    if path is not None:
        _active.watch(path)
    _active.watch_writers()


def in_kernel() -> bool:
    """Whether this process is a notebook's kernel; IPython is not imported to find out."""
    return getattr(_shell(), "kernel", None) is not None


def _shell() -> Any:
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython() if get_ipython is not None else None


def _is_prompt() -> bool:
    return _shell() is not None or hasattr(sys, "ps1")


def _notebook_path() -> str | None:
    """Return the notebook's path as far as its front end tells it; after a renaming Jupyter's is the old one."""
    namespace = getattr(_shell(), "user_ns", {})
    return namespace.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")


def _checked_config(config: Any) -> dict[str, Any]:
    try:
        return as_mapping(config)
    except (TypeError, ValueError) as error:
        message = f"config is a {type(config).__name__}; it must be a mapping of names to values, such as {{'lr': 0.1}}"
        raise SettingsError(message) from error


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # removed under our feet
        return str(Path.home())


def _make_folder(place: Path, run_id: str) -> Path:
    folder = place / "runs" / run_id
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        message = (
            f"cannot make the run's folder {folder}: {error.strerror}; "
            f"let RUNCAST_DIR (or dir=) name a folder that can be written"
        )
        raise StoreError(message) from error
    return folder


def _become_active(run: Run, *, notebook: bool) -> None:
    global _active  # noqa: PLW0603  one run a process is what this module is about
    _active = run
    # At a prompt an uncaught exception, or a `sys.exit`, need not end anything.
    exits = None if notebook or _is_prompt() else ExitWatch()

    def at_exit() -> None:
        outcome = exits.outcome if exits is not None else Outcome("finished")
        with suppress(KeyboardInterrupt):  # whoever does not want to wait need not
            run.finish_at_exit(outcome, KERNEL_EXIT_WAIT if notebook else None)

    def no_more() -> None:
        global _active  # noqa: PLW0603  see above
        atexit.unregister(at_exit)
        if exits is not None:
            exits.remove()
        if _active is run:
            _active = None

    run.on_finish(no_more)
    atexit.register(at_exit)


def _forked() -> None:
    if _active is not None:
        _active.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
