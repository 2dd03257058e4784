"""Which front end talks to this shell, and what it can show."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from runcast.errors import SettingsError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Form", "Frontend", "cell_id", "cell_number", "detect", "form"]

Frontend = Literal["browser", "client", "terminal"]
"""Who asks for cells: a page (JupyterLab, Notebook, Colab, VS Code), a program on jupyter_client (nbclient, papermill,
jupyter console), or IPython's own prompt."""

Form = Literal["widget", "static", "none"]
"""What a run shows in its cell: the living panel with the static form beneath it, the static form alone, or one line of text."""

_FORMS: dict[Frontend, Form] = {"browser": "widget", "client": "static", "terminal": "none"}

_JUPYTER_CLIENT_ID = re.compile(r".+_\d+_\d+")
"""jupyter_client names its messages `<session>_<pid>_<count>`; front ends in JavaScript use plain UUIDs."""


def detect(shell: InteractiveShell) -> Frontend:
    """Return which front end sent the request that is being executed."""
    if getattr(shell, "kernel", None) is None:
        return "terminal"
    if "google.colab" in sys.modules:
        return "browser"
    message_id = str(_request(shell).get("header", {}).get("msg_id", ""))
    return "client" if _JUPYTER_CLIENT_ID.fullmatch(message_id) else "browser"


def form(frontend: Frontend) -> Form:
    """Return what to show there: `RUNCAST_PANEL` if it is set, else what suits the front end.

    Raises `SettingsError` for an unknown value of the variable.
    """
    wanted = os.environ.get("RUNCAST_PANEL", "")
    if not wanted:
        return _FORMS[frontend]
    for known in get_args(Form):
        if wanted == known:
            return cast("Form", known)
    raise SettingsError(f"RUNCAST_PANEL is {wanted!r}; set it to widget, static or none, or leave it unset")


def cell_id(shell: InteractiveShell) -> str | None:
    """Return the notebook's id of the cell that is being executed, where the front end tells it."""
    found = _request(shell).get("metadata", {}).get("cellId")
    return str(found) if found else None


def cell_number(shell: InteractiveShell, *, begun: bool) -> int:
    """Return the number of the cell that is being executed; `begun` says whether its source has been stored already.

    IPython counts on before a cell runs (9.16 and later) or after it.
    """
    stored = len(getattr(shell.history_manager, "input_hist_raw", ()))
    number = stored - 1 if begun else stored
    count = int(shell.execution_count)
    return number if number in (count, count - 1) else count


def _request(shell: InteractiveShell) -> dict[str, Any]:
    """Return the execute_request that is being answered (ipykernel 6 and later), or an empty one."""
    get_parent = getattr(getattr(shell, "kernel", None), "get_parent", None)
    return dict(get_parent() or {}) if get_parent is not None else {}
