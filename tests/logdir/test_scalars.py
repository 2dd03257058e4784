"""Scalars by source and tag: as TensorBoard reads them, as arrays and as tables."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.util import tensor_util
from torch.utils.tensorboard import SummaryWriter

import runcast
from runcast.errors import MissingPackage, SettingsError, TagNotFound


def of_tensorboard(folder):
    """TensorBoard's own reading of one folder, nothing sampled away."""
    accumulator = plugin_event_accumulator.EventAccumulator(
        str(folder), size_guidance={"tensors": 0}, tensor_size_guidance={}, purge_orphaned_data=False
    )
    accumulator.Reload()
    return accumulator


def theirs(accumulator, tag):
    points = accumulator.Tensors(tag)
    values = [tensor_util.make_ndarray(point.tensor_proto).item() for point in points]
    return [point.step for point in points], [point.wall_time for point in points], values


def check_against_tensorboard(folder):
    """Compare every scalar point and all that is said about the tags of a folder; return the logs."""
    accumulator = of_tensorboard(folder)
    logs = runcast.read(folder, pattern=".")
    contents = accumulator.PluginTagToContent("scalars") if accumulator.Tags()["tensors"] else {}
    assert {tag.tag for tag in logs.tags("scalars")} == set(contents)
    for tag in logs.tags("scalars"):
        series = logs.scalars(tag.tag, superseded=True)
        assert (series.step.dtype, series.wall_time.dtype, series.value.dtype) == (
            np.int64,
            np.float64,
            np.float64,
        )
        steps, wall_times, values = theirs(accumulator, tag.tag)
        np.testing.assert_array_equal(series.step, steps)
        np.testing.assert_array_equal(series.wall_time, wall_times)
        np.testing.assert_array_equal(series.value, values)
        metadata = accumulator.SummaryMetadata(tag.tag)
        assert (tag.display_name, tag.description) == (
            metadata.display_name or tag.tag,
            metadata.summary_description,
        )
    return logs


def test_real_jobs(real_folder):
    """What strangers' jobs logged, over many files and restarts, is read point for point."""
    check_against_tensorboard(real_folder)


def test_long_files(tmp_path):
    """A file that is read in many blocks, with several points a record and tags that come late, is read point for point."""
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(60_000):
            writer.add_scalar("a", step / 3, step)
            if step > 50_000:
                writer.add_scalar("late", step, step, new_style=True)
        for step in range(300):
            event = event_pb2.Event(step=step, wall_time=step)
            for tag in ("pair/1", "pair/2", f"own/{step}"):
                event.summary.value.add(tag=tag, simple_value=step)
            writer.file_writer.event_writer.add_event(event)
    logs = check_against_tensorboard(tmp_path)
    assert len(logs.tags("scalars")) == 304


def test_what_is_said_about_a_tag(tmp_path, events):
    """Display name and description are those of the tag's first event, also where one event holds several tags."""
    event = event_pb2.Event()
    for tag in ("b", "a"):
        event.summary.value.add().CopyFrom(scalar_pb(tag, 1.0, f"describes *{tag}*").value[0])
    later = event_pb2.Event(step=1)
    later.summary.value.add().CopyFrom(scalar_pb("a", 2.0, "something else").value[0])
    events("x", event, later)
    a, b = check_against_tensorboard(tmp_path / "x").tags()
    assert (a.description, b.description, a.count) == ("describes *a*", "describes *b*", 2)


def test_series(logged):
    """A series is arrays of equal length, which may be sliced and masked, and a table."""
    logs = runcast.read(logged)
    series = logs.scalars("loss", source="train")
    np.testing.assert_array_equal(series.step, np.arange(20))
    np.testing.assert_array_equal(series.value, np.float32(1 / np.arange(1, 21)))
    assert (len(series), len(series[-5:]), len(series[series.step >= 12])) == (20, 5, 8)
    assert series[2:4].step.tolist() == [2, 3]
    frame = series.to_pandas()
    assert list(frame.columns) == ["step", "wall_time", "value"]
    assert series.to_arrow().to_pandas().equals(frame)
    assert repr(series) == "<Series 'loss' of source 'train': 20 points, steps 0 to 19>"
    with pytest.raises(TypeError, match="sliced"):
        series[3]
    assert (len(series[:0]), "steps" in repr(series[:0])) == (0, False)


def test_the_source_may_be_left_out(logged):
    """Where only one source has a tag, naming the tag is enough; else the message lists them."""
    logs = runcast.read(logged)
    assert logs.scalars("metrics/accuracy").source == "train"
    with pytest.raises(TagNotFound, match="source='test' or 'train'"):
        logs.scalars("loss")


def test_names_that_are_not_there(logged):
    """A tag or source that is not there is an error that says what is near, or what the tag holds instead."""
    logs = runcast.read(logged)
    for ask, said in [
        (lambda: logs.scalars("los", "train"), "did you mean 'loss'"),
        (lambda: logs.scalars("accuracy"), "did you mean 'metrics/accuracy'"),
        (lambda: logs.scalars("loss", "trian"), "no source 'trian'; did you mean 'train'"),
        (lambda: logs.scalars("sample"), "what that tag holds is images"),
        (lambda: logs.images("loss", "train"), "what that tag holds is scalars"),
        (lambda: logs.images("nothing", "test"), "there is none"),
        (lambda: logs.tags(source="x"), "no source 'x'; there are 'test', 'train'"),
    ]:
        with pytest.raises(TagNotFound) as told:
            ask()
        assert said in str(told.value)


def test_restarts(tmp_path, events, point):
    """Points that a restart superseded do not count unless they are asked for, within a file and across files."""
    events("run", *(point("loss", step, step) for step in range(10)), point("other", 9, 1))
    events("run", *(point("loss", step, 100 + step) for step in (5, 6, 6)))
    logs = runcast.read(tmp_path)
    assert logs.scalars("loss").step.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert logs.scalars("loss").value.tolist() == [0, 1, 2, 3, 4, 105, 106]
    assert len(logs.scalars("loss", superseded=True)) == 13
    assert logs.scalars("other").step.tolist() == [9]
    (loss, _) = logs.tags()
    assert (loss.count, loss.first_step, loss.last_step) == (7, 0, 6)
    assert len(logs.to_pandas()) == 8
    assert len(logs.to_arrow(superseded=True)) == 14


def test_numbers_that_are_none(tmp_path, events, point):
    """NaN, infinities, negative and huge steps are what they are; a tag may be empty."""
    values = [np.nan, np.inf, -np.inf, 1.5]
    steps = [-(2**62), -1, 0, 2**62]
    events("run", *(point("", step, value) for step, value in zip(steps, values, strict=True)))
    series = runcast.read(tmp_path).scalars("")
    np.testing.assert_array_equal(series.value, values)
    assert series.step.tolist() == steps


def test_the_long_table(logged):
    """All scalars as one table: a row a point, in pandas and Arrow alike, of the tags and sources that are wanted."""
    logs = runcast.read(logged)
    frame = logs.to_pandas()
    assert list(frame.columns) == ["source", "tag", "step", "wall_time", "value"]
    assert len(frame) == sum(tag.count for tag in logs.tags("scalars"))
    of_loss = frame[(frame.source == "train") & (frame.tag == "loss")]
    np.testing.assert_array_equal(of_loss.value, logs.scalars("loss", "train").value)
    table = logs.to_arrow()
    assert table.schema.field("step").type == pa.int64()
    pd.testing.assert_frame_equal(table.to_pandas(), frame)
    assert set(logs.to_pandas("metrics/*").tag) == {"metrics/accuracy"}
    assert set(logs.to_pandas(["loss", "metrics/accuracy"], source="t?st").source) == {"test"}
    assert len(logs.to_pandas("nothing")) == 0
    assert logs.to_arrow(source="nothing").num_rows == 0


def test_the_wide_table(logged):
    """A column a tag, a row for each source and step, empty where nothing was logged."""
    logs = runcast.read(logged)
    wide = logs.to_pandas(["loss", "metrics/accuracy"], wide=True)
    assert (list(wide.columns), wide.index.names) == (["loss", "metrics/accuracy"], ["source", "step"])
    assert len(wide) == 24
    np.testing.assert_array_equal(wide.loc["train", "loss"], logs.scalars("loss", "train").value)
    assert wide.loc[("test", 5), "loss"] == np.float32(2 / 6)
    assert wide.loc["test", "metrics/accuracy"].isna().all()
    expected = logs.to_pandas(["loss", "metrics/accuracy"]).pivot_table(
        index=["source", "step"], columns="tag", values="value", observed=True
    )
    np.testing.assert_array_equal(wide.to_numpy(), expected.to_numpy())
    table = logs.to_arrow(["loss", "metrics/accuracy"], wide=True)
    assert table.column_names == ["source", "step", "loss", "metrics/accuracy"]
    np.testing.assert_array_equal(table["loss"].to_numpy(), wide["loss"])
    assert len(logs.to_pandas("nothing", wide=True)) == 0
    with pytest.raises(SettingsError, match="superseded"):
        logs.to_pandas(wide=True, superseded=True)


def test_without_pandas_and_pyarrow(logged, monkeypatch):
    """Arrays need neither; a table says what to install."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    logs = runcast.read(logged)
    for ask, extra in [
        (logs.to_pandas, "pandas"),
        (logs.to_arrow, "arrow"),
        (logs.scalars("loss", "test").to_pandas, "pandas"),
        (logs.scalars("loss", "test").to_arrow, "arrow"),
    ]:
        with pytest.raises(MissingPackage, match=rf'pip install "runcast\[{extra}\]"'):
            ask()
