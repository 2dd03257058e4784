"""runcast: live, safe, shareable runs from TensorBoard logs.

    import runcast

    with runcast.init(project="digits", config={"lr": 1e-3}, sync_tensorboard=True) as run:
        ...  # training code that writes TensorBoard logs, as it is
        run.log({"epoch_seconds": 12.5})

Importing this module imports next to nothing: names are looked up when they are used. `import runcast as wandb` runs most
code that was written for W&B's TensorBoard integration.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from runcast import errors, tensorboard
    from runcast.client.api import Api
    from runcast.client.api import open as open  # noqa: A004 - runcast.open
    from runcast.client.login import login
    from runcast.logdir import read
    from runcast.run.active import init
    from runcast.run.config import Config, Summary
    from runcast.run.live import Run
    from runcast.run.media import Audio, Histogram, Html, Image, Video
    from runcast.run.namesakes import AlertLevel
    from runcast.run.state import Policy
    from runcast.run.tables import Table
    from runcast.run.wandb import Settings

    config: Config
    run: Run | None
    summary: Summary

__all__ = [
    "AlertLevel",
    "Api",
    "Audio",
    "Histogram",
    "Html",
    "Image",
    "Run",
    "Settings",
    "Table",
    "Video",
    "__version__",
    "config",
    "errors",
    "finish",
    "init",
    "log",
    "login",
    "read",
    "run",
    "save",
    "summary",
    "tensorboard",
]

__version__ = "0.1.0"

_NAMES = {
    "init": "runcast.run.active",
    "read": "runcast.logdir",
    "Run": "runcast.run.live",
    "Table": "runcast.run.tables",
    **dict.fromkeys(("Audio", "Histogram", "Html", "Image", "Video"), "runcast.run.media"),
    "Settings": "runcast.run.wandb",
    "login": "runcast.client.login",
    **dict.fromkeys(("Api", "open"), "runcast.client.api"),
    "AlertLevel": "runcast.run.namesakes",
}
_OF_RUN = ("alert", "config", "define_metric", "log_code", "mark_preempting", "summary", "unwatch", "watch")
"""What the active run has under the same name."""
_MODULES = ("errors", "tensorboard")


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
    """Record values in the active run: `run.log`. Raises `RuncastError` when no run is active."""
    _active_run("log").log(data, step, commit)


def save(
    glob_str: str | os.PathLike[str] | None = None,
    base_path: str | os.PathLike[str] | None = None,
    policy: Policy = "live",
) -> list[str]:
    """Keep files in the active run: `run.save`. Raises `RuncastError` when no run is active."""
    return _active_run("save").save(glob_str, base_path, policy)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """Finish the active run, as failed where an exit code says so; harmless without one. `quiet` is W&B's, and changes nothing."""
    run = sys.modules[__name__].run
    if run is not None:
        run.finish(exit_code=exit_code, quiet=quiet)


def load_ipython_extension(ipython: Any) -> None:
    """Set up what `%load_ext runcast` gives."""
    importlib.import_module("runcast.extension").load_ipython_extension(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Undo `load_ipython_extension`."""
    importlib.import_module("runcast.extension").unload_ipython_extension(ipython)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"runcast.{name}")
    if name in _OF_RUN and (run := sys.modules[__name__].run) is not None:
        return getattr(run, name)
    if name in _OF_RUN:
        message = f"runcast.{name} needs a run; start one with runcast.init() or %sync_tensorboard"
        raise AttributeError(message)
    from runcast.run.absent import not_here  # for a mistake only

    advice = not_here(name, of_run=False)
    if advice is not None and sys._getframe(1).f_globals.get("__name__") == "importlib._bootstrap":  # noqa: SLF001
        # `from runcast import …`, whose error says nothing of ours
        from runcast.run.wandb import tell

        tell(advice)
    message = advice or f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _active_run(wanted: str) -> Run:
    run: Run | None = sys.modules[__name__].run
    if run is None:
        from runcast.errors import RuncastError  # `import runcast` stays light

        message = f"runcast.{wanted} needs a run; start one with runcast.init() or %sync_tensorboard"
        raise RuncastError(message)
    return run


class _Package(ModuleType):
    """The module's class, for the one name that must follow what happens: `runcast.run`, the active run or None.

    The subpackage of the same name is imported as any other (`from runcast.run import journal`); the import system's
    binding of it to this module is what the setter lets pass.
    """

    @property
    def run(self) -> Run | None:
        active = sys.modules.get("runcast.run.active")
        return active.active_run() if active is not None else None

    @run.setter
    def run(self, module: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Package
