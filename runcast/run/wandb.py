"""What W&B's users pass to `init`: what there is no use for is told once, what nobody knows is an error."""

from __future__ import annotations

import logging
import types
from typing import Any

from runcast.errors import SettingsError
from runcast.run.config import as_mapping

__all__ = ["Settings", "heed", "only", "settings_of"]

log = logging.getLogger("runcast")

_NEEDLESS = {
    "allow_val_change": "",  # always allowed
    "anonymous": "there are no accounts",
    "entity": "runs are kept on this machine",
    "force": "there are no accounts",
    "fork_from": "a run cannot be made from another's beginning; a new one starts",
    "magic": "",
    "monitor_gym": "videos of gym are not found by themselves; log them with runcast.Video",
    "resume_from": "a run cannot be rewound; a new one starts",
    "sync_dir": "",
}

_SETTINGS = {
    "run_id": "id",
    "run_name": "name",
    "run_group": "group",
    "run_job_type": "job_type",
    "run_tags": "tags",
    "run_notes": "notes",
    "project": "project",
    "mode": "mode",
    "resume": "resume",
    "save_code": "save_code",
    "console": "console",
}
_SETTINGS |= {
    name: name
    for name in (
        *("dir", "name", "id", "tags", "notes", "group", "job_type"),
        *("finish_timeout", "save_git", "save_packages", "save_system"),
    )
}
"""What a settings object says that holds here: W&B's names and runcast's own, and how it is called here."""

_SWITCHED_OFF = {
    "disable_git": "save_git",
    "disable_code": "save_code",
    "x_disable_stats": "save_system",
    "_disable_stats": "save_system",
}
"""W&B's settings that switch off what a setting here switches on."""

_CONSOLES = {"wrap_raw": "wrap", "wrap_emu": "wrap"}

_told: set[str] = set()


class Settings(types.SimpleNamespace):
    """Settings for `init(settings=…)`, by runcast's names or W&B's; which have no effect is told there."""


def heed(others: dict[str, Any], known: set[str]) -> None:
    """Tell once of arguments that change nothing here. Raises `SettingsError` for those that nobody knows."""
    for name, value in others.items():
        if name not in _NEEDLESS:
            import difflib  # for a mistake only

            near = difflib.get_close_matches(name, sorted(known | _NEEDLESS.keys()), 1)
            advice = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(sorted(known))}"
            raise SettingsError(f"init() knows no argument {name!r}; {advice}")
        if value is not None and value is not False and _NEEDLESS[name]:
            tell(f"init({name}=…) has no effect: {_NEEDLESS[name]}")


def settings_of(given: Any) -> dict[str, Any]:
    """Return what holds here of a settings object or dict as W&B takes it; the rest is told once."""
    if given is None:
        return {}
    try:
        values = {name: value for name, value in as_mapping(given).items() if value is not None}
    except (TypeError, ValueError) as error:
        raise SettingsError(f"settings is a {type(given).__name__}; it must be a mapping") from error
    if needless := sorted(values.keys() - _SETTINGS.keys() - _SWITCHED_OFF.keys()):
        tell(f"init(settings=…): {', '.join(needless)} {'has' if len(needless) == 1 else 'have'} no effect")
    found = {_SETTINGS[name]: value for name, value in values.items() if name in _SETTINGS}
    if isinstance(console := found.get("console"), str):
        found["console"] = _CONSOLES.get(console, console)
    return {**found, **{ours: False for theirs, ours in _SWITCHED_OFF.items() if values.get(theirs)}}


def only(config: dict[str, Any], include: Any, exclude: Any) -> dict[str, Any]:
    """Return the part of a config that W&B's `config_include_keys` and `config_exclude_keys` leave."""
    return {
        key: value
        for key, value in config.items()
        if (not include or key in include) and key not in (exclude or ())
    }


def tell(text: str) -> None:
    """Tell the user, once a process."""
    if text not in _told:
        _told.add(text)
        log.warning("runcast: %s", text)
