"""`%load_ext runcast`: the magics, and the hooks around cells."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from runcast.extension.session import Session

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

MAGICS = (
    ("line", "sync_tensorboard"),
    ("cell", "sync_tensorboard"),
    ("line", "_sync_tensorboard_cell"),
    ("line", "runcast"),
)

_sessions: dict[int, Session] = {}
"""The session of each shell that loaded the extension, by the shell's id()."""


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics and the hooks; harmless when that was done. Starts no run and imports no heavy library."""
    from runcast.extension.session import Session
    from runcast.magics import RuncastMagics, rewrite_cell_magic

    if id(shell) in _sessions:
        return
    session = _sessions[id(shell)] = Session(shell)
    shell.register_magics(RuncastMagics(shell, session))
    shell.input_transformers_cleanup.append(rewrite_cell_magic)
    shell.events.register("pre_run_cell", session.pre_run_cell)
    shell.events.register("post_run_cell", session.post_run_cell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Finish the run, if one is recorded, and take back all that loading did."""
    from runcast.magics import rewrite_cell_magic

    session = _sessions.pop(id(shell), None)
    if session is None:
        return
    session.finish()
    session.close()
    atexit.unregister(session.at_exit)
    shell.events.unregister("pre_run_cell", session.pre_run_cell)
    shell.events.unregister("post_run_cell", session.post_run_cell)
    shell.input_transformers_cleanup.remove(rewrite_cell_magic)
    for kind, name in MAGICS:
        shell.magics_manager.magics[kind].pop(name, None)
