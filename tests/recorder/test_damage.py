"""Damaged files and a store that cannot be written: nothing is lost, nothing is hidden, training goes on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from runcast.events import Decoder, EventWriter
from runcast.store.local import LocalStore


def write(path, steps):
    writer = EventWriter(path)
    for step in steps:
        writer.scalars({"loss": float(step)}, step)
    writer.close()
    return path


def row(recorder, path):
    return next(row for row in recorder.request("status")[0]["files"] if row["source"] == str(path))


def test_cut_record_is_waited_for(tmp_path, new_run, start_recorder, store):
    """A record whose end is not there yet is no error: once it comes, it is recorded; meanwhile nobody waits for it."""
    path = write(tmp_path / "events.out.tfevents.1.host.1.0", range(10))
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    recorder.drain(path)
    asked = time.monotonic()
    got = recorder.drain(path)[str(path)]
    assert time.monotonic() - asked < 0.7
    assert 0 < got < len(data) - 20
    assert row(recorder, path)["why"] == "waits for the rest of a record"
    path.write_bytes(data)
    assert recorder.drain(path) == {str(path): len(data)}
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert local.points(run.id, "cwd", ".", "loss").step.tolist() == list(range(10))


def test_corrupt_record_is_skipped_and_counted(tmp_path, new_run, start_recorder, store):
    """A record that was damaged on disk is passed over, counted and shown; those behind it are recorded."""
    path = write(tmp_path / "events.out.tfevents.1.host.1.0", range(10))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, (time.time() - 60,) * 2)
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    assert recorder.drain(path) == {str(path): len(data)}
    shown = row(recorder, path)
    assert shown["skipped"] == 1
    batch = Decoder().decode(bytes(data), skip=True)
    (skip,) = batch.skipped
    where = f"{skip.length} bytes at {skip.offset} were passed over: the data checksum does not match"
    assert shown["why"] == where
    run.finish()
    recorder.next("finished")
    assert (run.folder / "files" / "cwd" / path.name).read_bytes() == data
    assert f"{path}: {where}" in (run.folder / "recorder.log").read_text()
    with store() as local:
        assert len(local.points(run.id, "cwd", ".", "loss").step) == 9
        (file,) = (file for file in local.files(run.id) if file.source_path == str(path))
        assert (file.skipped, file.why) == (1, where)
    environment = {**os.environ, "RUNCAST_DIR": str(run.folder.parents[1])}
    command = [sys.executable, "-m", "runcast", "show", run.id]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"{path.name}: {where}" in printed


def test_much_damage(tmp_path, new_run, start_recorder, store):
    """Where many records were damaged, each is counted, the last is shown, and the log lists them."""
    path = write(tmp_path / "events.out.tfevents.1.host.1.0", range(200))
    data = bytearray(path.read_bytes())
    batch = Decoder().decode(bytes(data))
    spans = batch.scalar_records.tolist()[10:190:20]
    for offset, length in spans:
        data[offset + length - 8] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, (time.time() - 60,) * 2)
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    recorder.drain(path)
    shown = row(recorder, path)
    assert shown["skipped"] == len(spans)
    assert f"at {spans[-1][0]} " in shown["why"]
    assert f"({len(spans)} times so far; recorder.log says where)" in shown["why"]
    run.finish()
    recorder.next("finished")
    log = (run.folder / "recorder.log").read_text()
    assert all(f"{path}: {length} bytes at {offset} were passed over" in log for offset, length in spans)
    with store() as local:
        assert len(local.points(run.id, "cwd", ".", "loss").step) == 200 - len(spans)


def test_corrupt_tail_is_set_aside_at_the_end(tmp_path, new_run, start_recorder, store):
    """A tail that fails verification is tried again until the run's end, then kept in quarantine and shown."""
    path = write(tmp_path / "events.out.tfevents.1.host.1.0", range(10))
    good = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\xff" * 100)
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    assert recorder.drain(path) == {str(path): good}
    assert row(recorder, path)["state"] == "unverified"
    run.finish()
    recorder.next("finished")
    kept = run.folder / "quarantine" / "files" / "cwd" / f"{path.name}@{good}"
    assert kept.read_bytes() == b"\xff" * 100
    assert any("set aside in quarantine" in header.get("text", "") for header, _ in recorder.messages)
    with store() as local:
        file = next(file for file in local.files(run.id) if file.source_path == str(path))
        assert (file.state, file.size, file.source_size) == ("quarantined", good, good + 100)
        assert local.points(run.id, "cwd", ".", "loss").step.tolist() == list(range(10))


def test_record_larger_than_a_chunk(tmp_path, new_run, start_recorder):
    """A record of more than 4 MiB (a large image) is recorded like any other."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path / "logs"))
    writer.add_text("novel", "word " * 2_000_000)
    writer.add_scalar("loss", 1.0, 1)
    writer.close()
    path = next((tmp_path / "logs").iterdir())
    assert path.stat().st_size > 9 << 20
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    run.finish()
    recorder.next("finished")
    assert (run.folder / "files" / "cwd" / path.name).read_bytes() == path.read_bytes()


def test_locked_index_is_waited_out(tmp_path, root, new_run, start_recorder, store):
    """Another process that holds the index for a while delays recording, and that is all."""
    path = write(tmp_path / "events.out.tfevents.1.host.1.0", range(10))
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    recorder.drain(path)
    blocker = sqlite3.connect(root / "store.db", isolation_level=None)
    blocker.execute("begin immediate")
    write(path, range(10, 20))
    time.sleep(2)
    blocker.execute("rollback")
    blocker.close()
    assert recorder.drain(path) == {str(path): path.stat().st_size}
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert local.points(run.id, "cwd", ".", "loss").step.tolist() == list(range(20))


def test_index_that_cannot_be_opened_yet(tmp_path, root, new_run, start_recorder, store):
    """A store that cannot be used at all: it is said once, and everything is recorded as soon as it can be."""
    path = write(tmp_path / "events.out.tfevents.1.host.1.0", range(10))
    run = new_run()
    run.writer(path)
    (root / "store.db").mkdir()
    recorder = start_recorder(run)
    assert "Training goes on" in recorder.next("warning")[0]["text"]
    shown = row(recorder, path)
    assert shown["state"] == "waiting"
    assert "store.db" in shown["why"]
    (root / "store.db").rmdir()
    run.finish()
    recorder.next("finished", 40)
    with store() as local:
        assert local.points(run.id, "cwd", ".", "loss").step.tolist() == list(range(10))


@pytest.fixture
def small_disk(root):
    """The store on a file system of 3 MB."""
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(root)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield root
    subprocess.run(["umount", "--lazy", str(root)], check=True)


@pytest.mark.skipif(os.name != "posix", reason="mounts a file system")
def test_full_disk(tmp_path, small_disk, new_run, start_recorder, wait_for):
    """A full disk: it is said once, training goes on, and once there is room all of it is recorded."""
    path = write(tmp_path / "events.out.tfevents.1.host.1.0", range(100))
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    recorder.drain(path)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    write(path, range(100, 20_000))
    text = recorder.next("warning")[0]["text"]
    assert "free space" in text
    assert row(recorder, path)["state"] == "retrying"
    assert row(recorder, path)["lag"] > 0
    ballast.unlink()
    run.finish()
    recorder.next("finished", 60)
    with LocalStore(small_disk) as local:
        assert local.points(run.id, "cwd", ".", "loss").step.tolist() == list(range(20_000))
        assert local.run(run.id).state == "finished"
    assert (run.folder / "files" / "cwd" / path.name).read_bytes() == path.read_bytes()
