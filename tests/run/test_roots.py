from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.errors import LogdirError
from runcast.run.roots import Roots, check_logdir

EVENTS = "events.out.tfevents.1"


@pytest.fixture
def roots(tmp_path):
    return Roots(str(tmp_path))


def test_names_are_unique_by_order(roots, tmp_path):
    """Two logdirs of one name are told apart, and none takes the name of a root of ours."""
    folders = [str(tmp_path / place) for place in ("a/logs", "b/logs", "c/logs", "x/cwd", "own")]
    assert [roots.declare(folder) for folder in folders] == ["logs", "logs~2", "logs~3", "cwd~2", "own~2"]
    assert roots.declare(folders[0]) is None
    assert roots.declare("/") == "root"


def test_sources(roots, tmp_path):
    """A source is the folder below its logdir, as TensorBoard names runs; `.` is the logdir itself."""
    roots.declare(str(tmp_path / "logs"))
    assert roots.locate(str(tmp_path / "logs" / EVENTS)) == ("logs", ".")
    assert roots.locate(str(tmp_path / "logs" / "a" / "train" / EVENTS)) == ("logs", "a/train")
    assert roots.locate(str(tmp_path / "logs2" / EVENTS)) == ("cwd", "logs2")


def test_the_innermost_logdir_counts(roots, tmp_path):
    """Of nested logdirs the inner one names the source, whichever was declared first."""
    roots.declare(str(tmp_path / "logs" / "inner"))
    roots.declare(str(tmp_path / "logs"))
    assert roots.locate(str(tmp_path / "logs" / "inner" / "train" / EVENTS)) == ("inner", "train")


def test_undeclared_folders(roots, tmp_path):
    """A writer that nobody declared is named relative to the working folder, else by its whole path."""
    assert roots.locate(str(tmp_path / "runs" / "now" / EVENTS)) == ("cwd", "runs/now")
    assert roots.locate(str(tmp_path / EVENTS)) == ("cwd", ".")
    outside = os.path.realpath(tmp_path.parent / "elsewhere")
    assert roots.locate(f"{outside}/{EVENTS}") == ("abs", outside.lstrip("/"))
    assert roots.locate(f"s3://bucket/logs/{EVENTS}") == ("abs", "s3/bucket/logs")


def test_addresses_are_places_like_folders(roots):
    """Writers in a declared bucket are named relative to it, by the innermost; its options are no part of that."""
    assert roots.declare("s3://bucket/logs/?region=eu-1") == "logs"
    assert roots.declare("s3://bucket/logs") is None
    assert roots.declare("gs://bucket/logs") == "logs~2"
    assert roots.declare("s3://bucket/logs/inner") == "inner"
    assert roots.locate(f"s3://bucket/logs/train/{EVENTS}") == ("logs", "train")
    assert roots.locate(f"s3://bucket/logs/{EVENTS}") == ("logs", ".")
    assert roots.locate(f"s3://bucket/logs/inner/a/b/{EVENTS}") == ("inner", "a/b")
    assert roots.locate(f"s3://bucket/logs-too/{EVENTS}") == ("abs", "s3/bucket/logs-too")


def test_links_lead_to_the_same_place(roots, tmp_path):
    """A logdir given by a symbolic link is the logdir of a writer that was given the real path."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert roots.declare(str(tmp_path / "link")) == "link"
    assert roots.locate(str(tmp_path / "real" / "train" / EVENTS)) == ("link", "train")


def test_logdirs_that_cannot_be_watched(tmp_path, monkeypatch):
    """A file, and an address that is no bucket's or holds a secret, are refused in one line; what is not there yet is fine."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(
        LogdirError, match=f"file is a file, not a folder; give the folder that it is in: {tmp_path}"
    ):
        check_logdir("file")
    for address, said in (
        ("hdfs://host/logs", "write s3://bucket/path, gs://bucket/path, az://account/container/path"),
        ("az://account", "an account alone is no place"),
        (
            "s3://bucket/logs?secret_access_key=hush",
            "s3://bucket/logs: an address with secret_access_key in it",
        ),
        ("s3://ada:hush@bucket/logs", "bucket/logs: an address with a name and password in it"),
    ):
        with pytest.raises(LogdirError, match=said) as told:
            check_logdir(address)
        assert "hush" not in str(told.value)
    assert check_logdir("s3://bucket/logs?region=eu-1&skip_signature=true").startswith("s3://bucket/logs?")
    assert check_logdir("later/logs") == str(tmp_path / "later" / "logs")


FOLDERS = st.lists(
    st.lists(st.sampled_from(["logs", "train", "val", "a", "ab"]), max_size=4).map("/".join),
    unique=True,
    max_size=6,
)


@given(FOLDERS, st.lists(st.sampled_from(["logs", "logs/a", "x/train", "val"]), unique=True), st.randoms())
def test_names_do_not_depend_on_the_order(folders, declared, random):
    """Whichever folder appears first, and whichever logdir is declared first, each source is named the same."""

    def named(folders, declared):
        roots = Roots("/home/ada")
        for logdir in declared:
            roots.declare(f"/home/ada/{logdir}")
        return {folder: roots.locate(f"/home/ada/{folder}/{EVENTS}") for folder in folders}

    names = named(folders, declared)
    assert named(random.sample(folders, len(folders)), random.sample(declared, len(declared))) == names
    assert len(set(names.values())) == len(folders), "two folders must not share a name"
