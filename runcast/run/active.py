"""The active run of this process: at most one, from `init` to its finish."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runcast import capture
from runcast.errors import SettingsError
from runcast.run.config import as_mapping
from runcast.run.exits import ExitWatch, Outcome
from runcast.run.roots import check_logdir
from runcast.run.start import start_run
from runcast.run.wandb import heed, only, settings_of, tell
from runcast.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runcast.run.live import Run
    from runcast.settings import Mode, Resume

__all__ = ["active_run", "declare", "init", "record_writers"]

log = logging.getLogger("runcast")

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
    id: str | None = None,  # noqa: A002  see above
    resume: Resume | bool | None = None,
    mode: Mode | None = None,
    to: str | None = None,
    tags: Iterable[str] | None = None,
    notes: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    reinit: bool | str | None = None,
    save_code: bool | None = None,
    settings: Any = None,
    config_include_keys: Iterable[str] | None = None,
    config_exclude_keys: Iterable[str] | None = None,
    **others: Any,
) -> Run:
    """Start a run, and its recorder; a run that is active is finished first.

    `sync_tensorboard` records every TensorBoard writer of this process, those made before included. `logdirs` are folders
    to watch for writers of any process; they need not exist yet. `save=False` keeps the scalars only, not the event files.
    `tensorboard` says whether TensorBoard is served: None, once someone looks. `dir` is where runs live. `notebook` says
    whether this is a kernel, which may not wait long at its end; None finds out.

    `resume` lets an earlier run go on: `allow` the one called `id` if it is there, `must` that one or it is an error; with `never` it
    is one if it is there. `auto` (or True) goes on with the latest run of this project, working folder and script, if that
    crashed, failed or was interrupted. `to` is the address of a server that the run is brought to, beside its folder here;
    `mode="offline"` leaves that to `runcast sync`, and `mode="disabled"` records nothing. `reinit=False` (or `"return_previous"`) returns the active run where there is one. Other arguments of W&B's are taken, and
    told of where they have no effect.

    Raises `SettingsError`, `LogdirError`, or `StoreError` when the folder for runs cannot be made; `RunLocked` and
    `RunNotFound` for a run that cannot be resumed.
    """
    given = {
        "project": project,
        "name": name,
        "dir": dir,
        "id": id,
        "resume": resume,
        "mode": mode,
        "to": to,
        "tags": tags,
    }
    given |= {"notes": notes, "group": group, "job_type": job_type, "save_code": save_code}
    heed(others, _KNOWN)
    said = settings_of(settings)
    effective = load_settings(**{**said, **{key: value for key, value in given.items() if value is not None}})
    values = only(_checked_config(config), config_include_keys, config_exclude_keys)
    watched = [
        check_logdir(logdir) for logdir in ([logdirs] if isinstance(logdirs, (str, os.PathLike)) else logdirs)
    ]
    if _active is not None and reinit in (False, "return_previous"):
        return _active
    notebook = in_kernel() if notebook is None else notebook
    if _active is not None:
        _active.leave() if not _active.owned else _active.finish()
    if effective.from_wandb:
        tell(f"taken from W&B's environment variables: {', '.join(effective.from_wandb)}")

    run = start_run(
        effective,
        values,
        notebook=(_notebook_path() or True) if notebook else None,
        tensorboard=tensorboard,
        sync_tensorboard=sync_tensorboard,
        save=save and all(kept for _, kept in _declared),
    )
    for logdir in [*(path for path, _ in _declared if path is not None), *watched]:
        run.watch(logdir)
    _declared.clear()
    run.start()
    if sync_tensorboard and effective.mode != "disabled":
        capture.patch()
    if sync_tensorboard or capture.is_remembering():
        run.watch_writers()
    if effective.mode != "disabled":
        run.watch_console(effective.console, interactive=notebook or _is_prompt())
    _become_active(run, notebook=notebook)
    if run.url is not None and effective.mode == "online" and not notebook:
        log.warning("runcast: %s is recorded, and brought to %s", run.name, run.url)
    return run


_KNOWN = set(init.__code__.co_varnames[: init.__code__.co_argcount + init.__code__.co_kwonlyargcount])


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


def record_writers() -> None:
    """Record in the active run, if there is one, the writers of what is captured now, in this process and its children."""
    if _active is not None:
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
