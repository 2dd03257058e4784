"""What `run.save` names: a pattern, the folder that its files' places in the run are relative to, and what matches now."""

# Patterns are text, and so is what `glob` finds.
# ruff: noqa: PTH100, PTH111, PTH112, PTH117, PTH118, PTH120, PTH207

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from runcast.errors import SettingsError
from runcast.run.roots import is_remote
from runcast.run.state import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Wanted", "files_of", "wanted"]


class Wanted(NamedTuple):
    """Absolute `pattern` and `base`; `pattern` is the path of a file or folder, or a glob (`**` crosses folders)."""

    pattern: str
    base: str
    policy: Policy


def wanted(pattern: Any, base_path: Any, policy: Any, *, home: str | None = None) -> Wanted:
    """Check what `run.save` was given.

    Without `base_path`, a relative pattern keeps its folders below the working folder, and an absolute one those below `home`, the
    run's own folder for files, or elsewhere its last folder, as with W&B. Raises `SettingsError` for a pattern that leads out of its base.
    """
    if policy not in get_args(Policy):
        raise SettingsError(f"run.save(policy={policy!r}): it must be 'live', 'now' or 'end'")
    given = _text("the pattern", pattern)
    path = os.path.abspath(os.path.expanduser(given))
    if base_path is not None:
        base = os.path.abspath(os.path.expanduser(_text("base_path", base_path)))
    elif home is not None and path != home and _is_below(path, home):
        base = home
    elif os.path.isabs(os.path.expanduser(given)) or not _is_below(path, os.getcwd()):
        base = os.path.dirname(os.path.dirname(path))
    else:
        base = os.getcwd()
    if not _is_below(path, base):
        raise SettingsError(
            f"run.save: {path} does not lie in base_path {base}; name a folder that holds the files"
        )
    return Wanted(path, base, policy)


def files_of(pattern: str) -> Iterator[str]:
    """Yield the files that match a pattern now, all those in folders that match; links to folders inside them are not followed."""
    import glob  # most runs save nothing

    matches = [pattern] if os.path.lexists(pattern) else sorted(glob.glob(pattern, recursive=True))
    seen = set()
    for match in matches:
        inside = (
            (os.path.join(folder, name) for folder, _, names in os.walk(match) for name in sorted(names))
            if os.path.isdir(match)
            else (match,)
        )
        for path in inside:
            if path not in seen:
                seen.add(path)
                yield path


def _text(what: str, value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise SettingsError(f"run.save: {what} is {value!r}; it must be a path")
    text = os.fspath(value)
    if not isinstance(text, str) or "\0" in text:
        raise SettingsError(f"run.save: {what} is {value!r}; it must be a path, as text")
    if is_remote(text):
        raise SettingsError(f"run.save: {text} is an address; only files on this machine can be kept")
    return text


def _is_below(path: str, base: str) -> bool:
    try:
        return os.path.commonpath([path, base]) == base
    except ValueError:  # on different drives
        return False
