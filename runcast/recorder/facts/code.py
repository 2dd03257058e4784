"""The script that a run runs, and where the notebook's cells go."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from runcast.run.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["notebook_place", "script"]

MOST_CODE = 2 << 20
"""Bytes of a script that is kept; what is larger is data."""

_UNPLACEABLE = re.compile(r'[\x00-\x1f\\:*?"<>|]')


def script(facts: Mapping[str, Any], cwd: str) -> tuple[str, bytes] | None:
    """Return the place in the run of the script that `facts` name, and its text without secrets; None if there is none.

    The place says where below the working folder it lies; of a script elsewhere only the name is kept, of a module of a
    package (`-m pkg.train`) its path in the package.
    """
    path = facts.get("script")
    if not isinstance(path, str):
        return None
    try:
        with open(path, "rb") as file:  # noqa: PTH123  as the process named it
            data = file.read(MOST_CODE + 1)
    except (OSError, ValueError):
        return None
    if len(data) > MOST_CODE or b"\0" in data:
        return None  # a zip archive, or a program that is no text
    text = Redactor().text(data.decode("utf-8", "surrogateescape"))
    return f"code/{_place(path, cwd, facts.get('module'))}", text.encode("utf-8", "surrogateescape")


def notebook_place(name: object) -> str:
    """Return the place in the run of a notebook of this name or path (anything but a text: unknown)."""
    stem = PurePath(str(name).replace("\\", "/")).name if isinstance(name, str) else ""
    stem = _UNPLACEABLE.sub("_", stem.removesuffix(".ipynb")).strip(". ") or "notebook"
    return f"code/{stem[:200]}.ipynb"


def _place(path: str, cwd: str, module: object) -> str:
    if cwd:
        try:
            relative = Path(os.path.relpath(os.path.realpath(path), os.path.realpath(cwd)))
        except (OSError, ValueError):  # another drive
            relative = Path(path)
        if not relative.is_absolute() and ".." not in relative.parts:
            return "/".join(_UNPLACEABLE.sub("_", part) for part in relative.parts)
    name = Path(path).name
    if isinstance(module, str):
        package = module.split(".")[:-1]
        return "/".join(_UNPLACEABLE.sub("_", part) for part in [*package, name])
    return _UNPLACEABLE.sub("_", name)
