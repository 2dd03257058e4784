"""Settings: defaults < config file < `WANDB_*` environment < `RUNCAST_*` environment < arguments.

| setting          | environment              | meaning                                                            |
|------------------|--------------------------|--------------------------------------------------------------------|
| `dir`            | `RUNCAST_DIR`            | where runs live; default: the platform's user data folder          |
| `project`        | `RUNCAST_PROJECT`        | the project of a run that names none; default: the working folder's name |
| `name`           | `RUNCAST_NAME`           | the name of a run that is given none; default: made up             |
| `id`             | `RUNCAST_RUN_ID`         | the id of the run, to be resumed or made; default: made up         |
| `resume`         | `RUNCAST_RESUME`         | `allow`, `must`, `never` or `auto`: whether an earlier run goes on; default: a new run |
| `mode`           | `RUNCAST_MODE`           | `online`, `offline` (`runcast sync` brings the run to the server) or `disabled` (nothing is recorded); default: `online` |
| `to`             | `RUNCAST_TO`             | the server that runs are brought to, such as `https://runs.example.org`; `off`: none; default: none |
| `tags`           | `RUNCAST_TAGS`           | labels of the run, with commas between them                        |
| `notes`          | `RUNCAST_NOTES`          | what there is to say of the run                                    |
| `group`          | `RUNCAST_GROUP`          | the name that runs which belong together share                     |
| `job_type`       | `RUNCAST_JOB_TYPE`       | what the run does in its group, such as `train`                    |
| `finish_timeout` | `RUNCAST_FINISH_TIMEOUT` | seconds that finishing may wait for the recorder; default: 30      |
| `save_code`      | `RUNCAST_SAVE_CODE`      | keep the script, or the notebook's cells with their outputs; default: on |
| `save_git`       | `RUNCAST_SAVE_GIT`       | keep the git commit, and what is not committed; default: on        |
| `save_packages`  | `RUNCAST_SAVE_PACKAGES`  | keep the list of installed packages; default: on                   |
| `save_system`    | `RUNCAST_SAVE_SYSTEM`    | measure the machine; default: on                                   |
| `console`        | `RUNCAST_CONSOLE`        | how what is printed is noted: `auto`, `redirect` (file descriptors), `wrap` (Python's streams), `off` |

From `project` to `job_type`, W&B's variables (`WANDB_PROJECT`, `WANDB_RUN_ID`, `WANDB_RUN_GROUP`, …) count where runcast's
own are not set. `id` and `resume` are of one run, and have no place in the config file.

The config file is `runcast/config.toml` in the platform's user config folder, one `setting = value` a line. Reading it
needs Python 3.11 (or the package `tomli`); on 3.10 without it the file is passed over.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from runcast.errors import SettingsError

if TYPE_CHECKING:
    from runcast.run.console import ConsoleMode

__all__ = [
    "RUN_ID",
    "Mode",
    "Resume",
    "Settings",
    "config_file",
    "load_settings",
    "runcast_dir",
    "server_url",
]

Mode = Literal["online", "offline", "disabled"]
Resume = Literal["allow", "must", "never", "auto"]

RUN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""What the id of a run may be: a folder's name on every system, those included that know no capitals."""

DEFAULT_FINISH_TIMEOUT = 30.0

_WANDB = {
    "project": "WANDB_PROJECT",
    "name": "WANDB_NAME",
    "id": "WANDB_RUN_ID",
    "resume": "WANDB_RESUME",
    "mode": "WANDB_MODE",
    "tags": "WANDB_TAGS",
    "notes": "WANDB_NOTES",
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
}

_MODES = {"online": "online", "offline": "offline", "disabled": "disabled"}
_MODES |= {"dryrun": "offline", "run": "online", "shared": "online"}  # W&B's other words

_RESUMES: dict[str, str | None] = {"allow": "allow", "must": "must", "never": "never", "auto": "auto"}
_RESUMES |= {"true": "auto", "1": "auto", "false": None, "0": None}

_NOWHERE = {"off", "none", "false", "0"}

CONSOLE_MODES = ("auto", "redirect", "wrap", "off")

_SWITCH = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a run that starts now; `project` and `name` are None where nobody set them."""

    dir: Path
    project: str | None = None
    name: str | None = None
    id: str | None = None
    resume: Resume | None = None
    mode: Mode = "online"
    to: str | None = None
    """The address of a server; "" where somebody said that there is to be none."""
    tags: tuple[str, ...] = ()
    notes: str | None = None
    group: str | None = None
    job_type: str | None = None
    finish_timeout: float = DEFAULT_FINISH_TIMEOUT
    save_code: bool = True
    save_git: bool = True
    save_packages: bool = True
    save_system: bool = True
    console: ConsoleMode = "auto"

    from_wandb: tuple[str, ...] = ()
    """W&B's variables that hold for want of runcast's own."""

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
    known = [field.name for field in fields(Settings) if field.name != "from_wandb"]
    lasting = [name for name in known if name not in {"id", "resume"}]
    path = config_file()
    for name, value in _read_config(path).items():
        if name not in lasting:
            message = f"unknown setting {name!r} in {path}; known are: {', '.join(lasting)}"
            raise SettingsError(message)
        values[name] = _parsed(name, value, f"in {path}")
    borrowed = {}
    for name in known:
        ours = "RUNCAST_RUN_ID" if name == "id" else f"RUNCAST_{name.upper()}"
        for variable in (ours, _WANDB.get(name, ours)):
            if os.environ.get(variable):
                values[name] = _parsed(name, os.environ[variable], f"in the environment variable {variable}")
                if variable != ours:
                    borrowed[name] = variable
                break
    for name, value in arguments.items():
        if value is not None:
            values[name] = _parsed(name, value, "given as an argument")
            borrowed.pop(name, None)
    if "dir" not in values:
        values["dir"] = _default_dir()
    return Settings(**values, from_wandb=tuple(borrowed.values()))


def runcast_dir() -> Path:
    """Return the folder where runs live; it need not exist yet."""
    return load_settings().dir


def config_file() -> Path:
    """Return where the config file is looked for."""
    import platformdirs  # `import runcast` stays light

    return Path(platformdirs.user_config_dir("runcast", appauthor=False)) / "config.toml"


def server_url(text: str) -> str:
    """Return a server's address in the form that everything else takes. Raises `SettingsError` for what is none."""
    parts = urlsplit(text.strip())
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            "a server's address must hold no user or password; `runcast login` stores a token"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
        raise SettingsError(
            f"{text!r} is no address of a server: write it like https://runs.example.org or http://localhost:8765"
        )
    if parts.query or parts.fragment:
        raise SettingsError(f"{text!r} is an address within a server: leave out what follows ? or #")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _server_url(text: str, where: str) -> str:
    try:
        return server_url(text)
    except SettingsError as error:
        message = f"the setting 'to' {where}: {error}"
        raise SettingsError(message) from error


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
        case "console":
            if value in CONSOLE_MODES:
                return value
            expected = f"one of {', '.join(CONSOLE_MODES)}"
        case "id":
            if isinstance(value, str) and RUN_ID.fullmatch(value):
                return value
            expected = "lowercase letters, digits, - and _, at most 64 of them"
        case "mode":
            if str(value).lower() in _MODES:
                return _MODES[str(value).lower()]
            expected = "online, offline or disabled"
        case "to":
            if value is False or str(value).strip().lower() in _NOWHERE:
                return ""
            if isinstance(value, str):
                return _server_url(value, where)
            expected = "the address of a server, such as https://runs.example.org, or off"
        case "resume":
            if str(value).lower() in _RESUMES:
                return _RESUMES[str(value).lower()]
            expected = "allow, must, never, auto, True or False"
        case "tags":
            tags = value.split(",") if isinstance(value, str) else value
            if isinstance(tags, (list, tuple, set, frozenset)) and all(isinstance(tag, str) for tag in tags):
                return tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
            expected = "texts, such as ['baseline', 'cnn']"
        case "notes" | "group" | "job_type":
            if isinstance(value, str):
                return value.strip() or None
            expected = "a text"
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
