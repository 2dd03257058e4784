"""Settings: defaults < config file < `RUNCAST_*` environment < arguments.

| setting          | environment              | meaning                                                            |
|------------------|--------------------------|--------------------------------------------------------------------|
| `dir`            | `RUNCAST_DIR`            | where runs live; default: the platform's user data folder          |
| `project`        | `RUNCAST_PROJECT`        | the project of a run that names none; default: the working folder's name |
| `name`           | `RUNCAST_NAME`           | the name of a run that is given none; default: made up             |
| `finish_timeout` | `RUNCAST_FINISH_TIMEOUT` | seconds that finishing may wait for the recorder; default: 30      |
| `save_code`      | `RUNCAST_SAVE_CODE`      | keep the script, or the notebook's cells with their outputs; default: on |
| `save_git`       | `RUNCAST_SAVE_GIT`       | keep the git commit, and what is not committed; default: on        |
| `save_packages`  | `RUNCAST_SAVE_PACKAGES`  | keep the list of installed packages; default: on                   |
| `save_system`    | `RUNCAST_SAVE_SYSTEM`    | measure the machine; default: on                                   |

The config file is `runcast/config.toml` in the platform's user config folder, one `setting = value` a line. Reading it
needs Python 3.11 (or the package `tomli`); on 3.10 without it the file is passed over.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from runcast.errors import SettingsError

__all__ = ["Settings", "config_file", "load_settings", "runcast_dir"]

DEFAULT_FINISH_TIMEOUT = 30.0

_SWITCH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a run that starts now; `project` and `name` are None where nobody set them."""

    dir: Path
    project: str | None = None
    name: str | None = None
    finish_timeout: float = DEFAULT_FINISH_TIMEOUT
    save_code: bool = True
    save_git: bool = True
    save_packages: bool = True
    save_system: bool = True

    @property
    def left_out(self) -> list[str]:
        """What of a run is not to be recorded: some of `code`, `git`, `packages`, `system`."""
        parts = ("code", "git", "packages", "system")
        return [part for part in parts if not getattr(self, f"save_{part}")]


def load_settings(**arguments: Any) -> Settings:
    """Return the settings in force; an argument that is None counts as not given.

    Raises `SettingsError` for a value that cannot be used, naming the place that it came from.
    """
    values: dict[str, Any] = {}
    known = [field.name for field in fields(Settings)]
    path = config_file()
    for name, value in _read_config(path).items():
        if name not in known:
            message = f"unknown setting {name!r} in {path}; known are: {', '.join(known)}"
            raise SettingsError(message)
        values[name] = _parsed(name, value, f"in {path}")
    for name in known:
        variable = f"RUNCAST_{name.upper()}"
        if os.environ.get(variable):
            values[name] = _parsed(name, os.environ[variable], f"in the environment variable {variable}")
    for name, value in arguments.items():
        if value is not None:
            values[name] = _parsed(name, value, "given as an argument")
    if "dir" not in values:
        values["dir"] = _default_dir()
    return Settings(**values)


def runcast_dir() -> Path:
    """Return the folder where runs live; it need not exist yet."""
    return load_settings().dir


def config_file() -> Path:
    """Return where the config file is looked for."""
    import platformdirs  # `import runcast` stays light

    return Path(platformdirs.user_config_dir("runcast", appauthor=False)) / "config.toml"


def _default_dir() -> Path:
    import platformdirs  # see above

    return Path(platformdirs.user_data_dir("runcast", appauthor=False))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        message = (
            f"cannot read the config file {path}: {error.strerror}; check its permissions or move it away"
        )
        raise SettingsError(message) from error
    try:
        import tomllib  # type: ignore[import-not-found,unused-ignore]  # Python 3.11
    except ImportError:
        try:
            import tomli as tomllib  # type: ignore[no-redef,import-not-found,unused-ignore]
        except ImportError:
            return {}
    try:
        values: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:
        message = f"the config file {path} is not valid TOML: {error}; correct that line"
        raise SettingsError(message) from error
    return values


def _parsed(name: str, value: Any, where: str) -> Any:
    match name:
        case "dir":
            if isinstance(value, (str, os.PathLike)) and os.fspath(value):
                return Path(value).expanduser().absolute()
            expected = "the path of a folder"
        case "project" | "name":
            if isinstance(value, str) and value.strip():
                return value.strip()
            expected = "a text that is not empty"
        case "finish_timeout":
            try:
                seconds = float(value)
            except (TypeError, ValueError):
                seconds = -1.0
            if seconds >= 0 and seconds != float("inf"):
                return seconds
            expected = "a number of seconds, 0 or more, such as 30"
        case "save_code" | "save_git" | "save_packages" | "save_system":
            switch = _SWITCH.get(str(value).strip().lower())
            if switch is not None:
                return switch
            expected = "on or off"
        case _:
            message = f"unknown setting {name!r} {where}"
            raise SettingsError(message)
    message = f"the setting {name!r} {where} is {value!r}; it must be {expected}"
    raise SettingsError(message)
