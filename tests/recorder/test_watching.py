"""Which files of a logdir are recorded, and what is said of the others."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from runcast.events import EventWriter


@pytest.fixture
def write():
    """Append points to an event file."""

    def append(path, steps, tag="loss"):
        writer = EventWriter(path)
        for step in steps:
            writer.scalars({tag: float(step)}, step)
        writer.close()
        return path

    return append


def rows(recorder):
    return {row["source"]: row for row in recorder.request("status")[0]["files"]}


def age(path, seconds=100.0):
    """Make a file look as if it was written a while ago."""
    os.utime(path, (time.time() - seconds,) * 2)


def test_logdir_is_watched_as_a_tree(tmp_path, new_run, start_recorder, write, store, wait_for):
    """Files of other processes, in any folder of the logdir, early or late, are recorded under its root."""
    run = new_run()
    run.watch(tmp_path / "logs")
    early = write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(5))
    recorder = start_recorder(run)
    late = write(tmp_path / "logs" / "fold 1" / "train" / "events.out.tfevents.2.host.1.0", range(7))
    recorder.drain(early, late)
    run.finish()
    recorder.next("finished")
    with store() as local:
        found = {
            (series.root, series.source): series.count
            for series in local.series(run.id)
            if series.root != "own"
        }
        assert found == {("logs", "."): 5, ("logs", "fold 1/train"): 7}


def test_older_files_are_listed_and_left_alone(tmp_path, new_run, start_recorder, write, store, wait_for):
    """A file from before the run is not recorded until it grows; then it is, from its first byte."""
    still = write(tmp_path / "logs" / "a" / "events.out.tfevents.1.host.1.0", range(5))
    grows = write(tmp_path / "logs" / "b" / "events.out.tfevents.1.host.1.0", range(5))
    age(still)
    age(grows)
    run = new_run()
    run.watch(tmp_path / "logs")
    recorder = start_recorder(run)
    row = wait_for(lambda: rows(recorder).get(str(still)))
    assert (row["state"], row["recorded"]) == ("older", 0)
    assert "has not grown" in row["why"]
    assert row["lag"] == 0, "nobody waits for it"
    write(grows, range(5, 8))
    recorder.drain(grows)
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert local.points(run.id, "logs", "b", "loss").step.tolist() == list(range(8))
        assert [series.source for series in local.series(run.id) if series.root == "logs"] == ["b"]
        states = {file.path: file.state for file in local.files(run.id) if file.path.startswith("files/")}
        assert sorted(states.values()) == ["older", "recorded"]


def test_adopted_writers_older_file_is_recorded(tmp_path, new_run, start_recorder, write, store):
    """A writer that was open before the run is recorded from byte 0, though its file is old and lies in the logdir."""
    path = write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(5))
    age(path)
    run = new_run()
    run.watch(tmp_path / "logs")
    run.writer(path, root="logs")
    recorder = start_recorder(run)
    recorder.drain(path)
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert local.points(run.id, "logs", ".", "loss").step.tolist() == list(range(5))
        assert [file.path for file in local.files(run.id) if file.path.startswith("files/")] == [
            f"files/logs/{path.name}"
        ]


def test_missing_logdir_is_waited_for(tmp_path, new_run, start_recorder, write, store):
    """A logdir that does not exist yet: it is said once, and what appears in it is recorded."""
    run = new_run()
    run.watch(tmp_path / "later")
    recorder = start_recorder(run)
    assert "does not exist yet; waiting for it" in recorder.next("warning")[0]["text"]
    row = rows(recorder)[str(tmp_path / "later")]
    assert row["state"] == "waiting"
    path = write(tmp_path / "later" / "events.out.tfevents.1.host.1.0", range(5))
    recorder.drain(path)
    assert str(tmp_path / "later") not in rows(recorder)
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert local.points(run.id, "logs", ".", "loss").step.tolist() == list(range(5))


def test_file_instead_of_a_logdir(tmp_path, new_run, start_recorder):
    """A logdir that is a file: a clear line says so, and recording goes on."""
    (tmp_path / "logs").write_text("not a folder")
    run = new_run()
    run.watch(tmp_path / "logs")
    recorder = start_recorder(run)
    assert "is a file, not a folder" in recorder.next("warning")[0]["text"]
    assert rows(recorder)[str(tmp_path / "logs")]["state"] == "ignored"
    run.finish()
    assert recorder.next("finished")[0]["state"] == "finished"


def test_logdir_without_permission(tmp_path, new_run, start_recorder, write, close_folder):
    """A logdir that may not be read: a clear line says so; once it may be, it is recorded."""
    path = write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(5))
    close_folder(tmp_path / "logs")
    run = new_run()
    run.watch(tmp_path / "logs")
    recorder = start_recorder(run)
    assert "check its permissions" in recorder.next("warning")[0]["text"]
    assert rows(recorder)[str(tmp_path / "logs")]["state"] == "unreadable"
    (tmp_path / "logs").chmod(0o755)
    assert recorder.drain(path) == {str(path): path.stat().st_size}


def test_store_inside_the_logdir_is_not_recorded_into_itself(tmp_path, new_run, start_recorder, write, store):
    """A logdir around RUNCAST_DIR: the run's own copies are not taken for the training's."""
    run = new_run()
    run.watch(tmp_path)
    path = write(tmp_path / "train" / "events.out.tfevents.1.host.1.0", range(5))
    default = write(tmp_path / "store" / "runs" / "Nov23_host" / "events.out.tfevents.1.host.1.0", range(5))
    recorder = start_recorder(run)
    recorder.drain(path, default)
    time.sleep(1.5)
    run.finish()
    recorder.next("finished")
    with store() as local:
        paths = [file.path for file in local.files(run.id) if file.path.startswith("files/")]
    assert paths == [f"files/logs/store/runs/Nov23_host/{path.name}", f"files/logs/train/{path.name}"]


def test_file_found_twice_is_recorded_once(tmp_path, new_run, start_recorder, write, store):
    """A file that a link, a second logdir and a writer all lead to is recorded once."""
    path = write(tmp_path / "logs" / "train" / "events.out.tfevents.1.host.1.0", range(5))
    (tmp_path / "latest").symlink_to(tmp_path / "logs" / "train")
    run = new_run()
    run.writer(tmp_path / "latest" / path.name, root="cwd", source="latest")
    run.watch(tmp_path / "logs")
    run.watch(tmp_path / "logs" / "train", root="train")
    recorder = start_recorder(run)
    recorder.drain(path)
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert [series.count for series in local.series(run.id) if series.root != "own"] == [5]


def test_nested_logdirs_name_a_file_as_its_writer_would(tmp_path, new_run, start_recorder, write, store):
    """In a logdir within a logdir, a file is named by the inner one, whether a writer announced it or not."""
    run = new_run()
    run.watch(tmp_path / "logs")
    run.watch(tmp_path / "logs" / "inner", root="inner")
    recorder = start_recorder(run)
    files = [
        write(tmp_path / "logs" / place / "events.out.tfevents.1.host.1.0", range(5))
        for place in ("inner/train", "train")
    ]
    recorder.drain(*files)
    run.finish()
    recorder.next("finished")
    with store() as local:
        found = {(series.root, series.source) for series in local.series(run.id) if series.root != "own"}
    assert found == {("inner", "train"), ("logs", "train")}


def test_two_writers_in_one_folder(tmp_path, new_run, start_recorder, write, store):
    """Two writers in one folder are one source with the points of both."""
    first = write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(5), "loss")
    second = write(tmp_path / "logs" / "events.out.tfevents.1.host.2.0", range(7), "accuracy")
    run = new_run()
    run.writer(first)
    run.writer(second)
    recorder = start_recorder(run)
    recorder.drain(first, second)
    run.finish()
    recorder.next("finished")
    with store() as local:
        found = {series.tag: series.count for series in local.series(run.id) if series.root != "own"}
        assert found == {"loss": 5, "accuracy": 7}


def test_graphs_beside_a_writer_are_kept(tmp_path, root, new_run, start_recorder, write, wait_for):
    """A .pbtxt that appears beside a writer's file is kept as it is; rewritten, it goes on beside; an old one is left alone."""
    path = write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(5))
    old = tmp_path / "logs" / "old.pbtxt"
    old.write_text("node {}")
    age(old)
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    graph = tmp_path / "logs" / "graph.pbtxt"
    graph.write_text("node { name: 'a' }")
    copy = root / "runs" / run.id / "files" / "cwd" / "graph.pbtxt"
    wait_for(lambda: copy.exists() and copy.read_text() == graph.read_text())
    graph.write_text("node { name: 'b' } node { name: 'c' }")
    wait_for((copy.parent / "graph.pbtxt~2").exists)
    run.finish()
    recorder.next("finished")
    assert copy.read_text() == "node { name: 'a' }"
    assert (copy.parent / "graph.pbtxt~2").read_text() == graph.read_text()
    assert not (copy.parent / "old.pbtxt").exists()


def test_replaced_file_goes_on_as_a_new_generation(tmp_path, new_run, start_recorder, write, store, wait_for):
    """A file that is replaced by another of its name is recorded beside what there was; nothing recorded is lost."""
    path = write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(20))
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    recorder.drain(path)
    first = path.read_bytes()
    other = write(tmp_path / "other.tfevents", range(100, 110))
    second = other.read_bytes()
    shutil.move(other, path)
    copies = run.folder / "files" / "cwd"
    wait_for((copies / f"{path.name}~2").exists)
    recorder.drain(path)
    path.write_bytes(second[: len(second) // 2])
    wait_for((copies / f"{path.name}~3").exists)
    recorder.kill()
    recorder = start_recorder(run)
    run.finish()
    recorder.next("finished")
    assert (copies / path.name).read_bytes() == first
    assert (copies / f"{path.name}~2").read_bytes() == second
    with store() as local:
        states = {
            file.path.rpartition("/")[2]: file.state
            for file in local.files(run.id)
            if file.path.startswith("files")
        }
    assert states[path.name] == "replaced"
    assert sorted(states) == [path.name, f"{path.name}~2", f"{path.name}~3"]


def test_file_replaced_while_no_recorder_ran(tmp_path, new_run, start_recorder, write, store):
    """A file that was replaced by a longer one between two recorders is noticed, and goes on as a new generation."""
    path = write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(10))
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    recorder.drain(path)
    first = path.read_bytes()
    recorder.kill()
    path.unlink()
    write(path, range(50, 90))
    recorder = start_recorder(run)
    run.finish()
    recorder.next("finished")
    copies = run.folder / "files" / "cwd"
    assert (copies / path.name).read_bytes() == first
    assert (copies / f"{path.name}~2").read_bytes() == path.read_bytes()


def test_removed_file_keeps_what_was_recorded(tmp_path, new_run, start_recorder, write, store, wait_for):
    """A file that the user removes is said to be gone; what was recorded of it stays."""
    path = write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(10))
    run = new_run()
    run.writer(path)
    recorder = start_recorder(run)
    recorder.drain(path)
    path.unlink()
    wait_for(lambda: rows(recorder)[str(path)]["state"] == "gone")
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert local.points(run.id, "cwd", ".", "loss").step.tolist() == list(range(10))


def test_scalars_only(tmp_path, new_run, start_recorder, start_trainer, store):
    """With save=False the points are recorded, and a scalar-only event file is kept; a new recorder goes on with it."""
    trainer = start_trainer(tmp_path / "logs")
    run = new_run(pid=trainer.pid)
    run.writer(trainer.path, save=False)
    for _ in range(2):
        recorder = start_recorder(run)
        time.sleep(0.5)
        recorder.kill()
    recorder = start_recorder(run)
    trainer.kill()
    assert recorder.wait() == 0
    steps = trainer.path.read_bytes().count(b"\x0a\x04loss")
    kept = run.folder / "files" / "cwd" / trainer.path.name
    assert 0 < kept.stat().st_size <= trainer.path.stat().st_size
    with store() as local:
        points = local.points(run.id, "cwd", ".", "loss")
        file = next(file for file in local.files(run.id) if file.source_path == str(trainer.path))
        assert "only the scalars" in file.why
        assert file.source_size - file.size < 100, "what is left out is no lag"
    assert steps - 1 <= len(points.step) <= steps
    assert points.step.tolist() == list(range(len(points.step)))


def test_files_of_an_ended_run_are_recorded(new_run, start_recorder, write, tmp_path, store):
    """When the run has ended its files read "recorded", not "recording": nobody waits for them any more."""
    run = new_run()
    run.watch(tmp_path / "logs")
    write(tmp_path / "logs" / "events.out.tfevents.1.host.1.0", range(5))
    recorder = start_recorder(run)
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert {file.state for file in local.files(run.id)} == {"recorded"}
