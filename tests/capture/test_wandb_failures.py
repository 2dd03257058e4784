"""What was measured to go wrong in W&B's TensorBoard sync, and what its users complain of: nothing lost, doubled or silent."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import fsspec
import pytest
import tensorboardX
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from torch.utils.tensorboard import SummaryWriter

import runcast
from runcast.store.local import LocalStore
from runcast.store.protocol import RunQuery


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A function that starts a run in an empty working folder; at the end the process is as it was."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("RUNCAST_FINISH_TIMEOUT", "60")
    monkeypatch.setenv("RUNCAST_CONSOLE", "off")  # pytest has the file descriptors
    yield lambda **arguments: runcast.init(project="replay", sync_tensorboard=True, **arguments)
    runcast.finish()
    runcast.tensorboard.unpatch()


@pytest.fixture
def recorded(tmp_path):
    """A function that returns (source, tag, step, value) of every scalar of the newest run, or of run number `index`."""

    def read(index=0):
        with LocalStore(tmp_path / "store") as store:
            run = store.runs(RunQuery())[index]
            found = []
            for each in store.series(run.id):
                if each.root != "own" and each.plugin == "scalars":
                    points = store.points(run.id, each.root, each.source, each.tag)
                    columns = zip(points.step.tolist(), points.value.tolist(), strict=True)
                    found += [(each.source, each.tag, step, value) for step, value in columns]
            return Counter(found)

    return read


def written(folder="."):
    """The same, of every event file below the working folder, as TensorBoard reads it."""
    found = Counter()
    for path in sorted(Path(folder).rglob("*tfevents*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found[path.parent.as_posix(), value.tag, event.step, value.simple_value] += 1
    return found


def add(writer, steps, tag="loss"):
    for step in steps:
        writer.add_scalar(tag, step / 2, step)


def status_of(run, why):
    """The files of which `run.status()` says this, once it does."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = run.status(5.0) or {"files": []}
        if found := [file for file in status["files"] if why in file["why"]]:
            return found
        time.sleep(0.1)
    pytest.fail(f"nobody says {why!r}")


def test_add_scalars_among_scalars(start, recorded):
    """60 points and one add_scalars, which makes writers in folders below: all are there, none under another's name."""
    start()
    with SummaryWriter("logs") as writer:
        add(writer, range(20))
        writer.add_scalars("multi", {"one": 1, "two": 2}, 20)
        add(writer, range(20, 60))
    runcast.finish()
    assert recorded() == written()
    assert sum(recorded().values()) == 62


def test_two_live_writers_in_one_folder(start, recorded):
    """Two writers that take turns in one folder: the points of both, once."""
    start()
    first, second = SummaryWriter("logs", filename_suffix=".a"), SummaryWriter("logs", filename_suffix=".b")
    for step in range(40):
        add(first, [step], "a")
        add(second, [step], "b")
    first.close()
    second.close()
    runcast.finish()
    assert recorded() == written()
    assert sum(recorded().values()) == 80


@pytest.mark.parametrize("make", [SummaryWriter, tensorboardX.SummaryWriter])
def test_a_cell_that_is_run_again(start, recorded, make):
    """The same logdir again in a new run: 20 points, not 40, and the first run keeps its own 20."""
    for _ in range(2):
        start()
        with make("logs") as writer:
            add(writer, range(20))
        runcast.finish()
        time.sleep(1.1)  # tensorboardX names its files by the second
    expected = Counter({("logs", "loss", step, step / 2): 1 for step in range(20)})
    assert recorded(0) == recorded(1) == expected


def test_three_folders(start, recorded):
    """`a/train`, `a/val`, `b/train`: each keeps its whole name, also the one that comes last."""
    start()
    for folder in ("a/train", "a/val", "b/train"):
        with SummaryWriter(folder) as writer:
            add(writer, range(5))
    runcast.finish()
    assert {source for source, *_ in recorded()} == {"a/train", "a/val", "b/train"}
    assert recorded() == written()


def test_scalars_without_a_step(start, tmp_path):
    """Ten points without a step all stand at step 0. The event file has all ten; the chart the last, as TensorBoard's."""
    run = start()
    with SummaryWriter("logs") as writer:
        for value in range(10):
            writer.add_scalar("loss", value)
    runcast.finish()
    (original,) = Path("logs").glob("*tfevents*")
    (copy,) = (run.folder / "files").rglob("*tfevents*")
    assert copy.read_bytes() == original.read_bytes()
    assert sum(written().values()) == 10


def test_hparams(start, recorded):
    """The file that add_hparams writes in a folder of its own is recorded once."""
    start()
    with SummaryWriter("logs") as writer:
        writer.add_hparams({"lr": 0.1}, {"m": 0.5}, run_name="hp")
    runcast.finish()
    assert recorded() == written() == Counter({("logs/hp", "m", 0, 0.5): 1})


@pytest.mark.parametrize("name", ["WANDB_HOST", "HOSTNAME"])
def test_a_host_of_another_name(start, recorded, monkeypatch, name):
    """In a container, or with another host name in the environment, files are recorded all the same."""
    monkeypatch.setenv(name, "mybox")
    start()
    with SummaryWriter("logs") as writer:
        add(writer, range(20))
    runcast.finish()
    assert recorded() == written()


def test_one_flipped_byte(start, recorded):
    """A byte that the disk changed costs the record that it is in, and no other; it is counted, for the file that it is in."""
    run = start()
    writer = SummaryWriter("logs")
    add(writer, range(20))
    writer.flush()
    (path,) = Path("logs").glob("*tfevents*")
    before = path.stat().st_size
    add(writer, range(20, 40))
    writer.close()
    whole = path.read_bytes()
    copy = Path("logs/damaged/events.out.tfevents.1.host")
    copy.parent.mkdir()
    copy.write_bytes(whole[: before - 8] + bytes([whole[before - 8] ^ 0xFF]) + whole[before - 7 :])
    run.watch(copy.parent)
    runcast.finish()
    with LocalStore(run.folder.parents[1]) as store:
        skipped = {Path(file.source_path).name: file.skipped for file in store.files(run.id)}
    assert (skipped[copy.name], skipped[path.name]) == (1, 0)
    damaged = {step for source, _, step, _ in recorded() if source == "."}
    assert damaged == set(range(40)) - {19}


def test_a_short_run_ends_at_once(start, recorded):
    """One writer, a few points: `finish` takes about as long as the recorder needs to start, not ten seconds."""
    run = start()
    with SummaryWriter("somewhere/else") as writer:
        add(writer, range(5))
    run.drain(10.0)
    began = time.monotonic()
    runcast.finish()
    assert time.monotonic() - began < 5
    assert recorded() == written()


def test_a_writer_before_init(start, recorded):
    """A writer that is older than the run is recorded from its first point."""
    writer = SummaryWriter("logs")
    add(writer, range(10))
    start()
    add(writer, range(10, 20))
    writer.close()
    runcast.finish()
    assert recorded() == written()
    assert sum(recorded().values()) == 20


def test_one_writer_in_two_runs(start, recorded):
    """A writer that stays open while one run ends and another starts is whole in both, as far as it was written by then."""
    start(name="one")
    writer = SummaryWriter("logs")
    add(writer, range(10))
    runcast.finish()
    start(name="two")
    add(writer, range(10, 20))
    writer.close()
    runcast.finish()
    assert recorded(0) == written()
    assert recorded(1) == Counter({("logs", "loss", step, step / 2): 1 for step in range(10)})


def test_patching_in_a_loop(start, recorded):
    """`patch` and `init` in every round of a loop: no "already patched", and each run has its own points."""
    for number in range(3):
        runcast.tensorboard.patch(root_logdir="logs")
        start(name=f"round {number}")
        with SummaryWriter(f"logs/{number}") as writer:
            add(writer, range(5))
        runcast.finish()
    for index in range(3):
        expected = {(str(2 - index), "loss", step, step / 2) for step in range(5)}
        assert set(recorded(index)) == expected


def test_a_writer_outside_the_root(start, recorded):
    """A folder outside `root_logdir` is recorded under its own name, not dropped; nor is `runs/ab` taken for one in `runs/a`."""
    runcast.tensorboard.patch(root_logdir="runs/a")
    run = start()
    for folder in ("runs/a/train", "runs/ab", "elsewhere"):
        with SummaryWriter(folder) as writer:
            add(writer, range(5))
    runcast.finish()
    with LocalStore(run.folder.parents[1]) as store:
        found = {(each.root, each.source) for each in store.series(run.id) if each.root != "own"}
    assert found == {("a", "train"), ("cwd", "runs/ab"), ("cwd", "elsewhere")}


def test_a_place_that_cannot_be_read_is_named_with_the_reason(start, recorded):
    """A writer on a place that no recorder can read writes there undisturbed; status names it, and says why it is not recorded."""
    run = start()
    writer = SummaryWriter("memory://bucket/logs")
    add(writer, range(5))
    (file,) = status_of(run, "only local files are recorded")
    assert file["source"].startswith("memory://bucket/logs/events.out.tfevents.")
    writer.close()
    runcast.finish()
    (name,) = fsspec.filesystem("memory").glob("/bucket/logs/*tfevents*")
    assert fsspec.filesystem("memory").cat(name).count(b"loss") == 5
    assert recorded() == Counter()


def test_steps_of_the_writer_are_kept(start, recorded):
    """Steps of several writers and of `run.log` are each series' own: none waits for, shifts or hides another's."""
    run = start()
    slow, fast = SummaryWriter("slow"), SummaryWriter("fast")
    for step in range(10):
        add(fast, [1000 * step])
        run.log({"custom": step, "global_step": 3 * step})
        if step % 5 == 0:
            add(slow, [step])
    slow.close()
    fast.close()
    runcast.finish()
    assert recorded() == written()


def test_nan_and_infinity(start):
    """NaN and the infinities are recorded as what they are."""
    run = start()
    with SummaryWriter("logs") as writer:
        for step, value in enumerate([1.0, float("nan"), float("inf"), float("-inf")]):
            writer.add_scalar("loss", value, step)
    runcast.finish()
    with LocalStore(run.folder.parents[1]) as store:
        values = store.points(run.id, "cwd", "logs", "loss").value.tolist()
    assert json.dumps(values) == "[1.0, NaN, Infinity, -Infinity]"


def test_a_file_that_is_left_out_is_named(start):
    """A file of an earlier training in the logdir is not recorded, and status says so, and why."""
    with SummaryWriter("logs/old") as writer:
        add(writer, range(5))
    time.sleep(0.1)
    run = start(logdirs=["logs"])
    with SummaryWriter("logs/new") as writer:
        add(writer, range(5))
    (file,) = status_of(run, "has not grown since the run started")
    assert "/logs/old/" in file["source"]
