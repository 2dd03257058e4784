"""What TensorBoard's own protobuf classes say about event files, to hold our reader against."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from tensorboard.compat.proto import event_pb2
from tensorboard.util import tensor_util

from runcast.events import Batch, Decoder
from runcast.events.checksum import masked_crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

settings.register_profile("events", deadline=None)  # how fast a test machine is says nothing here
settings.load_profile("events")

REPOSITORY = Path(__file__).parents[2]
V1_PLUGINS = {"image": "images", "histo": "histograms", "audio": "audio"}


def real_data_folders() -> list[Path]:
    """The few files in the repository, and where there are more of them, those."""
    more = Path(os.environ.get("RUNCAST_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    return [REPOSITORY / "tests" / "data", *([more] if more.is_dir() else [])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `real_file` once for each event file of real jobs."""
    if "real_file" in metafunc.fixturenames:
        found = [
            (folder, file) for folder in real_data_folders() for file in sorted(folder.rglob("*tfevents*"))
        ]
        ids = [f"{folder.parent.name}/{file.relative_to(folder)}" for folder, file in found]
        metafunc.parametrize("real_file", [file for _, file in found], ids=ids)


def frame(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return b"".join(
        [length, struct.pack("<I", masked_crc32c(length)), payload, struct.pack("<I", masked_crc32c(payload))]
    )


def payloads(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        yield position, data[position + 12 : position + 12 + length]
        position += 16 + length


@dataclass
class Expected:
    """Points as (tag, step, wall time, value), summaries as (tag, plugin, step, wall time, offset, length)."""

    records: int = 0
    points: list[tuple[str, int, float, float]] = field(default_factory=list)
    summaries: list[tuple[str, str, int, float, int, int]] = field(default_factory=list)


def number_of(value: Any) -> float | None:
    if value.WhichOneof("value") == "simple_value":
        return value.simple_value
    if value.WhichOneof("value") != "tensor" or value.metadata.plugin_data.plugin_name not in {"", "scalars"}:
        return None
    array = tensor_util.make_ndarray(value.tensor)
    return float(array) if array.shape == () and array.dtype.kind not in "OSU" else None


def expected_from(data: bytes) -> Expected:
    """Read a whole file record by record, with TensorBoard's classes."""
    expected = Expected()
    for position, payload in payloads(data):
        expected.records += 1
        event = event_pb2.Event.FromString(payload)
        place = (event.step, event.wall_time, position, len(payload) + 16)
        if event.WhichOneof("what") == "graph_def":
            expected.summaries.append(("__run_graph__", "graphs", *place))
        if event.WhichOneof("what") == "tagged_run_metadata":
            expected.summaries.append((event.tagged_run_metadata.tag, "graph_tagged_run_metadata", *place))
        for value in event.summary.value:
            tag = value.tag or value.node_name
            number = number_of(value)
            if number is not None:
                expected.points.append((tag, event.step, event.wall_time, number))
            else:
                plugin = V1_PLUGINS.get(value.WhichOneof("value"), value.metadata.plugin_data.plugin_name)
                expected.summaries.append((tag, plugin, *place))
    return expected


def bits(points: list[tuple[str, int, float, float]]) -> list[tuple[str, int, bytes, bytes]]:
    """Points that compare bit by bit, but for what kind of NaN a NaN is."""
    return [
        (tag, step, struct.pack("<d", wall_time), b"nan" if value != value else struct.pack("<d", value))  # noqa: PLR0124
        for tag, step, wall_time, value in points
    ]


def points_of(batch: Batch) -> list[tuple[str, int, float, float]]:
    scalars = batch.scalars
    tags = np.array([*scalars.tags, ""], object)[scalars.tag].tolist()
    return list(
        zip(tags, scalars.step.tolist(), scalars.wall_time.tolist(), scalars.value.tolist(), strict=True)
    )


def check_against_tensorboard(data: bytes, decoder: Decoder | None = None) -> Batch:
    """Decode a whole file, compare every point and summary with what TensorBoard decodes, and return the batch."""
    batch = (decoder or Decoder()).decode(data)
    expected = expected_from(data)
    assert (batch.start, batch.stop, batch.pending, batch.skipped) == (0, len(data), "", ())
    assert batch.records == expected.records
    assert bits(points_of(batch)) == bits(expected.points)
    summaries = [(s.tag, s.plugin, s.step, s.wall_time, s.offset, s.length) for s in batch.summaries]
    assert repr(summaries) == repr(expected.summaries)  # NaN equals itself there
    return batch


@pytest.fixture(scope="session")
def check() -> Callable[..., Batch]:
    return check_against_tensorboard


@pytest.fixture(scope="session")
def points() -> Callable[[Batch], list[tuple[str, int, bytes, bytes]]]:
    return lambda batch: bits(points_of(batch))


@pytest.fixture(scope="session")
def record() -> Callable[[bytes], bytes]:
    """Frame a payload as a record."""
    return frame


@pytest.fixture(scope="session")
def boundaries() -> Callable[[bytes], list[int]]:
    """Return the record boundaries of a file, its beginning and end included."""
    return lambda data: [*(position for position, _ in payloads(data)), len(data)]
