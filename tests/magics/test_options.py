"""What is typed after a magic: understood as a shell would, or refused in one line that helps."""

import pytest

from runcast.errors import SettingsError
from runcast.magics.options import SyncOptions, parse_sync, split


def test_nothing_means_defaults():
    """A bare %sync_tensorboard records and keeps everything."""
    assert parse_sync("") == SyncOptions()


def test_folders_and_options_mix():
    """Options may stand before, between and after folders; quotes hold a path with a space together."""
    options = parse_sync(
        "logs --project p 'more logs' --name 'a run' --no-save --no-tensorboard --height 700 x"
    )
    assert options == SyncOptions(
        ("logs", "more logs", "x"), "p", "a run", save=False, tensorboard=False, height=700
    )


def test_home_is_expanded(monkeypatch):
    """~/logs is the folder in the user's home."""
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("USERPROFILE", "/home/ada")
    assert parse_sync("~/logs").logdirs == ("/home/ada/logs",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--projct p", "unknown option --projct; did you mean --project?"),
        ("--no-sve", "unknown option --no-sve; did you mean --no-save?"),
        ("--zzz=3", "unknown option --zzz; %sync_tensorboard --help lists the options"),
        ("--project", "--project: expected one argument"),
        ("--height tall", "--height: 'tall' is no height; give pixels from 200 to 4000"),
        ("--height 20", "--height: '20' is no height; give pixels from 200 to 4000"),
        ("'logs", 'cannot read "\'logs": no closing quotation'),
    ],
)
def test_mistakes_are_told_in_one_line(line, said):
    """A mistyped option says what is wrong and names the nearest one that exists."""
    with pytest.raises(SettingsError) as raised:
        parse_sync(line)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_hash_is_no_comment():
    """A folder may be called run#1."""
    assert split("run#1 'b c'") == ["run#1", "b c"]
