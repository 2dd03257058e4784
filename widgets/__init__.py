"""The panel in the cell. Importing this package is light; `runcast.widgets.panel` imports ipywidgets."""

from __future__ import annotations

from pathlib import Path

from runcast.errors import RuncastError

__all__ = ["panel_script"]

_SCRIPT = Path(__file__).parent / "static" / "panel.js"


def panel_script() -> Path:
    """Return the file that draws the panel, in the page and in the static form. Raises `RuncastError` if it was not built."""
    if not _SCRIPT.is_file():
        raise RuncastError(
            f"the panel was not built: {_SCRIPT} is missing; install runcast again (pip install --force-reinstall .)"
        )
    return _SCRIPT
