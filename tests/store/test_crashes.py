"""Processes that die, machines that die, and several processes at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from runcast.events.writer import EventWriter
from runcast.run.record import RunRecord, new_run_id
from runcast.store.files import disk_size
from runcast.store.local import LocalStore
from runcast.store.protocol import OffsetMismatch

PUMP = """
import sys, time
from pathlib import Path
from runcast.store.files import disk_size
from runcast.store.local import LocalStore

place, run, path, source, piece = sys.argv[1:]
data = Path(source).read_bytes()
with LocalStore(Path(place)) as store:
    at = store.size(run, path)
    while at < len(data):
        at = store.append(run, path, at, data[at : at + int(piece)]).size
"""

NURSERY = """
import os, sys
import runcast.store.local

program = sys.argv.pop()
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        exec(program)
        os._exit(0)
    print(child, flush=True)
    print("done" if os.waitpid(child, 0)[1] == 0 else "killed", flush=True)
"""


def pump(place, run, path, source, piece):
    return subprocess.Popen([sys.executable, "-c", PUMP, place, run, path, source, str(piece)])


@pytest.fixture
def event_file(tmp_path):
    """An event file of 6000 points: three tags, one of which restarts in the middle."""
    writer = EventWriter(tmp_path / "events.out.tfevents.1.host")
    for step in range(2000):
        values = {"loss": 1 / (step + 1), "accuracy": step / 2000}
        writer.scalars(values, step, 100.0 + step)
        writer.scalars({"restarts": float(step)}, step if step < 1000 else step - 500, 100.0 + step)
    writer.close()
    return writer.path


def contents(store, run):
    """All that the index says of a run's series."""
    bounds = [(s.root, s.source, s.tag, s.plugin, s.count, s.last, s.min, s.max) for s in store.series(run)]
    points = {}
    for series in store.series(run):
        columns = store.points(run, series.root, series.source, series.tag)
        points[series.tag] = [column.tobytes() for column in (columns.step, columns.wall_time, columns.value)]
    return bounds, points, [(file.size, file.records, file.skipped) for file in store.files(run)]


@pytest.fixture
def undisturbed(event_file, tmp_path):
    """What the index says when nothing goes wrong, by run file path."""

    def read(path):
        with LocalStore(tmp_path / "undisturbed") as store:
            run = RunRecord(new_run_id(), "p", "n", "running", time.time())
            store.create(run)
            store.append(run.id, path, 0, event_file.read_bytes())
            return contents(store, run.id)

    return read


@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="the killed processes are forked, to have many of them soon"
)
@pytest.mark.slow
def test_sigkill_in_the_middle_of_an_append_loses_and_doubles_nothing(
    place, store, run, event_file, undisturbed
):
    """The recorder is killed over and over while it writes; the series are those of an undisturbed one."""
    path = f"files/logs/{event_file.name}"
    rng = random.Random(4)
    kills = 0
    command = [sys.executable, "-c", NURSERY, place, run, path, event_file, "1500", PUMP]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdout.readline() == "ready\n"
        outcome = ""
        while outcome != "done\n":
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            time.sleep(rng.uniform(0.02, 0.02 * (kills + 2)))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            outcome = nursery.stdout.readline()
            kills += outcome == "killed\n"
            assert disk_size(store.path(run, path)) >= store.size(run, path)
        nursery.stdin.close()
    assert kills >= 3
    assert contents(store, run) == undisturbed(path)
    assert store.path(run, path).read_bytes() == event_file.read_bytes()


def test_bytes_that_the_index_never_saw_are_written_again(store, run, event_file, undisturbed):
    """A process that died between the file and the index left bytes behind: they are the same bytes again."""
    path, data = f"files/logs/{event_file.name}", event_file.read_bytes()
    at = store.append(run, path, 0, data[:5000]).size
    with store.path(run, path).open("r+b") as file:
        file.seek(at)
        file.write(data[at : at + 777])
    store.append(run, path, at, data[at:])
    assert store.path(run, path).read_bytes() == data
    assert contents(store, run) == undisturbed(path)


@pytest.mark.parametrize("damage", ["shorter", "empty", "missing", "zeroed"])
def test_a_file_that_lost_its_end_is_indexed_anew(place, store, run, event_file, undisturbed, damage):
    """After a power cut the file has less than the index says: the next recorder goes on from what is really there."""
    path, data = f"files/logs/{event_file.name}", event_file.read_bytes()
    at = store.append(run, path, 0, data[:40_000]).size
    at = store.append(run, path, at, data[at:80_000]).size  # within a second of the last wait for the disk
    on_disk = store.path(run, path)
    if damage == "shorter":
        os.truncate(on_disk, 50_001)
    elif damage == "empty":
        os.truncate(on_disk, 0)
    elif damage == "missing":
        on_disk.unlink()
    else:
        with on_disk.open("r+b") as file:
            file.seek(60_000)
            file.write(bytes(at - 60_000))
    with LocalStore(place) as recovered:
        answer = recovered.append(run, path, at, data[at:])
        assert isinstance(answer, OffsetMismatch)
        assert answer.size == recovered.size(run, path) <= at
        assert recovered.append(run, path, answer.size, data[answer.size :]).size == len(data)
        assert contents(recovered, run) == undisturbed(path)
        assert on_disk.read_bytes() == data


def test_a_sound_file_is_not_indexed_anew(place, store, run, event_file):
    """A recorder that takes over goes on where the last one stopped."""
    path, data = f"files/logs/{event_file.name}", event_file.read_bytes()
    at = store.append(run, path, 0, data[:40_000]).size
    at = store.append(run, path, at, data[at:80_000]).size
    with LocalStore(place) as next_store:
        assert next_store.append(run, path, at, data[at:]).size == len(data)


@pytest.mark.slow
def test_several_recorders_write_one_store_at_once(place, store, new_run, event_file, undisturbed):
    """Four recorders of four runs, started together on a store that none has opened before, all succeed."""
    path = f"files/logs/{event_file.name}"
    runs = [new_run() for _ in range(4)]
    for run in runs:
        store.create(run)
    processes = [pump(place, run.id, path, event_file, 9000) for run in runs]
    reads = 0
    while any(process.poll() is None for process in processes):
        for run in runs:
            reads += len(store.series(run.id))
    assert [process.wait() for process in processes] == [0] * 4
    assert all(contents(store, run.id) == undisturbed(path) for run in runs)


@pytest.mark.slow
def test_a_store_can_be_made_by_several_processes_at_once(tmp_path):
    """The first runs of a new user may start together."""
    program = "import sys, runcast.store; runcast.store.open(sys.argv[1]).close()"
    for attempt in range(3):
        place = tmp_path / f"store{attempt}"
        processes = [subprocess.Popen([sys.executable, "-c", program, place]) for _ in range(5)]
        assert [process.wait() for process in processes] == [0] * 5


def test_two_processes_that_append_one_file_double_nothing(place, store, run, event_file, undisturbed):
    """Should two recorders ever meet on one file, the store takes each byte once."""
    path, data = f"files/logs/{event_file.name}", event_file.read_bytes()
    with LocalStore(place) as other:
        at = store.append(run, path, 0, data[:30_000]).size
        assert other.append(run, path, 0, data[:30_000]) == OffsetMismatch(at)
        later = other.append(run, path, at, data[at:60_000]).size
        assert store.append(run, path, at, data[at:60_000]) == OffsetMismatch(later)
        store.append(run, path, later, data[later:])
    assert contents(store, run) == undisturbed(path)
