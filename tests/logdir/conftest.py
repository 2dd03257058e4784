"""Logs as real libraries write them, and what TensorBoard reads of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from torch.utils.tensorboard import SummaryWriter

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `real_folder` once for each folder of event files of real jobs."""
    if "real_folder" in metafunc.fixturenames:
        more = Path(os.environ.get("RUNCAST_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
        places = [REPOSITORY / "tests" / "data", *([more] if more.is_dir() else [])]
        folders = sorted({file.parent for place in places for file in place.rglob("*tfevents*")})
        metafunc.parametrize("real_folder", folders, ids=[folder.name for folder in folders])


@pytest.fixture
def events(tmp_path: Path) -> Callable[..., Path]:
    """Write events to a new file of a folder below the test's own, with TensorBoard's writer, and return the file."""

    def write(source: str, *written: event_pb2.Event) -> Path:
        folder = tmp_path / source
        before = set(folder.glob("*"))
        # names are unique by process and second, so give each a number
        writer = EventFileWriter(str(folder), filename_suffix=f".{len(before):03}")
        for event in written:
            writer.add_event(event)
        writer.close()
        (file,) = set(folder.glob("*")) - before
        named = folder / f"events.out.tfevents.{len(before):03}.host"
        return file.rename(named)

    return write


@pytest.fixture
def point() -> Callable[..., event_pb2.Event]:
    """Make an event with one old-style scalar."""

    def make(tag: str, step: int, value: float, wall_time: float = 1.5) -> event_pb2.Event:
        event = event_pb2.Event(step=step, wall_time=wall_time)
        event.summary.value.add(tag=tag, simple_value=value)
        return event

    return make


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A logdir with two sources: `train` with every kind of value that PyTorch writes, `test` with scalars."""
    rng = np.random.default_rng(0)
    with SummaryWriter(str(tmp_path / "train")) as writer:
        for step in range(20):
            writer.add_scalar("loss", 1 / (step + 1), step)
            writer.add_scalar("metrics/accuracy", step / 20, step)
        for step in (0, 10):
            writer.add_image("sample", np.full((3, 4, 5), step * 10, np.uint8), step)
            writer.add_histogram("weights", rng.normal(size=50), step)
            writer.add_text("note", f"step *{step}*", step)
            writer.add_audio("sound", np.full(10, 0.5, np.float32), step, sample_rate=8000)
            writer.add_pr_curve("pr", rng.integers(0, 2, 30), rng.random(30), step, num_thresholds=5)
            writer.add_mesh("ball", np.full((1, 4, 3), step, np.float32), global_step=step)
        writer.add_custom_scalars({"all": {"losses": ["Multiline", ["loss.*"]]}})
        writer.add_hparams({"lr": 0.1, "name": "x"}, {"hparam/loss": 0.5}, run_name=".")
    with SummaryWriter(str(tmp_path / "test")) as writer:
        for step in range(0, 20, 5):
            writer.add_scalar("loss", 2 / (step + 1), step)
    return tmp_path
