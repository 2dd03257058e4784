"""Logs in buckets as a live source: what is written there is in the run, byte for byte, whoever dies or keeps silent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest

from runcast.events import Decoder, EventWriter
from runcast.objects import Objects
from runcast.recorder.recover import complete_unfinished
from runcast.store.local import LocalStore

TRAINING = """
import os, signal, sys, time, warnings
warnings.simplefilter("ignore")
import runcast
from torch.utils.tensorboard import SummaryWriter
logdir = sys.argv[1]
run = runcast.init(project="tests", sync_tensorboard=True, logdirs=[f"{logdir}/watched"])
print(run.id, flush=True)
writers = [SummaryWriter(f"{logdir}/{name}") for name in ("train", "watched/validation")]
here = SummaryWriter("here")
for step in range(300):
    for writer in (*writers, here):
        writer.add_scalar("loss", 1 / (step + 1), step)
    if step == 100:
        writers[0].flush()
        deadline = time.monotonic() + 20
        while not any("/train/" in file["path"] and file["recorded"] for file in run.status(5)["files"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(run.recorder_pid, signal.SIGKILL)
for writer in writers:
    writer.flush()
while run.recorder_pid is None:
    time.sleep(0.01)
os.kill(run.recorder_pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


HURRIED = """
from datetime import timedelta
import runcast.recorder.distant, runcast.recorder.follower
runcast.recorder.distant.LAST_LOOK, runcast.recorder.follower.TIMEOUT = 4.0, timedelta(seconds=1)
"""


def rows(recorder) -> dict[str, dict]:
    time.sleep(0.2)  # buckets are no faster
    return {row["source"]: row for row in recorder.request("status")[0]["files"]}


def assert_recorded(local: LocalStore, run: str, objects: Objects, root: str, source: str, key: str) -> None:
    """The run's file is the object, and its points are those of a fresh read."""
    name = key.rpartition("/")[2]
    size = next(each.size for each in objects.listed("") if each.name == key)
    data = objects.read(key, 0, size)
    assert local.read(run, f"files/{root}/{source}/{name}".replace("/./", "/"), 0, 1 << 30) == data
    scalars = Decoder().decode(data).scalars
    points = local.points(run, root, source, "loss")
    np.testing.assert_array_equal(points.step, scalars.step)
    np.testing.assert_array_equal(points.wall_time, scalars.wall_time)
    np.testing.assert_array_equal(points.value, scalars.value)
    assert len(points.step) > 0


@pytest.fixture
def write(tmp_path):
    """Write, or go on with, an event file; return its bytes."""

    def append(name: str, steps, tag: str = "loss") -> bytes:
        writer = EventWriter(tmp_path / name)
        for step in steps:
            writer.scalars({tag: step / 7}, step)
        writer.close()
        return (tmp_path / name).read_bytes()

    return append


def test_training_that_writes_to_a_bucket(s3, tmp_path, root, monkeypatch, wait_for) -> None:
    """Writers on s3:// are recorded with their bytes, also through a SIGKILL of the recorder, and of all that the next start completes."""
    monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{s3.port}")
    prefix = uuid.uuid4().hex[:12]
    command = [sys.executable, "-c", TRAINING, f"s3://runcasttests/{prefix}"]
    training = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert training.returncode == -9, training.stderr
    run = training.stdout.strip()
    objects = Objects(s3.address(prefix))
    keys = {each.name.rpartition("/")[0]: each.name for each in objects.listed("")}
    with LocalStore(root) as local:
        wait_for(lambda: complete_unfinished(root) == [run])
        wait_for(lambda: local.run(run).ended, 60)
        assert local.run(run).state == "crashed"
        assert_recorded(local, run, objects, "abs", f"s3/runcasttests/{prefix}/train", keys["train"])
        assert_recorded(local, run, objects, "watched", "validation", keys["watched/validation"])
        assert local.points(run, "watched", "validation", "loss").step.tolist() == list(range(300))
        assert len(local.points(run, "cwd", "here", "loss").step) == 300


@pytest.mark.parametrize("cloud", ["s3", "gcs", "azure"])
def test_a_watched_bucket(cloud, request, new_run, start_recorder, store, write, wait_for) -> None:
    """What grows below the address is recorded, early or late; what is put anew goes on beside it, and old objects are left alone."""
    bucket = request.getfixturevalue(cloud)
    prefix = uuid.uuid4().hex[:12]
    objects = Objects(bucket.address(prefix))
    old = cloud == "s3"
    if old:
        objects.put("logs/old/events.out.tfevents.1.host.1.0", write("old", range(5)))
        time.sleep(3.1)  # that it is older can be told by whole seconds
    run = new_run()
    address = bucket.users_address(f"{prefix}/logs")
    run.watch(address)
    label = address.partition("?")[0]
    name = f"events.out.tfevents.{int(time.time())}.host.1.0"
    objects.put(f"logs/train/{name}", write("a", range(50)))
    kept = {"train/00/v.tsv": b"1\t2", "train/plugins/profile/1/lab.xplane.pb": b"a trace"}
    kept["train/projector_config.pbtxt"] = b'embeddings { tensor_path: "00/v.tsv" }'
    for path, data in kept.items():
        objects.put(f"logs/{path}", data)
    grows = f"{label}/train/{name}"
    run.writer(grows, "logs", "train")  # where the bucket is, the watched address alone says
    recorder = start_recorder(run)
    wait_for(lambda: rows(recorder).get(grows, {"recorded": 0})["recorded"])
    if old:
        left_out = f"{label}/old/events.out.tfevents.1.host.1.0"
        assert wait_for(lambda: rows(recorder).get(left_out))["state"] == "older"
    objects.put(f"logs/train/{name}", write("a", range(50, 90)))
    objects.put(f"logs/{name}", write("b", range(7)))
    wait_for(lambda: rows(recorder).get(f"{label}/{name}", {"recorded": 0})["recorded"])
    wait_for(lambda: rows(recorder)[grows]["lag"] == 0 and rows(recorder)[grows]["size"] > 50 * 30)
    before = objects.read(f"logs/train/{name}", 0, rows(recorder)[grows]["size"])
    objects.put(f"logs/train/{name}", write("c", range(1000, 1200)))
    if cloud == "s3":
        recorder.kill()
        recorder = start_recorder(run)
    run.finish()
    recorder.send(kind="wake")
    assert recorder.next("finished", 40)[0]["state"] == "finished"
    assert recorder.wait() == 0
    with store() as local:
        assert local.read(run.id, f"files/logs/train/{name}", 0, 1 << 30) == before
        assert_recorded(local, run.id, objects, "logs", ".", f"logs/{name}")
        data = write("c", ())
        assert local.read(run.id, f"files/logs/train/{name}~2", 0, 1 << 30) == data
        assert local.points(run.id, "logs", "train", "loss").step.tolist() == [*range(90), *range(1000, 1200)]
        for path, data in kept.items():
            assert local.read(run.id, f"files/logs/{path}", 0, 100) == data
        files = [file for file in local.files(run.id) if file.path.startswith("files/")]
        assert sorted(file.state for file in files) == ["older"] * old + ["recorded"] * 5 + ["replaced"]
        assert all(file.source_path.startswith(f"{label}/") for file in files)


def test_a_bucket_that_fails(
    s3, tmp_path, new_run, start_recorder, store, write, wait_for, monkeypatch
) -> None:
    """A bucket that is silent, refuses or needs a package holds up no local file; it is said what is wrong, and made up for."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{s3.port}")
    prefix = uuid.uuid4().hex[:12]
    objects = Objects(s3.address(prefix))
    name = f"events.out.tfevents.{int(time.time())}.host.1.0"
    label = f"s3://runcasttests/{prefix}"
    run = new_run()
    run.watch(label, "logs")
    run.writer(tmp_path / "here.tfevents.1", "cwd", "here")
    objects.put(name, write("a", range(50)))
    with s3.failing(0):
        recorder = start_recorder(run)
        for step in range(0, 30, 10):
            write("here.tfevents.1", range(step, step + 10))
            began = time.monotonic()
            assert recorder.drain(tmp_path / "here.tfevents.1")
            assert time.monotonic() - began < 1.0
    wait_for(lambda: rows(recorder).get(f"{label}/{name}", {"recorded": 0})["recorded"], 30)
    with s3.failing(403):
        objects_row = wait_for(lambda: rows(recorder).get(label))
        assert objects_row["state"] == "unreadable"
        assert f"cannot list {label}" in objects_row["why"].replace("runcasttests/" + prefix + "/", prefix)
        assert "check the credentials and what they may do; it is tried again" in objects_row["why"]
        assert "check the credentials" in recorder.next("warning")[0]["text"]
    objects.put(name, write("a", range(50, 80)))
    run.finish()
    recorder.send(kind="wake")
    recorder.next("finished", 40)
    assert recorder.wait() == 0
    with store() as local:
        assert_recorded(local, run.id, objects, "logs", ".", name)
        assert len(local.points(run.id, "cwd", "here", "loss").step) == 30
    log = run.log() + (run.folder / "run.jsonl").read_text()
    assert "AWS4" not in log
    assert "Secret" not in log

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "obstore.py").write_text("raise ImportError(\"No module named 'obstore'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"), prepend=":")
    run = new_run()
    run.watch(label, "logs")
    recorder = start_recorder(run)
    row = wait_for(lambda: rows(recorder).get(label))
    assert "pip install 'runcast[buckets]'" in row["why"]


def test_a_bucket_that_is_away_at_the_end(
    s3, tmp_path, new_run, start_recorder, store, write, wait_for, monkeypatch
) -> None:
    """A run whose bucket is silent at its end ends all the same, and it is said what to do; one that never was holds up nothing."""
    monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{s3.port}")
    (tmp_path / "sitecustomize.py").write_text(HURRIED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.getcwd()]))
    prefix, name = uuid.uuid4().hex[:12], f"events.out.tfevents.{int(time.time())}.host.1.0.v2"
    label = f"s3://runcasttests/{prefix}/tf"
    objects = Objects(s3.address(prefix))
    run = new_run()
    run.writer(f"{label}/*tfevents*", "abs", "tf")  # as TensorFlow's are known: native code names the files
    run.writer(f"s3://nosuchbucket/x/{name}", "abs", "x")
    objects.put(f"tf/{name}", write("a", range(50)))
    recorder = start_recorder(run)
    wait_for(lambda: rows(recorder).get(f"{label}/{name}", {"recorded": 0})["recorded"])
    assert "there is no such bucket: check its name" in rows(recorder)[f"s3://nosuchbucket/x/{name}"]["why"]
    objects.put(f"tf/{name}", write("a", range(50, 80)))
    with s3.failing(0):
        run.finish()
        recorder.send(kind="wake")
        recorder.next("finished", 30)
    said = [message["text"] for message, _ in recorder.messages if message["kind"] == "warning"]
    assert any(
        f"without what was new there; `runcast sync {label}` brings all of it" in each for each in said
    )
    assert len(said) == len(set(said)) <= 4, said
    with store() as local:
        assert local.run(run.id).state == "finished"
        assert len(local.points(run.id, "abs", "tf", "loss").step) == 50


def test_scalars_and_damage_in_a_bucket(s3, new_run, start_recorder, store, write, wait_for) -> None:
    """Without keeping files, scalars go on after a SIGKILL of the recorder; damaged bytes are passed over, and set aside at the end."""
    prefix, name = uuid.uuid4().hex[:12], f"events.out.tfevents.{int(time.time())}.host.1.0"
    objects = Objects(s3.address(prefix))
    address = s3.address(prefix)
    run = new_run()
    run.watch(address, "logs", save=False)
    objects.put(name, write("a", range(50)))
    recorder = start_recorder(run)
    origin = f"{address.partition('?')[0]}/{name}"
    wait_for(lambda: rows(recorder).get(origin, {"recorded": 0})["recorded"])
    recorder.kill()
    data = bytearray(write("a", range(50, 5000)))
    data[len(data) // 2] ^= 255
    objects.put(name, bytes(data) + b"\x01\x02\x03")
    recorder = start_recorder(run)
    run.finish()
    recorder.send(kind="wake")
    recorder.next("finished", 30)
    assert recorder.wait() == 0
    with store() as local:
        assert len(local.points(run.id, "logs", ".", "loss").step) == 4999
        (file,) = (file for file in local.files(run.id) if file.path.startswith("files/"))
    assert "passed over" in file.why
    (left,) = (run.folder / "quarantine" / "files" / "logs").iterdir()
    assert left.read_bytes() == b"\x01\x02\x03"
