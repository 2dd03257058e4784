"""Input that is damaged, goes away, or is meant badly: a line each, the rest goes on, and the exit code tells."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import boto3
import pytest

import runcast.sync.plan
from runcast.objects import Objects
from runcast.store.protocol import RunQuery

NAME = "events.out.tfevents.1690000000.lab.1.0"


def brought(sync) -> dict[str, dict[str, bytes]]:
    """The event files of each run of the store, by name."""
    with sync.store() as store:
        return {
            run.name: {file.path: store.read(run.id, file.path, 0, 1 << 30) for file in store.files(run.id)}
            for run in store.runs(RunQuery())
        }


def test_archives_that_are_broken_or_mean_harm(sync, tmp_path: Path, write) -> None:
    """A truncated archive, a bomb, names that lead out of it, a damaged file in it: nothing is unpacked elsewhere, each has its line."""
    good = write(tmp_path / "good", 500)
    noise = os.urandom(200_000)
    with zipfile.ZipFile(tmp_path / "logs.zip", "w") as archive:
        archive.write(good, f"a/{NAME}")
        archive.writestr(f"b/{NAME}", noise)
        for name in (f"../out/{NAME}", f"a/../../out/{NAME}", f"..\\out\\{NAME}"):
            archive.writestr(name, good.read_bytes())
        archive.writestr(f"/absolute/{NAME}", good.read_bytes())
    data = bytearray((tmp_path / "logs.zip").read_bytes())
    at = data.index(noise[:100])
    data[at + 1000] ^= 1
    (tmp_path / "logs.zip").write_bytes(data)
    with tarfile.open(tmp_path / "logs.tar", "w") as archive:
        archive.add(good, f"a/{NAME}")
        archive.add(good, f"../out/{NAME}")
        link = tarfile.TarInfo(f"b/{NAME}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    done = sync.json(tmp_path / "logs.zip", code=3)
    said = {run["name"]: (run["events"], [each["why"] for each in run["left_out"]]) for run in done["runs"]}
    assert said["a"] == said["absolute"] == (501, [])
    assert "logs.zip is damaged, or locked by a password: Bad CRC-32" in said["b"][1][0]
    assert set(said) == {"a", "b", "absolute"}
    assert sync.outcomes(tmp_path / "logs.tar") == {"a": ("new", 501)}
    assert not list(tmp_path.rglob("out*"))
    whole = (tmp_path / "logs.tar").read_bytes()
    (tmp_path / "whole.tgz").write_bytes(gzip.compress(os.urandom(300_000) + whole))
    for name, content in {
        "cut.zip": bytes(data[:-100]),
        "cut.tar": whole[: len(whole) // 3],
        "cut.tgz": (tmp_path / "whole.tgz").read_bytes()[:-1000],
        "text.tar.gz": b"not one",
    }.items():
        (tmp_path / name).write_bytes(content)
        code, out, err = sync(tmp_path / name)
        assert (code, out, err.count("\n")) == (1, "", 1), name
        assert f"{name}: the archive is damaged or cannot be opened" in err
        assert "make or fetch it anew" in err
    zeros = bytes(1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(280):
            archive.writestr(f"{number}/{NAME}", zeros)
    head = tarfile.TarInfo(NAME)
    head.size = 280 << 20
    bomb = gzip.compress(head.tobuf()) + gzip.compress(zeros) * 280
    (tmp_path / "bomb.tar.gz").write_bytes(bomb)
    for name in ("bomb.zip", "bomb.tar.gz"):
        code, out, err = sync(tmp_path / name)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert f"{name}: the archive would unpack to 500 times its size and more" in err


def test_what_changes_while_it_is_brought(sync, tmp_path: Path, write, monkeypatch) -> None:
    """A file or a folder that vanishes after it was listed, a file that shrinks and one that grows: the others are brought."""
    logs = tmp_path / "logs"
    paths = {name: write(logs / name / NAME.replace("1.0", f"{name}.0"), 200) for name in "abcde"}
    (logs / "e" / "graph.pbtxt").write_text("node {}")
    plan = runcast.sync.plan.plan

    def plan_and_change(*words):
        runs = plan(*words)
        paths["a"].unlink()
        shutil.rmtree(logs / "b")
        os.truncate(paths["c"], 3000)
        write(paths["d"], 100, first=200)
        (logs / "e" / "graph.pbtxt").unlink()
        return runs

    monkeypatch.setattr(runcast.sync.plan, "plan", plan_and_change)
    code, out, err = sync(logs)
    monkeypatch.undo()
    assert code == 3
    lines = err.splitlines()
    assert lines[0] == f"{paths['a']}: it is gone: it was there when the folder was listed"
    assert lines[1] == f"{paths['b']}: it is gone: it was there when the folder was listed"
    assert lines[2].startswith(f"{paths['c']}: it was cut off")
    assert lines[3] == f"{logs / 'e' / 'graph.pbtxt'}: it is gone: it was there when the folder was listed"
    assert len(lines) == 4
    assert "5 runs (5 new)" in out
    # What is shorter now than what the store has stays as it was there.
    os.truncate(paths["e"], 1000)
    whole = brought(sync)["e"]
    assert sync.outcomes(logs / "e") == {"e": ("unchanged", 0)}
    assert brought(sync)["e"] == whole
    assert sync.outcomes(logs / "d")["d"][0] in {"grown", "unchanged"}
    assert len(brought(sync)["d"][f"files/d/{paths['d'].name}"]) == paths["d"].stat().st_size


def test_paths_of_all_kinds(sync, tmp_path: Path, write, monkeypatch) -> None:
    """The same place twice, links that lead around in circles, names that are no UTF-8, spaces, and what Windows calls a path."""
    logs = tmp_path / "my logs, 100%"
    write(logs / "ü x" / NAME, 5)
    (logs / "ü x" / "loop").symlink_to(logs)
    (logs / "self").symlink_to("self")
    (tmp_path / "link").symlink_to(logs)
    monkeypatch.chdir(tmp_path)
    one = {"ü x": ("new", 6)}
    assert sync.outcomes(logs, f"{logs}/", "link", "my logs, 100%", "./link/../my logs, 100%") == one
    same = {"ü x": ("unchanged", 0)}
    assert sync.outcomes("link/ü x") == same
    assert sync.outcomes(logs, logs / "ü x", logs / "ü x" / NAME) == same
    shutil.make_archive("packed", "zip", logs / "ü x")
    assert sync.outcomes("packed.zip", "packed.zip", tmp_path / "packed.zip") == {"packed": ("new", 6)}
    odd = os.fsencode(tmp_path) + b"/odd/caf\xe9/" + NAME.encode()
    write(Path(os.fsdecode(odd)), 5)
    words = [sys.executable, "-m", "runcast", "--dir", sync.folder, "sync", tmp_path / "odd"]
    for more, code in (["--dry-run"], 0), ([], 0), (["--json"], 0):
        done = subprocess.run([*words, *more], capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (code, b"")
    assert json.loads(done.stdout)["runs"][0]["outcome"] == "unchanged"
    assert any("caf" in name for name in brought(sync))
    for path in (r"C:\Users\ada\logs", "C:/Users/ada/logs", r"\\host\share\logs"):
        code, out, err = sync(path)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "there is no such file or folder" in err
    for number in range(10_000):
        (tmp_path / "many" / f"{number % 100}" / f"{number}").mkdir(parents=True)
    code, out, err = sync(tmp_path / "many")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "in 10101 folders; none holds a file" in err


@pytest.fixture
def strict_s3(s3, monkeypatch: pytest.MonkeyPatch):
    """S3 that asks who one is and what one may, and what makes somebody who may do some things."""
    address = f"http://127.0.0.1:{s3.port}"
    iam = boto3.client("iam", region_name="us-east-1", endpoint_url=address)

    def become(*actions: str) -> None:
        name = f"user-{'-'.join(actions).replace(':', '')}"
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        enforce("0")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])

    def enforce(after: str) -> None:
        words = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{address}/moto-api/reset-auth", after.encode(), words)
        urllib.request.urlopen(request, timeout=30).close()

    yield become, enforce
    enforce("1e9")


def test_permissions_in_a_bucket(sync, s3, strict_s3, tmp_path: Path, write) -> None:
    """Who is unknown, may not list, or may list and not read, is told so; what else was named is brought."""
    become, enforce = strict_s3
    logs = write(tmp_path / "logs" / NAME, 5).parent
    Objects(s3.address("strict")).put(f"a/{NAME}", logs / NAME)
    enforce("0")
    code, _, err = sync(s3.address("strict"))
    assert code == 1
    assert err.count("\n") == 1
    assert "s3://runcasttests/strict" in err
    assert "check the credentials" in err
    enforce("1e9")
    become("s3:GetObject")
    code, out, err = sync(s3.address("strict"), logs)
    assert (code, err.count("\n")) == (3, 1)
    assert "1 run (1 new)" in out
    assert "may not" in err or "check the credentials" in err
    enforce("1e9")
    become("s3:ListBucket")
    code, _, err = sync(s3.address("strict"))
    assert (code, err.count("\n")) == (3, 1)
    assert f"s3://runcasttests/strict/a/{NAME}: it cannot be read" in err
