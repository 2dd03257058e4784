"""Logs in buckets: on S3, Google Cloud Storage and Azure, as far as their doubles go."""

from __future__ import annotations

import os
import sys
import tarfile
import uuid
from functools import partial
from typing import TYPE_CHECKING

import pytest

from runcast.objects import Objects
from runcast.store.protocol import RunQuery
from runcast.sync.locations.bucket import PIECE, PIECES_AHEAD, open_bucket

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["s3", "gcs", "azure"])
def bucket(request: pytest.FixtureRequest):
    """A bucket of each cloud."""
    return request.getfixturevalue(request.param)


def test_logs_in_a_bucket(sync, bucket, tmp_path: Path, write) -> None:
    """What is a run, what is kept and what is new is found in a bucket as in a folder; the files' bytes arrive."""
    prefix = uuid.uuid4().hex[:12]
    objects = Objects(bucket.address(prefix))
    first = write(tmp_path / "events.out.tfevents.1690000000.lab.1.0", 200)
    objects.put("exp/train/" + first.name, first)
    objects.put("exp/validation/events.out.tfevents.1690000001.lab.1.1", write(tmp_path / "second", 10))
    objects.put("exp/train/plugins/profile/1/lab.xplane.pb", b"a trace")
    objects.put("exp/train/projector_config.pbtxt", b'embeddings { tensor_path: "v.tsv" }')
    objects.put("exp/train/v.tsv", b"1\t2")
    objects.put("exp/checkpoint.pt", b"x" * 1000)
    objects.put("other/events.out.tfevents.1690000002.lab.2.0", first)
    address = bucket.users_address(prefix)
    assert sync.outcomes(address) == {"exp": ("new", 212), "other": ("new", 201)}
    assert sync.outcomes(address) == {"exp": ("unchanged", 0), "other": ("unchanged", 0)}
    objects.put("exp/train/" + first.name, write(first, 100, first=200))
    objects.put("exp/train/v.tsv", b"1\t3")
    assert sync.outcomes(address) == {"exp": ("grown", 100), "other": ("unchanged", 0)}
    with sync.store() as store:
        run = next(run for run in store.runs(RunQuery()) if run.name == "exp")
        files = {file.path: file for file in store.files(run.id)}
        assert set(files) == {
            f"files/exp/train/{first.name}",
            "files/exp/validation/events.out.tfevents.1690000001.lab.1.1",
            "files/exp/train/plugins/profile/1/lab.xplane.pb",
            "files/exp/train/projector_config.pbtxt",
            "files/exp/train/v.tsv",
        }
        assert store.read(run.id, f"files/exp/train/{first.name}", 0, 1 << 30) == first.read_bytes()
        assert store.read(run.id, "files/exp/train/v.tsv", 0, 10) == b"1\t3"
        assert files["files/exp/train/v.tsv"].source_path.endswith(f"{prefix}/exp/train/v.tsv")
        assert (run.created, run.facts["host"], run.ended) == (1690000000, "lab", 1.7e9 + 299)
    jobs = 2 if address.startswith("s3") else 1
    code, _, err = sync(address, "--run-per-dir", "--jobs", jobs, "--exclude", "other")
    assert (code, err) == (0, "")
    code, _, err = sync(bucket.users_address("nothing-here"))
    assert code == 1
    assert "in 0 objects; none holds a file" in err


def test_an_object_of_many_pieces(sync, s3, tmp_path: Path, write) -> None:
    """What is fetched ahead comes in order, from wherever a sync was broken off; so does what many processes and runs fetch at once."""
    prefix = uuid.uuid4().hex[:12]
    objects = Objects(s3.address(prefix))
    large = write(tmp_path / "events.out.tfevents.1690000000.lab.1.0", 400_000)
    assert large.stat().st_size > 2 * PIECES_AHEAD * PIECE
    objects.put(f"large/{large.name}", large.read_bytes()[: 5 * PIECE + 7])
    small = write(tmp_path / "small", 20)
    for number in range(40):
        objects.put(f"run{number}/events.out.tfevents.1690000000.lab.{number + 2}.0", small)
    address = s3.users_address(prefix)
    code, _, err = sync(address)
    assert (code, err.count("\n")) == (0, 1)
    assert "the beginning of a record" in err
    objects.put(f"large/{large.name}", large)
    outcomes = sync.outcomes(address, "--jobs", 2)
    assert outcomes.pop("large")[0] == "grown"
    assert set(outcomes.values()) == {("unchanged", 0)}
    with sync.store() as store:
        runs = {run.name: run for run in store.runs(RunQuery(limit=100))}
        assert len(runs) == 41
        recorded = store.read(runs["large"].id, f"files/large/{large.name}", 0, 1 << 30)
        assert recorded == large.read_bytes()
        (series,) = store.series(runs["large"].id)
        assert series.count == 400_000


def test_an_archive_beside_a_bucket(sync, s3, tmp_path: Path, write) -> None:
    """Both are brought by one command, every byte of the archive as it is: it is read by one thread, whatever a bucket allows."""
    prefix = uuid.uuid4().hex[:12]
    Objects(s3.address(prefix)).put("far/events.out.tfevents.1690000000.lab.1.0", write(tmp_path / "far", 20))
    expected = {}
    with tarfile.open(tmp_path / "old.tar", "w") as archive:
        for number in range(300):
            name = f"run{number}/events.out.tfevents.1690000000.lab.{number + 2}.0"
            path = write(tmp_path / f"near{number}", 100, tag=f"tag{number}")
            archive.add(path, name)
            expected[f"run{number}"] = path.read_bytes()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads that shared the archive would get into each other's way
    try:
        code, _, err = sync(s3.users_address(prefix), tmp_path / "old.tar")
    finally:
        sys.setswitchinterval(interval)
    assert (code, err) == (0, "")
    with sync.store() as store:
        runs = list(store.runs(RunQuery(limit=1000)))
        assert len(runs) == 301
        found = {
            run.name: store.read(run.id, file.path, 0, 1 << 30)
            for run in runs
            for file in store.files(run.id)
        }
    assert {name: found[name] for name in expected} == expected


def test_an_object_that_vanishes_while_it_is_read(s3, tmp_path: Path) -> None:
    """The bytes that came are had, then an error tells what is gone."""
    prefix = uuid.uuid4().hex[:12]
    objects = Objects(s3.address(prefix))
    name, size = "events.out.tfevents.1.lab.1.0", (PIECES_AHEAD + 3) * PIECE
    objects.put(name, b"x" * size)
    location = open_bucket(s3.users_address(prefix))
    (entry,) = location.look().entries
    with location.open(entry, PIECE // 2, ahead=True) as reader:
        came = [reader.read(PIECE)]
        objects.delete([name])
        with pytest.raises(OSError, match=r"there is no such object"):
            came.extend(iter(partial(reader.read, PIECE), b""))
    assert PIECE <= sum(map(len, came)) < size - PIECE // 2
    assert b"".join(came).strip(b"x") == b""
    location.close()


def test_what_is_wrong_with_a_bucket(sync, s3, azure, tmp_path: Path, write, monkeypatch) -> None:
    """No such bucket, wrong credentials, none at all, a server that is away, an address that is none: a line each; the rest goes on."""
    good = write(tmp_path / "logs" / "events.out.tfevents.1690000000.lab.1.0", 5).parent
    missing = s3.address("x").replace("runcasttests", "nosuchbucket")
    code, out, err = sync(missing, good)
    assert code == 3
    assert "1 new" in out
    assert err.startswith("s3://nosuchbucket/x")
    assert err.count("\n") == 1
    assert "there is no such bucket" in err
    wrong = f"{azure.users_address('x')}&account_key=d3Jvbmc="
    code, _, err = sync(wrong)
    assert code == 1
    assert "check the credentials" in err
    with s3.failing(403):
        code, _, err = sync(s3.address("x"))
    assert code == 1
    assert "check the credentials" in err
    code, _, err = sync("s3://runcasttests/x?endpoint=http://127.0.0.1:1&region=us-east-1")
    assert code == 1
    assert "can be reached" in err
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    code, _, err = sync(s3.address("x"))
    assert code == 1
    assert "nothing says who opens s3://runcasttests/x: set AWS_ACCESS_KEY_ID" in err
    (tmp_path / "profiles").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "profiles"))
    code, _, err = sync(s3.address("never-used"))
    assert (code, "in 0 objects" in err) == (1, True)
    # Azure's own command is asked where somebody is logged in with it.
    (tmp_path / ".azure").mkdir()
    (tmp_path / ".azure" / "azureProfile.json").write_text("{}")
    (tmp_path / "az").write_text('#!/bin/sh\necho "$@" > "$HOME/asked"\nexit 1\n')
    (tmp_path / "az").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    assert sync(azure.users_address("x"))[0] == 1
    assert "get-access-token" in (tmp_path / "asked").read_text()
    for address in ("ftp://host/x", "az://account", "hdfs://x/y"):
        code, _, err = sync(address)
        assert code == 1
        assert "az://account/container/path" in err
