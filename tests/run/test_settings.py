from __future__ import annotations

import dataclasses
import inspect
import sys
from pathlib import Path

import platformdirs
import pytest

from runcast import errors
from runcast.errors import SettingsError
from runcast.run.active import init
from runcast.settings import Settings, load_settings, runcast_dir


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    """The config file's place, in a user's folder with nothing in it, and no RUNCAST_* set."""
    for name in ("DIR", "PROJECT", "NAME", "FINISH_TIMEOUT"):
        monkeypatch.delenv(f"RUNCAST_{name}", raising=False)
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    return tmp_path / "config" / "config.toml"


def test_defaults():
    """With nothing set, runs live in the platform's user data folder and finishing waits 30 seconds."""
    settings = load_settings()
    assert settings.dir == Path(platformdirs.user_data_dir("runcast", appauthor=False))
    assert (settings.project, settings.name, settings.finish_timeout) == (None, None, 30.0)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="reads TOML")
def test_what_is_nearer_wins(config, tmp_path, monkeypatch):
    """An argument beats the environment, which beats the config file, which beats the default."""
    config.write_text('project = "from file"\nname = "from file"\nfinish_timeout = 5\n')
    monkeypatch.setenv("RUNCAST_PROJECT", "from environment")
    monkeypatch.setenv("RUNCAST_NAME", "from environment")
    settings = load_settings(name="from argument", dir=None)
    assert (settings.project, settings.name, settings.finish_timeout) == (
        "from environment",
        "from argument",
        5.0,
    )


def test_the_folder_is_made_absolute(monkeypatch, tmp_path):
    """A relative RUNCAST_DIR, or one with a tilde, means one place, wherever the process goes later."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNCAST_DIR", "store")
    assert runcast_dir() == tmp_path / "store"
    monkeypatch.setenv("RUNCAST_DIR", "~/store")
    assert runcast_dir() == Path.home() / "store"


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    """RUNCAST_PROJECT= means no project, as in most programs."""
    monkeypatch.setenv("RUNCAST_PROJECT", "")
    assert load_settings().project is None


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_a_bad_value_names_its_place(monkeypatch, value):
    """A value that cannot be used says what it is, where it came from and what is expected."""
    monkeypatch.setenv("RUNCAST_FINISH_TIMEOUT", value)
    with pytest.raises(
        SettingsError, match=rf"RUNCAST_FINISH_TIMEOUT is '{value}'; it must be a number of seconds"
    ):
        load_settings()


def test_a_bad_argument():
    """A project that is no text is refused before anything starts."""
    with pytest.raises(SettingsError, match="'project' given as an argument is 3"):
        load_settings(project=3)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="reads TOML")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("projekt = 'x'", "unknown setting 'projekt' in .*known are: dir, project"),
        ("project", "not valid TOML"),
    ],
)
def test_a_bad_config_file(config, text, message):
    """A misspelt setting or a broken line in the config file is told, with the file's path."""
    config.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings()
    assert str(config) in str(caught.value)


def test_everything_is_documented():
    """Every setting, error and argument of init can be read about."""
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
    names = [field.name for field in dataclasses.fields(Settings) if field.name != "from_wandb"]
    names += ["RUNCAST_RUN_ID" if name == "id" else f"RUNCAST_{name.upper()}" for name in names]
    names += errors.__all__
    names += [name for name in inspect.signature(init).parameters if name not in {"notebook", "others"}]
    assert [name for name in names if name not in page] == []
