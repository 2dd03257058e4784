"""`runcast sync PATH…` into a local store: what arrives, again, after growth, after a kill, and of what is damaged."""

from __future__ import annotations

import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

import runcast
from runcast.store.protocol import RunQuery

REAL = Path(__file__).parents[1] / "data"
KILLS = int(os.environ.get("RUNCAST_SYNC_KILLS", "3"))


def the_run(sync, name: str):
    """The run of this name, and what the store has of it."""
    store = sync.store()
    run = next(run for run in store.runs(RunQuery()) if run.name == name)
    return store, run


def test_everything_arrives_once(sync, tmp_path: Path, monkeypatch) -> None:
    """Bytes, series, times, hosts, hyperparameters and files come from the logs; a second sync adds nothing."""
    from torch.utils.tensorboard import SummaryWriter

    monkeypatch.chdir(tmp_path)
    shutil.copytree(REAL / "mac-pytorch", tmp_path / "logs")
    with SummaryWriter(tmp_path / "logs" / "tuned") as writer:
        for step in range(20):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_histogram("weights", np.arange(9.0), 1)
        writer.add_text("note", "hello", 1)
        writer.add_embedding(np.eye(3), tag="v")
        writer.add_hparams({"lr": 0.1, "layers": 3}, {"best": 0.9}, run_name="trial")
    done = sync.json("logs")
    assert {run["name"]: run["outcome"] for run in done["runs"]} == {"only_funcs": "new", "tuned": "new"}
    assert done["whole"] is True
    store, run = the_run(sync, "only_funcs")
    with store:
        assert (run.project, run.state, run.facts["host"]) == (tmp_path.name, "synced", "mac-host")
        assert run.created == 1663763728
        logs = runcast.read(tmp_path / "logs" / "only_funcs")
        for source in logs.sources:
            for tag in logs.tags("scalars", source):
                want = logs.scalars(tag.tag, source)
                got = store.points(run.id, "only_funcs", source, tag.tag)
                assert np.array_equal(got.step, want.step)
                assert np.array_equal(got.value, want.value)
        assert run.ended == max(
            logs.scalars(tag.tag, tag.source).wall_time.max() for tag in logs.tags("scalars")
        )
        for file in store.files(run.id):
            origin = tmp_path / "logs" / file.path.removeprefix("files/")
            assert store.read(run.id, file.path, 0, 1 << 30) == origin.read_bytes()
            assert file.source_path == str(origin)
        tuned = next(run for run in store.runs(RunQuery()) if run.name == "tuned")
        assert tuned.config == {"lr": 0.1, "layers": 3}
        assert {each.plugin for each in store.series(tuned.id)} == {
            "scalars",
            "histograms",
            "text",
            "hparams",
        }
        kept = {file.path for file in store.files(tuned.id) if "tfevents" not in file.path}
        assert "files/tuned/projector_config.pbtxt" in kept
        assert any(path.endswith("tensors.tsv") for path in kept)
        marks = {each.id: store.changes(0)[0] for each in store.runs(RunQuery())}
    assert sync.outcomes("logs") == {"only_funcs": ("unchanged", 0), "tuned": ("unchanged", 0)}
    assert sync.outcomes("logs/only_funcs") == {
        "only_funcs": ("unchanged", 0)
    }  # the same folder, named otherwise
    with sync.store() as store:
        assert {each.id: store.changes(0)[0] for each in store.runs(RunQuery())} == marks
    code, out, err = sync("logs")
    assert (code, err) == (0, "")
    assert out.startswith("2 runs (2 unchanged): nothing new, in ")


def test_a_grown_folder_adds_what_is_new(sync, tmp_path: Path, write) -> None:
    """New points, files, folders and runs are added to the runs that are there; what was put anew is put again."""
    logs = tmp_path / "logs"
    first = write(logs / "a" / "train" / "events.out.tfevents.1690000000.lab.1.0", 100)
    (logs / "a" / "train" / "graph.pbtxt").write_text("node {}")
    assert sync.outcomes(logs, "--project", "p") == {"a": ("new", 101)}
    torn = first.read_bytes()
    write(first, 50, first=100)
    grown = first.read_bytes()
    first.write_bytes(grown[: len(torn) + 20])  # a record that is only half there
    os.utime(first, (1, 1))
    done = sync.json(logs)
    assert [each["damage"] for each in done["runs"][0]["left_out"]] == [False]
    assert done["runs"][0]["outcome"] == "unchanged"
    first.write_bytes(grown)
    os.utime(first, (1, 1))
    write(logs / "a" / "validation" / "events.out.tfevents.1690000001.lab.1.1", 10)
    write(logs / "b" / "events.out.tfevents.1690000002.lab.2.0", 5)
    (logs / "a" / "train" / "graph.pbtxt").write_text("node { name: 'x' }")
    assert sync.outcomes(logs) == {"a": ("grown", 61), "b": ("new", 6)}
    store, run = the_run(sync, "a")
    with store:
        assert run.project == "p"
        assert run.ended == 1.7e9 + 149
        assert len(store.points(run.id, "a", "train", "loss").step) == 150
        assert store.read(run.id, "files/a/train/graph.pbtxt", 0, 100) == b"node { name: 'x' }"
    # Its names can be changed later; a folder that was emptied and used again is another run.
    assert sync.outcomes(logs / "b", "--name", "better", "--project", "q") == {"better": ("unchanged", 0)}
    shutil.rmtree(logs / "b")
    write(logs / "b" / "events.out.tfevents.1690000009.lab.3.0", 7)
    assert sync.outcomes(logs / "b") == {"b": ("new", 8)}
    assert sync.outcomes(logs / "b") == {"b": ("unchanged", 0)}
    # A file that is another one now goes beside what is there.
    write(logs / "c" / "events.out.tfevents.1690000010.lab.4.0", 5, tag="old")
    assert sync.outcomes(logs / "c") == {"c": ("new", 6)}
    (logs / "c" / "events.out.tfevents.1690000010.lab.4.0").unlink()
    write(logs / "c" / "events.out.tfevents.1690000010.lab.4.0", 50, tag="new")
    assert sync.outcomes(logs / "c") == {"c": ("grown", 51)}
    store, run = the_run(sync, "c")
    with store:
        assert [file.path.rpartition("lab")[2] for file in store.files(run.id)] == [".4.0", ".4.0~2"]
        assert {each.tag: each.count for each in store.series(run.id)} == {"old": 5, "new": 50}
    # What was deleted for good comes back as a run of its own; what is in the trash stays there.
    with sync.store() as store:
        store.trash(run.id)
    done = sync.json(logs / "c")
    assert "runcast restore" in done["runs"][0]["why"]
    with sync.store() as store:
        store.purge(run.id)
    assert sync.outcomes(logs / "c") == {"c": ("new", 51)}


def test_one_run_by_its_id(sync, tmp_path: Path, write) -> None:
    """`--id` and `--name` say which run it is, new or there already; for several runs they are refused."""
    logs = tmp_path / "logs"
    write(logs / "a" / "events.out.tfevents.1690000000.lab.1.0", 5)
    write(logs / "b" / "events.out.tfevents.1690000000.lab.2.0", 5)
    code, _, err = sync(logs, "--id", "mine")
    assert code == 2
    assert "--one-run" in err
    assert sync.outcomes(logs / "a", "--id", "mine", "--name", "both") == {"both": ("new", 6)}
    assert sync.outcomes(logs / "b", "--id", "mine") == {"both": ("grown", 6)}
    assert sync.outcomes(logs / "b", "--id", "mine") == {"both": ("unchanged", 0)}
    store, run = the_run(sync, "both")
    with store:
        assert run.id == "mine"
        assert [(each.root, each.count) for each in store.series(run.id)] == [("a", 5), ("b", 5)]
    assert sync.outcomes(logs, "--one-run") == {"logs": ("new", 12)}


def test_the_rest_goes_on_where_something_is_bad(sync, tmp_path: Path, write, close_folder) -> None:
    """Each damaged, unreadable, missing or vanishing place has its line, the others are brought, and the exit code tells."""
    logs = tmp_path / "logs"
    write(logs / "good" / "events.out.tfevents.1690000000.lab.1.0", 5)
    damaged = write(logs / "damaged" / "events.out.tfevents.1690000000.lab.2.0", 50)
    data = bytearray(damaged.read_bytes())
    data[1000:1010] = b"\xff" * 10
    damaged.write_bytes(bytes(data))
    os.utime(damaged, (1, 1))
    noise = logs / "noise" / "events.out.tfevents.1690000000.lab.3.0"
    noise.parent.mkdir()
    noise.write_bytes(random.Random(1).randbytes(5000))
    os.utime(noise, (1, 1))
    write(logs / "closed" / "events.out.tfevents.1690000000.lab.4.0", 5)
    close_folder(logs / "closed")
    secret = write(logs / "secret" / "events.out.tfevents.1690000000.lab.5.0", 5)
    secret.chmod(0)
    (logs / "dangling").symlink_to(tmp_path / "nowhere")
    done = sync.json(logs, tmp_path / "missing", code=3)
    said = {run["name"]: run for run in done["runs"]}
    assert said["good"]["events"] == 6
    assert 48 <= said["damaged"]["events"] <= 50
    assert "1 damaged stretch" in said["damaged"]["left_out"][0]["why"]
    assert "5000 bytes are no valid record" in said["noise"]["left_out"][0]["why"]
    assert "cannot be read: Permission denied" in said["secret"]["left_out"][0]["why"]
    assert {Path(each["path"]).name for each in done["problems"]} == {"closed", "missing"}
    code, _, err = sync(logs)
    assert code == 3
    assert err.count("\n") == 4
    assert "no valid record" in err


@pytest.mark.parametrize("place", ["empty", "texts", "file", "zip", "badzip", "nothing", "pattern"])
def test_nothing_to_bring(sync, tmp_path: Path, place: str) -> None:
    """Where there is no event file, one line says what was looked at; no store is made."""
    (tmp_path / "empty" / "below").mkdir(parents=True)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    with zipfile.ZipFile(tmp_path / "zip.zip", "w") as archive:
        archive.writestr("../events.out.tfevents.1.x", b"")
        archive.writestr("notes.txt", b"")
    (tmp_path / "badzip.zip").write_bytes(b"PK\3\4 and nothing else")
    path, words = {
        "empty": ("empty", "in 2 folders; none holds a file"),
        "texts": ("texts", "in 1 folder; the files there are notes.txt"),
        "file": ("file", "this is no event file"),
        "zip": ("zip.zip", "in the archive, which holds 1 file; the files there are notes.txt"),
        "badzip": ("badzip.zip", "the archive is damaged"),
        "nothing": ("no/such", "there is no such file or folder"),
        "pattern": ("*.none", "nothing matches this pattern"),
    }[place]
    code, out, err = sync(tmp_path / path)
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1
    assert not sync.folder.exists()


def test_words_that_do_not_go_together(sync, tmp_path: Path, write) -> None:
    """Options of one use of the command are refused in the other, each in one line."""
    write(tmp_path / "logs" / "events.out.tfevents.1690000000.lab.1.0", 5)
    for words, said in [
        (["--dry-run"], "--dry-run is for logs"),
        (["baseline", "--one-run"], "'baseline' is none"),
        ([tmp_path / "logs", "baseline"], "baseline: there is no such file"),
        ([tmp_path / "logs", "--one-run", "--run-per-dir"], "exclude each other"),
        ([tmp_path / "logs", "--all"], "--all is for runs"),
        ([tmp_path / "logs", "--to", "ftp://x"], "no address of a server"),
    ]:
        code, _, err = sync(*words)
        assert code in {1, 2}
        assert said in err
        assert err.count("\n") == 1


def command(sync, *words: object) -> list[str]:
    return [sys.executable, "-m", "runcast", "--dir", str(sync.folder), "sync", *map(str, words)]


def test_killed_anywhere_it_goes_on(sync, tmp_path: Path, write) -> None:
    """SIGKILL at random (`RUNCAST_SYNC_KILLS` times), with one process and with several: the next sync ends with everything, once."""
    logs = tmp_path / "logs"
    rng = random.Random(7)
    sources = [
        write(
            logs / f"run{number:02}" / part / f"events.out.tfevents.16900000{number:02}.lab.{number}.0", 400
        )
        for number in range(12)
        for part in ("train", "validation")
    ]
    killed = 0
    for kill in range(KILLS):
        if kill and killed and rng.random() < 0.2:
            shutil.rmtree(sync.folder, ignore_errors=True)  # from the beginning, now and then
        process = subprocess.Popen(
            command(sync, logs, "--jobs", 1 + kill % 2), stdout=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 30
        while not (sync.folder / "store.db").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.random() * 0.8)
        if process.poll() is None:
            killed += 1
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert killed
    done = sync.json(logs)
    assert done["whole"] is True
    assert len(done["runs"]) == 12
    assert {run["outcome"] for run in sync.json(logs)["runs"]} == {"unchanged"}
    with sync.store() as store:
        runs = store.runs(RunQuery())
        assert len(runs) == 12
        for run in runs:
            assert [each.count for each in store.series(run.id)] == [400, 400]
            assert run.ended == 1.7e9 + 399
            for file in store.files(run.id):
                assert store.read(run.id, file.path, 0, 1 << 30) == Path(file.source_path).read_bytes()
    assert len(sources) == 24


def test_a_process_that_is_killed_is_replaced(sync, tmp_path: Path, write) -> None:
    """Where one of the processes at work is killed, the command brings everything nevertheless, once."""
    logs = tmp_path / "logs"
    for number in range(40):
        write(logs / f"run{number:02}" / "events.out.tfevents.1690000000.lab.1.0", 300)
    process = subprocess.Popen(command(sync, logs, "--jobs", 2, "--json"), stdout=subprocess.PIPE, text=True)
    parent, workers = psutil.Process(process.pid), []
    while process.poll() is None and not workers:
        with suppress(psutil.NoSuchProcess):
            workers = parent.children()
        time.sleep(0.01)
    workers[0].kill()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len({run["id"] for run in json.loads(out)["runs"]}) == 40
    assert set(sync.outcomes(logs).values()) == {("unchanged", 0)}
    with sync.store() as store:
        assert [each.count for run in store.runs(RunQuery()) for each in store.series(run.id)] == [300] * 40


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_store_that_is_full(sync, tmp_path: Path, write, jobs: int) -> None:
    """A full disk ends the sync with one line, not one for each run; with room again, the same command brings the rest, once."""
    logs = tmp_path / "logs"
    for number in range(60):
        write(logs / f"run{number:02}" / "events.out.tfevents.1690000000.lab.1.0", 300)
    sync.folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "none", str(sync.folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may mount nothing")
    try:
        full = subprocess.run(command(sync, logs, "--jobs", jobs), capture_output=True, text=True, timeout=60)
        assert (full.returncode, full.stdout) == (1, "")
        assert full.stderr.count("\n") == 1, full.stderr
        assert "free space" in full.stderr
        subprocess.run(["mount", "-o", "remount,size=64m", str(sync.folder)], check=True)
        done = sync.json(logs)
        assert (done["whole"], len(done["runs"])) == (True, 60)
        with sync.store() as store:
            for run in store.runs(RunQuery()):
                (file,) = store.files(run.id)
                assert store.read(run.id, file.path, 0, 1 << 30) == Path(file.source_path).read_bytes()
                assert [each.count for each in store.series(run.id)] == [300]
    finally:
        subprocess.run(["umount", "--lazy", str(sync.folder)], check=True)


def test_watching(sync, tmp_path: Path, write) -> None:
    """`--watch` waits for a folder, brings what grows in it and what is new, each once, and ends well when it is interrupted."""
    logs = tmp_path / "logs"
    process = subprocess.Popen(
        command(sync, logs, "--watch", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def brought() -> dict[str, tuple[str, int]]:
        return {
            run["name"]: (run["outcome"], run["events"])
            for run in json.loads(process.stdout.readline())["runs"]
        }

    assert "there is no such file or folder" in process.stderr.readline()
    first = write(tmp_path / "a", 5)
    (logs / "a").mkdir(parents=True)
    path = first.rename(logs / "a" / "events.out.tfevents.1690000000.lab.1.0")
    assert brought() == {"a": ("new", 6)}
    write(path, 20, first=5)
    assert brought() == {"a": ("grown", 20)}
    (logs / "b").mkdir()
    write(tmp_path / "b", 7).rename(logs / "b" / path.name)
    assert brought() == {"b": ("new", 8)}
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert err == "runcast: stopped watching; the same command goes on\n"
    assert {name: outcome for name, (outcome, _) in sync.outcomes(logs).items()} == dict.fromkeys(
        "ab", "unchanged"
    )


def test_progress(sync, tmp_path: Path, write) -> None:
    """A terminal shows a bar with runs, bytes, rate and events, and is clean afterwards; a pipe gets the summary alone."""
    logs = tmp_path / "logs"
    for number in range(6):
        write(logs / f"run{number}" / "events.out.tfevents.1690000000.lab.1.0", 300)
    master, terminal = pty.openpty()
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):
            while data := os.read(master, 4096):
                shown.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.run(
        command(sync, logs, "--jobs", 2),
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        env=env,
        timeout=60,
    )
    os.close(terminal)
    reader.join()
    os.close(master)
    assert process.returncode == 0
    assert process.stdout.count("\n") == 7
    text = shown.decode()
    assert "6 of 6 runs" in text
    assert "1,806 events" in text
    assert "/s" in text
    done = subprocess.run(command(sync, logs, "--json"), capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert json.loads(done.stdout)["whole"] is True
