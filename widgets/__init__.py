"""The panel in the cell. Importing this package is light; `runcast.widgets.panel` imports ipywidgets."""

from __future__ import annotations

from pathlib import Path

from runcast.errors import RuncastError

__all__ = ["panel_script", "static_script"]

_FOLDER = Path(__file__).parent / "static"


def panel_script() -> Path:
    """Return the module that draws the living panel. Raises `RuncastError` if it was not built."""
    return _built("panel.js")


def static_script() -> Path:
    """Return the script that brings the static form to life in a page. Raises `RuncastError` if it was not built."""
    return _built("static.js")


def _built(name: str) -> Path:
    script = _FOLDER / name
    if not script.is_file():
        raise RuncastError(
            f"the panel was not built: {script} is missing; install runcast again (pip install --force-reinstall .)"
        )
    return script
