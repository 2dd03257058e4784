"""Files as jobs and libraries really write them: every point and summary as TensorBoard's own classes decode it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorboardX
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.compat.tensorflow_stub import dtypes
from tensorboard.summary import Writer
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util
from torch.utils.tensorboard import SummaryWriter

from runcast.events import Decoder

if TYPE_CHECKING:
    from pathlib import Path

SHARED_DECODER = Decoder()


def only_file(folder: Path) -> bytes:
    (file,) = folder.rglob("*tfevents*")
    return file.read_bytes()


def test_files_of_real_jobs(check, real_file):
    """What strangers' jobs logged on Linux and macOS is read point for point."""
    check(real_file.read_bytes())


def test_one_decoder_for_all_files(check, real_file):
    """What a decoder learned from other files changes nothing."""
    check(real_file.read_bytes(), SHARED_DECODER)


@pytest.mark.parametrize("new_style", [False, True])
def test_torch_scalars(check, tmp_path, new_style):
    """PyTorch scalars of many tags, with NaN, infinities, negative and huge steps."""
    steps = [*range(300), -1, -300, 2**31, 2**40, 2**62]
    with SummaryWriter(str(tmp_path)) as writer:
        for step in steps:
            for tag in ("loss", "acc/train", "acc/validation", "précision"):
                writer.add_scalar(
                    tag, np.float64(step) ** 0.5 if step >= 0 else np.nan, step, new_style=new_style
                )
            writer.add_scalar("inf", np.inf if step % 2 else -np.inf, step, new_style=new_style)
    assert len(check(only_file(tmp_path)).scalars.step) == 5 * len(steps)


@pytest.mark.parametrize("library", ["torch", "tensorboardX"])
def test_everything_that_writers_write(check, tmp_path, library):
    """Scalars among images, histograms, text, audio, PR curves, meshes and hyperparameters."""
    rng = np.random.default_rng(0)
    writer = {"torch": SummaryWriter, "tensorboardX": tensorboardX.SummaryWriter}[library](str(tmp_path))
    for step in range(80):
        writer.add_scalar("loss", rng.random(), step)
        writer.add_scalar("loss/long", rng.random(), 10**step % 10**15)
        if step % 10 == 0:
            writer.add_image("image", rng.random((3, 8, 8)).astype(np.float32), step)
            writer.add_histogram("weights", rng.normal(size=100), step)
            writer.add_text("note", f"step {step}", step)
            if library == "torch":  # tensorboardX needs a further library for it
                writer.add_audio(
                    "sound", rng.random((1, 100)).astype(np.float32) - 0.5, step, sample_rate=8000
                )
            writer.add_pr_curve("pr", rng.integers(0, 2, 50), rng.random(50), step)
            writer.add_mesh("mesh", rng.random((1, 4, 3)), global_step=step)
    writer.add_hparams({"lr": 0.1, "name": "x"}, {"hparam/accuracy": 0.5})
    writer.close()
    plugins = set()
    for file in tmp_path.rglob("*tfevents*"):
        plugins |= {summary.plugin for summary in check(file.read_bytes()).summaries}
    assert plugins | {"audio"} == {"images", "histograms", "text", "audio", "pr_curves", "mesh", "hparams"}
    assert ("audio" in plugins) == (library == "torch")


def test_tensorboard_writer(check, tmp_path):
    """tensorboard.summary repeats the metadata on every event."""
    writer = Writer(str(tmp_path))
    for step in range(200):
        writer.add_scalar("loss", step / 3, step)
        writer.add_scalar("described", -step, step, description="a *note*")
    writer.close()
    assert len(check(only_file(tmp_path)).scalars.step) == 400


def test_metadata_on_the_first_event_only(check, tmp_path):
    """Later events of a tag may leave the metadata out, and events may hold several values."""
    writer = EventFileWriter(str(tmp_path))
    for step in range(100):
        event = event_pb2.Event(step=step, wall_time=step * 0.25)
        for tag in ("a", "b"):
            value = event.summary.value.add(
                tag=tag, tensor=tensor_util.make_tensor_proto(step / 7, dtype=np.float64)
            )
            if step == 0:
                value.metadata.plugin_data.plugin_name = "scalars"
        writer.add_event(event)
        writer.add_event(
            event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[event.summary.value[0]]))
        )
    writer.close()
    assert len(check(only_file(tmp_path)).scalars.step) == 300


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize(
    "dtype",
    ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool"],
)
def test_number_types(check, record, dtype, content):
    """A 0-d number of any type is a point, whichever way its tensor holds it."""
    event = event_pb2.Event(wall_time=1.0)
    tensor = tensor_util.make_tensor_proto(np.array(1.0), dtype=getattr(dtypes, dtype))
    if content:
        tensor = type(tensor)(dtype=tensor.dtype, tensor_shape=tensor.tensor_shape)
        tensor.tensor_content = np.array(1, dtype).tobytes()
    event.summary.value.add(tag="x", tensor=tensor)
    assert check(record(event.SerializeToString())).scalars.value.tolist() == [1.0]


@pytest.mark.parametrize("field", ["half_val", "tensor_content"])
def test_bfloat16(record, points, field):
    """bfloat16 is the upper half of a float32."""
    event = event_pb2.Event()
    value = event.summary.value.add(tag="x")
    value.tensor.dtype = 14
    if field == "half_val":
        value.tensor.half_val.append(0xC040)
    else:
        value.tensor.tensor_content = b"\x40\xc0"
    batch = Decoder().decode(record(event.SerializeToString()))
    assert batch.scalars.value.tolist() == [-3.0]


def test_what_is_no_number_is_a_summary(check, record):
    """Vectors, strings, values of other plugins, and a value that is nothing but metadata are summaries of their plugin."""
    event = event_pb2.Event(step=3)
    event.summary.value.add(tag="vector", tensor=tensor_util.make_tensor_proto([1.0, 2.0]))
    event.summary.value.add(tag="words", tensor=tensor_util.make_tensor_proto("x"))
    other = event.summary.value.add(tag="other", tensor=tensor_util.make_tensor_proto(1.0))
    other.metadata.plugin_data.plugin_name = "other"
    event.summary.value.add(tag="session").metadata.plugin_data.plugin_name = "hparams"
    event.summary.value.add(node_name="old", simple_value=1.5)
    batch = check(record(event.SerializeToString()))
    assert [summary.plugin for summary in batch.summaries] == ["", "", "other", "hparams"]
    assert batch.scalars.tags == ("old",)


def test_graphs_and_session_starts(check, record):
    """Graphs, run metadata and the start of a session are not lost."""
    graph = event_pb2.Event(graph_def=b"graph")
    metadata = event_pb2.Event(
        step=2, tagged_run_metadata=event_pb2.TaggedRunMetadata(tag="step2", run_metadata=b"m")
    )
    start = event_pb2.Event(
        step=7, wall_time=2.5, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    )
    batch = check(b"".join(record(event.SerializeToString()) for event in (graph, metadata, start)))
    assert batch.session_starts == ((7, 2.5),)


def test_a_verified_record_that_is_no_event(record, points):
    """It is passed over at once and listed: waiting would not mend it."""
    event = event_pb2.Event(
        summary=summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="x", simple_value=1.0)])
    )
    good = record(event.SerializeToString())
    batch = Decoder().decode(good + record(b"\xff\xff") + good, 100)
    assert (batch.records, batch.pending, len(points(batch))) == (3, "", 2)
    assert [(skip.offset, skip.length) for skip in batch.skipped] == [(100 + len(good), 18)]
