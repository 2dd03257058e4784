"""The logs that `read_events.py` reads: each is a folder, and what a reader has to find in it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WALL_TIME = 1.7e9
TAGS = [f"train/metric_{tag:02d}" for tag in range(20)]


@dataclass(frozen=True)
class Log:
    """`points` scalars in all; `last` is the tag and step with which each run ends; `note` says who wrote it."""

    folder: Path
    points: int
    last: dict[str, tuple[str, int]]
    note: str

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.rglob("*tfevents*"))

    @property
    def size(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def value_at(step: int, tag: int) -> float:
    return (step * 31 + tag) % 997 / 7


def scalars(folder: Path, events: int) -> Log:
    """20 tags in turn, as most trainings log."""
    steps = events // len(TAGS)
    _torch_scalars(folder, TAGS, steps)
    return Log(folder, steps * len(TAGS), {".": (TAGS[-1], steps - 1)}, "PyTorch's SummaryWriter")


def runs(folder: Path, events: int) -> Log:
    """200 runs of one sweep."""
    steps = events // 200 // len(TAGS)
    last = {}
    for run in range(200):
        _torch_scalars(folder / f"run_{run:03d}", TAGS, steps)
        last[f"run_{run:03d}"] = TAGS[-1], steps - 1
    return Log(folder, 200 * steps * len(TAGS), last, "PyTorch's SummaryWriter")


def many_tags(folder: Path, events: int) -> Log:
    """5,000 tags with few steps each."""
    tags = [f"layer_{tag // 50:02d}/weight_{tag % 50:02d}/norm" for tag in range(5000)]
    steps = 40 if events >= 1_000_000 else 8
    _torch_scalars(folder, tags, steps)
    return Log(folder, steps * len(tags), {".": (tags[-1], steps - 1)}, "PyTorch's SummaryWriter")


def _torch_scalars(folder: Path, tags: list[str], steps: int) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), max_queue=1000) as writer:
        for step in range(steps):
            for number, tag in enumerate(tags):
                writer.add_scalar(tag, value_at(step, number), step)


def float_tensors(folder: Path, events: int) -> Log:
    """Version 2 scalars: tensors that hold a `float_val`, with metadata on every event."""
    from tensorboard.summary import Writer

    writer = Writer(str(folder))
    steps = events // len(TAGS)
    for step in range(steps):
        for number, tag in enumerate(TAGS):
            writer.add_scalar(tag, value_at(step, number), step)
    writer.close()
    return Log(folder, steps * len(TAGS), {".": (TAGS[-1], steps - 1)}, "tensorboard.summary.Writer")


def content_tensors(folder: Path, events: int) -> Log:
    """Version 2 scalars as TensorFlow 2 writes them: tensors with `tensor_content`, metadata on every event."""
    import numpy as np
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.metadata import create_summary_metadata

    steps = events // len(TAGS)
    templates = []
    for tag in TAGS:
        event = Event()
        value = event.summary.value.add(tag=tag, metadata=create_summary_metadata("", ""))
        value.tensor.dtype = 1
        value.tensor.tensor_shape.SetInParent()
        templates.append(event)

    def events_of_all() -> Iterator[Event]:
        for step in range(steps):
            for number, event in enumerate(templates):
                event.step, event.wall_time = step, WALL_TIME + step * 0.25 + number * 0.001
                number_at = np.float32(value_at(step, number))
                event.summary.value[0].tensor.tensor_content = number_at.tobytes()
                yield event

    _write(folder, events_of_all())
    note = "TensorBoard's messages, laid out as by TensorFlow 2"
    return Log(folder, steps * len(TAGS), {".": (TAGS[-1], steps - 1)}, note)


def irregular(folder: Path, events: int) -> Log:
    """Events of one to four values, of tags that come and go, and a text now and then."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.text.summary_v2 import text_pb

    rng = random.Random(3)
    last, points = ("", 0), 0

    def events_of_all() -> Iterator[Event]:
        nonlocal last, points
        for number in range(events // 5):
            event = Event(wall_time=WALL_TIME + number * 0.01)
            if number % 100 == 99:
                event.step = number
                event.summary.MergeFrom(text_pb("notes", f"event {number}"))
                yield event
                continue
            tags = rng.sample(range(60), rng.choice([1, 1, 1, 1, 2, 4]))
            event.step = number
            for tag in tags:
                name = f"group_{tag % 7}/{'x' * (tag % 11)}metric_{tag}"
                event.summary.value.add(tag=name, simple_value=rng.random())
                last, points = (name, number), points + 1
            yield event

    _write(folder, events_of_all())
    return Log(folder, points, {".": last}, "TensorBoard's messages")


def mixed(folder: Path, events: int) -> Log:
    """Scalars among images and histograms."""
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    rng = np.random.default_rng(0)
    scale = events / 1_000_000
    steps = int(100_000 * scale) // 10
    with SummaryWriter(str(folder), max_queue=1000) as writer:
        for step in range(steps):
            if step % 20 == 0:
                writer.add_image("image", rng.random((3, 128, 128)).astype(np.float32), step)
            if step % 5 == 0:
                writer.add_histogram("weights", rng.normal(size=1000), step)
            if step % 100 == 0:
                writer.add_text("note", f"step {step}", step)
            for number, tag in enumerate(TAGS[:10]):
                writer.add_scalar(tag, value_at(step, number), step)
    return Log(folder, steps * 10, {".": (TAGS[9], steps - 1)}, "PyTorch's SummaryWriter")


def _write(folder: Path, events: Iterator) -> None:
    """Write with TensorBoard's own record writer, but none of its threads: events may be changed once they are written."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True)
    with (folder / "events.out.tfevents.1700000000.benchmark.1.0").open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=WALL_TIME, file_version="brain.Event:2").SerializeToString())
        for event in events:
            writer.write(event.SerializeToString())


def large(folder: Path, base: Log, megabytes: int) -> Log:
    """One file of at least this size: the content of another one again and again."""
    folder.mkdir(parents=True)
    content = base.files[0].read_bytes()
    times = -(-megabytes * 1_000_000 // len(content))
    with (folder / base.files[0].name).open("wb") as file:
        for _ in range(times):
            file.write(content)
    return Log(folder, base.points * times, {}, f"{base.note}, repeated")


LOGS: dict[str, Callable[[Path, int], Log]] = {
    "scalars": scalars,
    "float tensors": float_tensors,
    "content tensors": content_tensors,
    "200 runs": runs,
    "5,000 tags": many_tags,
    "irregular": irregular,
    "mixed": mixed,
}
