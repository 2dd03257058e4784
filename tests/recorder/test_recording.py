"""What the training writes is in the store, byte for byte and point for point, whoever dies."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from runcast.events import Decoder, EventWriter
from runcast.recorder.loop import STOPPED
from runcast.recorder.recover import complete_unfinished, unfinished
from runcast.run.channel import EXIT_LOCKED


def whole(data: bytes) -> bytes:
    """Return the whole records at the start of an event file."""
    at = 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        if at + 16 + length > len(data):
            break
        at += 16 + length
    return data[:at]


def recorded(run, path: str) -> bytes:
    return (run.folder / "files" / path).read_bytes()


def assert_complete(store, run, source, *, place="cwd"):
    """Every record of the source is in the run, once."""
    expected = whole(source.read_bytes())
    assert recorded(run, f"{place}/{source.name}") == expected
    scalars = Decoder().decode(expected).scalars
    with store() as local:
        for number, tag in enumerate(scalars.tags):
            points = local.points(run.id, place, ".", tag)
            which = scalars.tag == number
            np.testing.assert_array_equal(points.step, scalars.step[which])
            np.testing.assert_array_equal(points.wall_time, scalars.wall_time[which])
            np.testing.assert_array_equal(points.value, scalars.value[which])
    assert len(scalars.tags) == 2


@pytest.mark.parametrize("library", ["torch", "tensorboardX"])
def test_finished_run_is_complete(library, tmp_path, new_run, start_recorder, start_trainer, store):
    """A run that finishes is in the store with every byte and every point, and says finished."""
    trainer = start_trainer(tmp_path / "logs", 500, 0, library)
    run = new_run()
    run.writer(trainer.path)
    recorder = start_recorder(run)
    trainer.wait_written()
    run.finish()
    recorder.send(kind="wake")
    assert recorder.next("finished")[0]["state"] == "finished"
    assert recorder.wait() == 0
    assert recorded(run, f"cwd/{trainer.path.name}") == trainer.path.read_bytes()
    assert_complete(store, run, trainer.path)
    with store() as local:
        record = local.run(run.id)
    assert (record.state, record.config) == ("finished", {"lr": 0.1})
    assert record.ended is not None
    assert record.facts["command"] == "python train.py"
    assert record.facts["host"]


def test_killed_training_is_complete_and_crashed(tmp_path, new_run, start_recorder, start_trainer, store):
    """SIGKILL in mid-training: the store holds every record that was in the file, and the run says crashed."""
    trainer = start_trainer(tmp_path / "logs")
    run = new_run(pid=trainer.pid)
    run.writer(trainer.path)
    recorder = start_recorder(run)
    time.sleep(1.0)
    trainer.kill()
    assert recorder.next("finished")[0]["state"] == "crashed"
    assert recorder.wait() == 0
    assert_complete(store, run, trainer.path)
    with store() as local:
        assert local.run(run.id).state == "crashed"


def test_killed_recorder_is_resumed(tmp_path, new_run, start_recorder, start_trainer, store, wait_for):
    """SIGKILL of the recorder, again and again: the next one goes on, and nothing is doubled."""
    trainer = start_trainer(tmp_path / "logs")
    run = new_run(pid=trainer.pid)
    run.writer(trainer.path)
    copy = run.folder / "files" / "cwd" / trainer.path.name
    size = 0
    for _ in range(3):
        recorder = start_recorder(run)
        wait_for(lambda: copy.exists() and copy.stat().st_size > size)  # noqa: B023
        recorder.kill()
        size = copy.stat().st_size
    recorder = start_recorder(run)
    trainer.kill()
    assert recorder.wait() == 0
    assert_complete(store, run, trainer.path)


def test_both_killed_is_completed_by_the_next_start(
    tmp_path, root, new_run, start_recorder, start_trainer, store, wait_for
):
    """Training and recorder killed: the next start of runcast completes the run and says crashed."""
    trainer = start_trainer(tmp_path / "logs")
    run = new_run(pid=trainer.pid)
    run.writer(trainer.path)
    recorder = start_recorder(run)
    wait_for((run.folder / "files" / "cwd" / trainer.path.name).exists)
    recorder.kill()
    time.sleep(0.2)
    trainer.kill()
    with store() as local:
        assert local.run(run.id).state == "running"
    assert unfinished(root) == [run.id]
    assert complete_unfinished(root) == [run.id]

    def ended():
        with store() as local:
            return local.run(run.id).ended

    wait_for(ended)
    assert_complete(store, run, trainer.path)
    with store() as local:
        assert local.run(run.id).state == "crashed"
    wait_for(lambda: unfinished(root) == [])


def test_next_run_completes_the_one_before(tmp_path, new_run, start_recorder, start_trainer, store, wait_for):
    """A run that the store has never heard of is completed when another run's recorder starts."""
    trainer = start_trainer(tmp_path / "logs", 200)
    lost = new_run(pid=trainer.pid)
    lost.writer(trainer.path)
    lost.finish("failed", error="ValueError: no")
    trainer.wait_written()
    trainer.kill()
    start_recorder(new_run())

    def state():
        with store() as local:
            return next((run for run in local.runs() if run.id == lost.id and run.ended is not None), None)

    found = wait_for(state)
    assert (found.state, found.facts["error"]) == ("failed", "ValueError: no")
    assert_complete(store, lost, trainer.path)


def test_runs_that_live_are_left_alone(root, new_run, start_recorder):
    """A run whose training process lives is not anyone's to complete, with or without its recorder."""
    run = new_run()
    assert unfinished(root) == []
    recorder = start_recorder(run)
    assert unfinished(root) == []
    recorder.kill()
    assert complete_unfinished(root) == []


def test_second_recorder_leaves(new_run, start_recorder):
    """One recorder a run: a second one leaves at once, with a status that says why."""
    run = new_run()
    start_recorder(run)
    second = start_recorder(run, listen=False)
    assert second.wait() == EXIT_LOCKED


def test_sigterm_leaves_the_run_to_the_next_recorder(
    tmp_path, new_run, start_recorder, start_trainer, store, wait_for
):
    """SIGTERM: what was written is recorded, the run still runs, and the next recorder goes on. SIGINT does nothing."""
    trainer = start_trainer(tmp_path / "logs", 300)
    trainer.wait_written()
    run = new_run(pid=trainer.pid)
    run.writer(trainer.path)
    recorder = start_recorder(run)
    os.kill(recorder.pid, signal.SIGINT)
    recorder.drain(trainer.path)
    os.kill(recorder.pid, signal.SIGTERM)
    assert recorder.wait() == STOPPED
    assert_complete(store, run, trainer.path)
    with store() as local:
        assert local.run(run.id).state == "running"
    recorder = start_recorder(run)
    run.finish()
    assert recorder.next("finished")[0]["state"] == "finished"


def test_end_of_channel_is_not_the_end(tmp_path, new_run, start_recorder, start_trainer, store):
    """A parent that lets go of the pipes but lives is recorded on."""
    trainer = start_trainer(tmp_path / "logs")
    run = new_run(pid=trainer.pid)
    run.writer(trainer.path)
    recorder = start_recorder(run)
    recorder.process.stdin.close()
    time.sleep(1.0)
    assert recorder.process.poll() is None
    trainer.kill()
    assert recorder.wait() == 0
    assert_complete(store, run, trainer.path)


def test_forked_child_with_the_pipe_does_not_hide_the_death(new_run, start_recorder, closing):
    """A data loader that inherited the pipes outlives the training: the recorder notices its death all the same."""
    parent = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    run = new_run(pid=parent.pid)
    recorder = start_recorder(run)  # the pipes' other ends are this process's, which lives on
    parent.kill()
    parent.wait()
    parent.stdin.close()
    killed = time.monotonic()
    assert recorder.next("finished", 10)[0]["state"] == "crashed"
    assert time.monotonic() - killed < 5


def test_reused_pid_is_not_the_parent(new_run, closing, start_recorder):
    """A process that has the pid of the training, but was created at another time, is not it."""
    run = new_run()
    stranger = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    run.pid = stranger.pid
    recorder = start_recorder(run, "--parent-created", str(time.time() - 1000), listen=False)
    recorder.listen()
    assert recorder.next("finished")[0]["state"] == "crashed"
    stranger.communicate()


def test_writer_that_stays_open_appears_in_both_runs(
    tmp_path, new_run, start_recorder, start_trainer, store, wait_for
):
    """A writer that is still open across two runs is whole in both; the first ends at its last whole record."""
    trainer = start_trainer(tmp_path / "logs")
    first = new_run(pid=trainer.pid)
    first.writer(trainer.path)
    recorder = start_recorder(first)
    copy = first.folder / "files" / "cwd" / trainer.path.name
    wait_for(lambda: copy.exists() and copy.stat().st_size > 1000)
    first.finish()
    assert recorder.wait() == 0
    second = new_run(pid=trainer.pid)
    second.writer(trainer.path)
    recorder = start_recorder(second)
    time.sleep(0.5)
    trainer.kill()
    assert recorder.wait() == 0
    part = recorded(first, f"cwd/{trainer.path.name}")
    assert part == whole(part)
    assert len(part) > 1000
    assert trainer.path.read_bytes().startswith(part)
    assert_complete(store, second, trainer.path)


def test_run_writes_its_own_files_in_place(new_run, start_recorder, store):
    """What run.log writes, and the machine's figures, are series of the run; their files are not copied."""
    run = new_run()
    writer = EventWriter(run.folder / "own" / "log" / "events.out.tfevents.1.host.1.0")
    recorder = start_recorder(run)
    for step in range(10):
        writer.scalars({"loss": step / 3}, step)
    writer.close()
    assert recorder.drain(writer.path) == {str(writer.path): writer.path.stat().st_size}
    run.finish()
    recorder.next("finished")
    with store() as local:
        assert local.points(run.id, "own", "log", "loss").value.tolist() == [step / 3 for step in range(10)]
        assert any(series.source == "system" for series in local.series(run.id))
    assert not (run.folder / "files").exists()


def test_deleted_store_ends_the_recorder(root, tmp_path, new_run, start_recorder, start_trainer, wait_for):
    """Who deletes the folder in which runs live is left alone: no recorder that goes on, though the training does, and no folder."""
    trainer = start_trainer(tmp_path / "logs")
    run = new_run(pid=trainer.pid)
    run.writer(trainer.path)
    recorder = start_recorder(run)
    wait_for((run.folder / "requirements.txt").exists)
    while root.exists():  # a file may be made while the folder is being removed
        shutil.rmtree(root, ignore_errors=True)
    recorder.wait(20)
    trainer.kill()
    assert not root.exists()
