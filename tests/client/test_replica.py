"""A training whose recorder brings its run to a real server: what a user sees, and what is on the server afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runcast.cli import main
from runcast.credentials import store_token
from runcast.recorder.replica import Note
from runcast.run.state import read_state

ROOT = Path(__file__).parents[2]

TRAIN = """
import os, sys, time
import runcast
steps, pause = int(sys.argv[1]), float(sys.argv[2])
run = runcast.init("tests", "a run", {"lr": 0.1}, save_code=True, **eval(sys.argv[3]))
print(run.id, run.url, flush=True)
for step in range(steps):
    run.log({"loss": 1 / (step + 1), "wave": step % 7})
    if step % 100 == 0:
        print("step", step, flush=True)
    time.sleep(pause)
    if os.path.exists("stop"):
        break
"""


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Start a training in a process of its own."""
    monkeypatch.setenv("RUNCAST_SAVE_SYSTEM", "off")
    monkeypatch.setenv("RUNCAST_SAVE_GIT", "off")
    (tmp_path / "train.py").write_text(TRAIN)
    started = []

    def start(steps: int = 300, pause: float = 0.002, **options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "train.py", str(steps), str(pause), repr(options)]
        started.append(
            subprocess.Popen(
                command,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def ended(process: subprocess.Popen[str]) -> tuple[str, str, str]:
    """Wait for a training; return its run, what it printed and what it was told."""
    out, told = process.communicate(timeout=90)
    assert process.returncode == 0, told
    return out.split()[0], out, told


def wait_for(condition, timeout: float = 60.0):
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


def test_a_script_ends_with_its_run_on_the_server(train, server, is_same, monkeypatch):
    """With RUNCAST_TO set and a token kept, training code stays as it is, and the run is on the server when the script ends."""
    monkeypatch.setenv("RUNCAST_TO", server.url + "/")
    store_token(server.url, server.token)
    run, out, told = ended(train())
    assert out.split()[1] == f"{server.url}/runs/{run}"
    assert f"{server.url}/runs/{run}" in told
    is_same(run, server)
    with server.store() as there:
        assert there.run(run).state == "finished"
        assert {file.path for file in there.files(run)} >= {"console.jsonl", "code/train.py"}
    folder = Path(os.environ["RUNCAST_DIR"]) / "runs" / run
    everything = "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())
    assert server.token not in everything + told


def test_a_server_that_is_away_holds_up_nothing(
    train, new_server, local, is_same, capsys, monkeypatch, tmp_path
):
    """A run is recorded while the server is away, says so once, and `runcast sync` brings it there later."""
    store_token(new_server.url, new_server.token)
    new_server.kill()
    monkeypatch.setenv("RUNCAST_FINISH_TIMEOUT", "0.5")
    process = train(100_000, 0.005, to=new_server.url)
    assert "brought to" in process.stderr.readline()
    said = process.stderr.readline()
    assert "cannot be reached" in said
    assert "recorded on this machine all the same" in said
    (tmp_path / "stop").touch()
    run, _, told = ended(process)
    assert "cannot be reached" not in told
    wait_for(lambda: [each for each in local.runs() if each.ended])
    assert local.run(run).state == "finished"
    folder = local.root / "runs" / run
    note = Note.read(folder, new_server.url)
    assert not note.complete
    assert main(["status", run]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "retrying" in out
    assert "waiting since" in out
    new_server.start()
    wait_for(lambda: Note.read(folder, new_server.url).complete or main(["sync", run]) == 0)
    is_same(run, new_server)


def test_offline_waits_for_sync_and_a_wrong_token_is_told(train, server, local, is_same, capsys, monkeypatch):
    """`mode="offline"` sends nothing until `runcast sync`; that says what is wrong, and how much is there."""
    run, _, told = ended(train(50, to=server.url, mode="offline"))
    assert told == ""
    assert read_state(local.root / "runs" / run / "run.jsonl").offline
    assert main(["sync"]) == 1
    assert f"`runcast login {server.url}`" in capsys.readouterr().err
    assert main(["login", server.url, "--token", "rc_secret"]) == 2
    assert "rc_secret" not in capsys.readouterr().err
    monkeypatch.setenv("RUNCAST_TOKEN", server.token)
    assert main(["sync"]) == 0
    assert f"{server.url}/runs/{run}" in capsys.readouterr().out
    is_same(run, server)
    assert main(["sync"]) == 0
    assert "nothing to bring" in capsys.readouterr().out


def test_the_next_run_brings_what_an_earlier_one_left(train, new_server, is_same, local, monkeypatch):
    """A recorder that is killed, with the machine's network down, leaves nothing behind that the next run does not bring along."""
    monkeypatch.setenv("RUNCAST_TO", new_server.url)
    monkeypatch.setenv("RUNCAST_TOKEN", new_server.token)
    monkeypatch.setenv("RUNCAST_FINISH_TIMEOUT", "0.1")
    new_server.kill()
    first, _, _ = ended(train(100))
    folder = local.root / "runs" / first
    pid = wait_for(lambda: re.findall(r"recorder (\d+) records", (folder / "recorder.log").read_text()))[0]
    wait_for(lambda: [run for run in local.runs() if run.ended])
    os.kill(int(pid), 9)
    new_server.start()
    monkeypatch.setenv("RUNCAST_FINISH_TIMEOUT", "30")
    second, _, _ = ended(train(50))
    is_same(second, new_server)
    wait_for(lambda: Note.read(folder, new_server.url).complete)
    is_same(first, new_server)
    assert json.loads((folder / "replica.json").read_text())[new_server.url]["since"] is None


def test_a_revoked_token_is_told_and_a_new_one_is_taken_up(train, server, is_same, tmp_path):
    """A token that is revoked midway stops nothing; after `runcast login` the same recorder goes on."""
    token = server.new_token()
    store_token(server.url, token)
    process = train(100_000, 0.005, to=server.url)
    run = process.stdout.readline().split()[0]
    wait_for(lambda: server.remote().size(run, "console.jsonl") > 0)
    server.access.tokens.revoke(max(each.id for each in server.access.tokens.all(server.user.id)))
    told = process.stderr.readline() + process.stderr.readline()
    assert "runcast login" in told
    assert token not in told
    store_token(server.url, server.token)
    (tmp_path / "stop").touch()
    ended(process)
    wait_for(lambda: server.remote().run(run).ended)
    is_same(run, server)
