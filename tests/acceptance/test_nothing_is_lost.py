"""Whatever dies, the store ends with every record that reached an event file, once, and says what happened."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.data_compat import migrate_event
from tensorboard.util.tensor_util import make_ndarray

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

TRAINING = """
    import time
    from tensorboard.summary import Writer
    import runcast
    run = runcast.init(project="faults", sync_tensorboard=True)
    writer = Writer("logs/train")
    for step in range(100_000):
        writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_scalar("accuracy", step / 100_000, step)
        if step % 50 == 0:
            print(step, flush=True)
        time.sleep(0.001)
"""
TRAINING_WITH_TORCH = TRAINING.replace(
    "from tensorboard.summary import Writer", "from torch.utils.tensorboard import SummaryWriter as Writer"
)


def reach(process: subprocess.Popen[str], step: int) -> None:
    """Wait until the training has passed a step."""
    assert process.stdout
    for line in process.stdout:
        if int(line) >= step:
            return
    pytest.fail("the training ended early")


def records(path: Path) -> list[bytes]:
    """Every whole record of an event file, as TensorBoard itself reads them."""
    return list(RawEventFileLoader(str(path)).Load())


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def scalars(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The (step, value) of every scalar in an event file, as TensorBoard's own classes decode it."""
    found: dict[str, list[tuple[int, float]]] = {}
    for record in records(path):
        event = migrate_event(Event.FromString(record))
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, make_ndarray(value.tensor).item()))
    return found


def assert_whole(place: Any, run: dict[str, Any]) -> None:
    """The run's copy holds exactly the source's whole records, and its series exactly their points, once."""
    (source,) = (place.folder / "logs").rglob("*tfevents*")
    copy = place.recorded_files(run["id"])[source.name]
    assert records(copy) == records(source)
    assert source.read_bytes().startswith(copy.read_bytes())
    for tag, points in scalars(source).items():
        history = place.runcast("history", run["id"], tag)
        assert [(point["step"], point["value"]) for point in history] == points


def test_the_training_is_killed(place: Any) -> None:
    """SIGKILL in mid-training: every record that was in the event file is in the store, and the run says crashed."""
    process = place.start(TRAINING_WITH_TORCH)
    reach(process, 500)
    kill(process.pid)
    assert_whole(place, place.run_in_state("crashed"))


def test_the_recorder_is_killed(place: Any) -> None:
    """A killed recorder is replaced by a new one, which goes on where the first stopped: nothing twice, nothing missing."""
    process = place.start(TRAINING)
    reach(process, 300)
    first = place.recorder()
    first.kill()
    place.wait_for(lambda: [found for found in place.recorders() if found.pid != first.pid])
    reach(process, 800)
    kill(process.pid)
    assert_whole(place, place.run_in_state("crashed"))


def test_both_are_killed(place: Any) -> None:
    """With training and recorder both gone, the next start of runcast completes the run."""
    process = place.start(TRAINING)
    reach(process, 500)
    recorder = place.recorder()
    kill(process.pid)
    recorder.kill()
    process.wait()
    recorder.wait(10)
    next_process = place.start("""
        import runcast
        with runcast.init(project="next"):
            pass
    """)
    assert next_process.wait(60) == 0
    crashed = place.wait_for(
        lambda: [run for run in place.runcast("runs", "--project", "faults") if run["state"] == "crashed"]
    )
    assert_whole(place, crashed[0])
    finished = place.runcast("runs", "--project", "next")
    assert [run["state"] for run in finished] == ["finished"]


def test_a_script_ends_by_itself(place: Any) -> None:
    """A script that just ends is a finished run with all its points, though it never calls finish."""
    process = place.start(TRAINING.replace("100_000", "200"))
    assert process.wait(60) == 0
    assert_whole(place, place.run_in_state("finished"))


def test_a_script_that_raises(place: Any) -> None:
    """An uncaught error marks the run failed, and what was measured before it is kept."""
    process = place.start(TRAINING.replace("100_000", "200") + "    raise ValueError('nan loss')\n")
    assert process.wait(60) == 1
    assert_whole(place, place.run_in_state("failed"))


def test_two_writers_add_scalars_and_a_second_pass(place: Any) -> None:
    """Two writers in one folder, add_scalars, a writer older than the run, and training again: every record, once."""
    process = place.start("""
        from torch.utils.tensorboard import SummaryWriter
        early = SummaryWriter("logs")
        early.add_scalar("early", 0.0, 0)
        import runcast
        run = runcast.init(sync_tensorboard=True)
        second = SummaryWriter("logs", filename_suffix=".second")
        for again in range(2):
            for step in range(50):
                early.add_scalar("early", step, step + 1)
                second.add_scalar("second", step, step)
                if step == 20:
                    second.add_scalars("both", {"one": 1, "two": 2}, again)
        early.close(); second.close()
    """)
    assert process.wait(60) == 0
    run = place.run_in_state("finished")
    copies = place.recorded_files(run["id"])
    sources = {path.name: path for path in (place.folder / "logs").rglob("*tfevents*")}
    assert len(sources) == 4
    assert {name: records(path) for name, path in sources.items()} == {
        name: records(path) for name, path in copies.items() if name in sources
    }
    series = {(one["source"], one["tag"]): one for one in place.runcast("show", run["id"])["series"]}
    assert [series["logs", "second"]["count"], series["logs", "second"]["last"]] == [50, 49]
    assert {source for source, tag in series if tag == "both"} == {"logs/both_one", "logs/both_two"}


def test_one_writer_across_two_runs(place: Any) -> None:
    """A writer that stays open is whole in the first run up to its end, and whole in the second."""
    process = place.start("""
        from torch.utils.tensorboard import SummaryWriter
        import runcast
        writer = SummaryWriter("logs")
        with runcast.init(project="first", sync_tensorboard=True):
            for step in range(30):
                writer.add_scalar("loss", step, step)
        with runcast.init(project="second", sync_tensorboard=True):
            for step in range(30, 50):
                writer.add_scalar("loss", step, step)
    """)
    assert process.wait(60) == 0
    (first,), (second,) = (place.runcast("runs", "--project", name) for name in ("first", "second"))
    assert len(place.runcast("history", first["id"], "loss")) == 30
    assert len(place.runcast("history", second["id"], "loss")) == 50
