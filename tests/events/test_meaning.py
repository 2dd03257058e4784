"""What events mean: the series that TensorBoard's own pipeline, with its migrations, makes of a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2
from tensorboard.util import tensor_util
from torch.utils.tensorboard import SummaryWriter

from runcast.events import Decoder


def as_tensorboard(path):
    """Return {(tag, plugin): [(step, wall time)]} and {tag: [value]} for scalars, from TensorBoard's Python reader, nothing purged."""
    accumulator = EventAccumulator(str(path), size_guidance={"tensors": 0}, purge_orphaned_data=False)
    accumulator.Reload()
    series, values = {}, {}
    for tag in accumulator.Tags()["tensors"]:
        known = accumulator.summary_metadata.get(tag)
        plugin = known.plugin_data.plugin_name if known else ""
        events = accumulator.Tensors(tag)
        series[tag, plugin] = [(event.step, event.wall_time) for event in events]
        if plugin == "scalars":
            values[tag] = [float(tensor_util.make_ndarray(event.tensor_proto)) for event in events]
    return series, values


def as_read(path):
    """Return the same from our reader; metadata that only a tag's first event has counts for the others, too."""
    batch = Decoder().decode(path.read_bytes())
    series, values = {}, {}
    scalars = batch.scalars
    for number, tag in enumerate(scalars.tags):
        of_tag = scalars.tag == number
        series[tag, "scalars"] = list(
            zip(scalars.step[of_tag].tolist(), scalars.wall_time[of_tag].tolist(), strict=True)
        )
        values[tag] = scalars.value[of_tag].tolist()
    plugins = {}
    for summary in batch.summaries:
        plugin = plugins.setdefault(summary.tag, summary.plugin)
        series.setdefault((summary.tag, plugin), []).append((summary.step, summary.wall_time))
    return series, values


def test_files_of_real_jobs(real_file):
    """Every series of strangers' jobs: its plugin, its steps and times, its values."""
    series, values = as_tensorboard(real_file)
    ours, our_values = as_read(real_file)
    assert ours == series
    np.testing.assert_equal(our_values, values)


def test_everything_torch_writes(tmp_path):
    """Old forms and new ones become the series that TensorBoard shows."""
    with SummaryWriter(str(tmp_path)) as writer:
        for step in (0, 1, 5, 3, 3, -1):
            writer.add_scalar("loss", step / 3, step, walltime=1e9 - step)
            writer.add_scalar("new", step / 3, step, new_style=True)
            writer.add_scalar("double", step / 3, step, new_style=True, double_precision=True)
            writer.add_histogram("weights", np.arange(10.0), step)
            writer.add_image("image", torch.zeros(3, 2, 2), step)
            writer.add_audio("sound", torch.zeros(1, 8), step)
            writer.add_text("note", "words", step)
            writer.add_pr_curve("pr", np.array([0, 1]), np.array([0.1, 0.9]), step)
            writer.add_mesh("mesh", torch.zeros(1, 3, 3), global_step=step)
    (file,) = tmp_path.iterdir()
    series, values = as_tensorboard(file)
    ours, our_values = as_read(file)
    assert ours == series
    assert our_values == values
    assert len(series) == 9


def events(record, *made):
    version = event_pb2.Event(wall_time=1.0, file_version="brain.Event:2")
    return b"".join(record(event.SerializeToString()) for event in (version, *made))


def test_metadata_on_the_first_event_only(tmp_path, record):
    """Tensors of later events belong to the plugin that the tag's first event named; 0-d numbers are scalars."""
    made = []
    for step in range(100):
        event = event_pb2.Event(step=step, wall_time=step)
        for tag, plugin, value in (
            ("loss", "scalars", 0.5),
            ("pr", "pr_curves", [[0.5]]),
            ("note", "text", "x"),
        ):
            added = event.summary.value.add(
                tag=tag,
                tensor=tensor_util.make_tensor_proto(value, np.float32)
                if tag != "note"
                else tensor_util.make_tensor_proto(value),
            )
            if step == 0:
                added.metadata.plugin_data.plugin_name = plugin
        made.append(event)
    file = tmp_path / "events.tfevents"
    file.write_bytes(events(record, *made))
    assert as_read(file) == as_tensorboard(file)


@pytest.mark.parametrize("count", [1, 300])
def test_odd_steps_times_and_names(tmp_path, record, count):
    """Missing and repeated steps, times that go back, values that are no number, and nameless tags are kept as they are."""
    made = []
    for number in range(count):
        made += [
            event_pb2.Event(wall_time=5.0),
            event_pb2.Event(step=-1, wall_time=3.0),
            event_pb2.Event(step=-1),
            event_pb2.Event(step=2**40, wall_time=-1.0),
        ]
        for event, value in zip(made[-4:], (np.nan, np.inf, -np.inf, -0.0), strict=True):
            event.summary.value.add(tag="x", simple_value=value)
            event.summary.value.add(tag="", simple_value=number)
            event.summary.value.add(tag="x", simple_value=value)
    file = tmp_path / "events.tfevents"
    file.write_bytes(events(record, *made))
    ours, theirs = as_read(file), as_tensorboard(file)
    assert ours[0] == theirs[0]
    np.testing.assert_equal(ours[1], theirs[1])


def test_nameless_tags_take_the_name_of_their_node(record):
    """As TensorBoard's Python reader names tensors; TensorFlow's first versions wrote only that."""
    event = event_pb2.Event()
    event.summary.value.add(node_name="node", tensor=tensor_util.make_tensor_proto(1.0))
    event.summary.value.add(tag="tag", node_name="node", simple_value=2.0)
    event.summary.value.add(node_name="old", simple_value=3.0)
    assert Decoder().decode(record(event.SerializeToString())).scalars.tags == ("node", "old", "tag")


def test_session_logs(record):
    """Starts are noted with their step, which TensorBoard's Python reader purges by; points are not touched."""
    made = [event_pb2.Event(step=5)]
    for step, status in (
        (0, "START"),
        (7, "STOP"),
        (3, "CHECKPOINT"),
        (4, "START"),
        (1, "STATUS_UNSPECIFIED"),
    ):
        log = event_pb2.SessionLog(status=event_pb2.SessionLog.SessionStatus.Value(status), msg="m")
        made += [event_pb2.Event(step=step, wall_time=step / 2, session_log=log)]
        made += [event_pb2.Event(step=9)]
        made[-1].summary.value.add(tag="x", simple_value=step)
    batch = Decoder().decode(events(record, *made))
    assert batch.session_starts == ((0, 0.0), (4, 2.0))
    assert batch.scalars.value.tolist() == [0.0, 7.0, 3.0, 4.0, 1.0]
