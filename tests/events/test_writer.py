"""Our own event files, read back by TensorBoard: its Python reader and its Rust server."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator as OldEventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2
from tensorboard.util import tensor_util

from runcast.events import Decoder, EventWriter, event_file_name
from runcast.events.framing import follow
from runcast.events.scalars import NOT_READ, ScalarReader, TagTable

FULL_DISK = """
import resource, sys
from pathlib import Path
from runcast.events import EventWriter
writer = EventWriter(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
written = 0
try:
    for step in range(1000):
        writer.scalars({"a": step, "b": step}, step)
        written += 2
except OSError as error:
    print(written, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.scalars({"a": -1.0}, 1000)
"""


def events_of(data):
    """The events of a file after its version, as TensorBoard's classes read them."""
    position = 40
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        yield event_pb2.Event.FromString(data[position + 12 : position + 12 + length])
        position += 16 + length


def write_a_run(folder):
    writer = EventWriter(folder / event_file_name(".runcast"))
    for step in range(200):
        writer.scalars({"loss": 1 / (step + 1), "system/cpu": step * 0.1}, step, 1e9 + step / 4)
    writer.scalars({"odd": math.nan}, -1, 1.5)
    writer.scalars({"odd": math.inf}, 2**40, 2.5)
    writer.close()


def test_our_own_reader(tmp_path):
    """Values, steps and times come back exactly, float64 as they are."""
    write_a_run(tmp_path)
    (file,) = tmp_path.iterdir()
    batch = Decoder().decode(file.read_bytes())
    scalars = batch.scalars
    assert (batch.records, batch.pending) == (403, "")
    assert scalars.tags == ("loss", "odd", "system/cpu")
    loss = scalars.tag == 0
    assert scalars.value[loss].tolist() == [1 / (step + 1) for step in range(200)]
    assert scalars.value[scalars.tag == 2].tolist() == [step * 0.1 for step in range(200)]
    assert scalars.step[scalars.tag == 1].tolist() == [-1, 2**40]
    assert scalars.wall_time[loss].tolist() == [1e9 + step / 4 for step in range(200)]


@settings(max_examples=30)
@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_any_number(values):
    """Every float64 comes back exactly, one by one and by columns; others read the nearest float32."""
    with tempfile.TemporaryDirectory() as folder:
        writer = EventWriter(Path(folder) / event_file_name())
        for step, value in enumerate(values * 70):
            writer.scalars({"x": value}, step, 1e9)
        writer.close()
        data = writer.path.read_bytes()
    few = Decoder().decode(data[: len(data) // 70])
    many = Decoder().decode(data)
    np.testing.assert_array_equal(many.scalars.value, values * 70)
    np.testing.assert_array_equal(few.scalars.value, many.scalars.value[: len(few.scalars.value)])
    reader = ScalarReader(TagTable())
    columns, _ = reader.read(memoryview(data), follow(memoryview(data), 0, len(data)))
    assert (columns.tag == NOT_READ).sum() <= 2  # the version, and step 0
    with np.errstate(over="ignore"):
        rounded = np.array(values * 70).astype(np.float32).tolist()
    others = [event.summary.value[0].simple_value for event in events_of(data)]
    np.testing.assert_array_equal(others, rounded)


def test_tensorboards_python_reader(tmp_path):
    """TensorBoard without its fast loader shows every point, each value as the nearest float32."""
    write_a_run(tmp_path)
    accumulator = EventAccumulator(str(tmp_path), tensor_size_guidance={"scalars": 0})
    accumulator.Reload()
    assert set(accumulator.PluginTagToContent("scalars")) == {"loss", "odd", "system/cpu"}
    events = accumulator.Tensors("loss")
    assert [tensor_util.make_ndarray(event.tensor_proto).item() for event in events] == [
        float(np.float32(1 / (step + 1))) for step in range(200)
    ]
    assert [(event.step, event.wall_time) for event in events] == [
        (step, 1e9 + step / 4) for step in range(200)
    ]


def test_tensorboards_old_python_reader(tmp_path):
    """The reader that scripts and other tools use shows every point."""
    write_a_run(tmp_path)
    accumulator = OldEventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    accumulator.Reload()
    assert [event.value for event in accumulator.Scalars("loss")] == [
        float(np.float32(1 / (step + 1))) for step in range(200)
    ]


def test_tensorboards_rust_server(tmp_path, rust_scalars):
    """TensorBoard's fast loader shows the same (it narrows every value to float32)."""
    write_a_run(tmp_path / "run")
    (shown,) = rust_scalars(tmp_path).values()
    assert set(shown) == {"loss", "odd", "system/cpu"}
    assert shown["loss"] == [(step, 1e9 + step / 4, float(np.float32(1 / (step + 1)))) for step in range(200)]
    assert math.isnan(shown["odd"][0][2])


def test_a_point_is_readable_when_the_call_returns(tmp_path):
    """Nothing waits in a buffer, so a killed process loses nothing."""
    path = tmp_path / "new" / "folder" / event_file_name()
    writer = EventWriter(path)
    assert Decoder().decode(path.read_bytes()).records == 1
    writer.scalars({"a": 1, "b": np.float32(0.1)}, 7)
    batch = Decoder().decode(path.read_bytes())
    assert (batch.records, batch.pending) == (3, "")
    assert batch.scalars.value.tolist() == [1.0, float(np.float32(0.1))]
    writer.close()
    writer.close()
    writer.scalars({"a": 1}, 8)
    assert len(path.read_bytes()) == batch.stop


def test_an_existing_file_is_continued(check, tmp_path):
    """A writer opened again on its file adds to it, with one version record."""
    for step in range(2):
        writer = EventWriter(tmp_path / "events.tfevents.x")
        writer.scalars({"a": step}, step)
        writer.close()
    assert check((tmp_path / "events.tfevents.x").read_bytes()).records == 3


def test_a_value_that_is_no_number_writes_nothing(tmp_path):
    """The error is the caller's, and the file stays whole."""
    writer = EventWriter(tmp_path / event_file_name())
    before = writer.path.stat().st_size
    with pytest.raises(ValueError, match="could not convert"):
        writer.scalars({"a": 1.0, "b": "x"}, 0)
    assert writer.path.stat().st_size == before
    writer.close()


def test_many_threads(check, tmp_path):
    """Threads may share a writer."""
    writer = EventWriter(tmp_path / event_file_name())

    def write(thread):
        for step in range(200):
            writer.scalars({f"t{thread}": step, "all": step}, step)

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert check(writer.path.read_bytes()).records == 1 + 4 * 200 * 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk(check, tmp_path):
    """A write that finds no room is taken back and said, and the file goes on when there is room again."""
    path = tmp_path / event_file_name()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    written = int(done.stdout.split()[0])
    assert "is the disk full?" in done.stdout
    batch = check(path.read_bytes())
    assert batch.scalars.value.tolist() == [float(n // 2) for n in range(written)] + [-1.0]


def test_names_are_fresh(tmp_path):
    """Names follow TensorBoard's pattern and never repeat, not even among processes."""
    names = {event_file_name(".x") for _ in range(100)}
    assert len(names) == 100
    first = min(names)
    assert first.startswith("events.out.tfevents.")
    assert f".{os.getpid()}." in first
    assert first.endswith(".x")
    program = "from runcast.events.writer import event_file_name; print(event_file_name('.x'))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() not in names


def test_the_writer_is_light():
    """The training process writes without NumPy, protobuf or TensorBoard."""
    program = (
        "import sys; import runcast.events.writer; from runcast.events import EventWriter, find_files\n"
        "print([name for name in ('numpy', 'google.protobuf', 'tensorboard') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
