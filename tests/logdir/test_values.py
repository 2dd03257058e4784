"""Images, histograms and all else that is no scalar: read from its file when it is looked at."""

from __future__ import annotations

import numpy as np
import pytest
import tensorboardX
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.util import tensor_util

import runcast
from runcast.errors import BadValue, TagNotFound
from runcast.events.plugins.hparams import SessionEnd
from runcast.events.record import Session


def test_every_kind(logged):
    """Each kind has a method that gives its values by place and by step."""
    logs = runcast.read(logged)
    images = logs.images("sample")
    assert (len(images), images.step.tolist(), images.source) == (2, [0, 10], "train")
    assert (images[1][0].array() == 100).all()
    assert images.at(10)[0].array().shape == (4, 5, 3)
    assert [image.width for (image,) in images] == [5, 5]
    assert logs.histograms("weights")[-1].counts.sum() == 50
    assert list(logs.text("note/text_summary")) == ["step *0*", "step *10*"]
    assert logs.audio("sound")[0][0].array().shape == (10, 1)
    assert len(logs.pr_curves("pr").at(10).precision) == 5
    assert (logs.meshes("ball").at(10).vertices == 10).all()
    assert logs.layout().categories[0].charts[0].tags == ("loss.*",)
    assert logs.tensors("pr")[0].array.shape == (6, 5)
    assert repr(images) == "<Values 'sample' of source 'train': 2 values, steps 0 to 10>"
    assert repr(images[5:]) == "<Values 'sample' of source 'train': 0 values>"


def test_slices_are_lazy(logged):
    """A slice of values is values, with its own steps."""
    images = runcast.read(logged).images("sample")
    last = images[1:]
    assert (len(last), last.step.tolist()) == (1, [10])
    assert (last[0][0].array() == 100).all()
    assert images[::-1].step.tolist() == [10, 0]
    assert images[::-1].at(0)[0] == images[0][0]
    with pytest.raises(IndexError):
        images[2]
    with pytest.raises(TagNotFound, match="no value at step 7; the nearest is 10"):
        images.at(7)


def test_hparams(logged):
    """The config, how the session ended and what the experiment measures."""
    hparams = runcast.read(logged).hparams()
    assert hparams.config == {"lr": 0.1, "name": "x"}
    assert isinstance(hparams.end, SessionEnd)
    assert hparams.end.status == "success"
    assert [metric.tag for metric in hparams.experiment.metrics] == ["hparam/loss"]
    with pytest.raises(TagNotFound, match="source 'test' does not have hyperparameters"):
        runcast.read(logged).hparams("test")


def test_graphs(tmp_path, events):
    """A source's graphs and run metadata are their bytes."""
    tagged = event_pb2.TaggedRunMetadata(tag="step1", run_metadata=b"metadata")
    keras = event_pb2.Event()
    value = keras.summary.value.add(tag="keras", tensor=tensor_util.make_tensor_proto(b"{}"))
    value.metadata.plugin_data.plugin_name = "graph_keras_model"
    events(
        "x",
        event_pb2.Event(graph_def=b"graph"),
        event_pb2.Event(meta_graph_def=b"meta"),
        event_pb2.Event(tagged_run_metadata=tagged),
        keras,
    )
    graph = runcast.read(tmp_path).graph()
    assert (graph.graph_def, graph.meta_graph_def) == (b"graph", b"meta")
    assert (graph.keras, graph.run_metadata) == ({"keras": b"{}"}, {"step1": b"metadata"})
    with pytest.raises(TagNotFound, match="no source has hyperparameters"):
        runcast.read(tmp_path).hparams()


def test_metadata_on_the_first_event_only(tmp_path, events):
    """Later events, also in later files, are read by what the tag's first event said; as in TensorBoard, the first wins."""

    def histogram(step, plugin, name=""):
        event = event_pb2.Event(step=step)
        value = event.summary.value.add(tag="h", tensor=tensor_util.make_tensor_proto([[0.0, 1.0, step]]))
        if plugin:
            value.metadata.plugin_data.plugin_name = plugin
            value.metadata.display_name = name
        return event

    events("x", histogram(1, "histograms", "first"), histogram(2, ""))
    events("x", histogram(3, ""), histogram(4, "histograms", "second"))
    logs = runcast.read(tmp_path)
    (tag,) = logs.tags()
    assert (tag.plugin, tag.display_name, tag.count) == ("histograms", "first", 4)
    assert [histogram.counts.tolist() for histogram in logs.histograms("h")] == [[1], [2], [3], [4]]
    accumulator = plugin_event_accumulator.EventAccumulator(str(tmp_path / "x"))
    accumulator.Reload()
    assert accumulator.SummaryMetadata("h").display_name == logs.metadata("h").display_name


def test_several_values_in_one_event(tmp_path, events):
    """Values of one event are told apart, also where two have the same tag."""
    event = event_pb2.Event(step=1)
    for tag, content in [("a", 1), ("s", 0), ("b", 2), ("a", 3)]:
        if tag == "s":
            event.summary.value.add(tag=tag, simple_value=1)
        else:
            event.summary.value.add(tag=tag, tensor=tensor_util.make_tensor_proto([content, content]))
    events("x", event)
    logs = runcast.read(tmp_path)
    assert logs.tensors("b")[0].array.tolist() == [2, 2]
    assert [one.array.tolist() for one in logs.tensors("a", superseded=True)] == [[1, 1], [3, 3]]
    assert [one.array.tolist() for one in logs.tensors("a")] == [[3, 3]]
    assert logs.tensors("a", superseded=True).at(1).array.tolist() == [3, 3]


def test_scalars_and_images_under_one_tag(tmp_path):
    """Two kinds under one tag are two series; nothing is lost."""
    with tensorboardX.SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("x", 1.5, 0)
        writer.add_image("x", np.zeros((3, 2, 2), np.uint8), 0)
    logs = runcast.read(tmp_path)
    assert {tag.plugin for tag in logs.tags()} == {"scalars", "images"}
    assert (logs.scalars("x").value.tolist(), logs.images("x")[0][0].width) == ([1.5], 2)


def test_a_file_that_changed(tmp_path, events):
    """A value whose bytes are no longer there is an error when it is asked for, not wrong data."""
    event = event_pb2.Event(step=1)
    event.summary.value.add(tag="t", tensor=tensor_util.make_tensor_proto([1.0, 2.0]))
    file = events("x", event)
    values = runcast.read(tmp_path).tensors("t")
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(BadValue, match="changed"):
        values[0]


def test_a_value_that_is_not_what_it_claims(tmp_path, events):
    """It does not keep the others from being read."""
    good = event_pb2.Event(step=1)
    bad = event_pb2.Event(step=2)
    for event, content in ((good, "fine"), (bad, [1.0, 2.0])):
        value = event.summary.value.add(tag="t", tensor=tensor_util.make_tensor_proto(content))
        value.metadata.plugin_data.plugin_name = "text"
    events("x", good, bad)
    values = runcast.read(tmp_path).text("t")
    assert values[0] == "fine"
    with pytest.raises(BadValue, match="tag 't', step 2"):
        values[1]


def test_records(tmp_path, events, point):
    """Every event as it stands: version, writer, sessions and messages, with what each logged."""
    start = event_pb2.Event(step=3, session_log=event_pb2.SessionLog(status="START"))
    several = event_pb2.Event(summary=summary_pb2.Summary(value=[{"tag": "a"}, {"tag": "b"}]))
    events("x", start, point("loss", 4, 1.5), several)
    first, session, scalar, two = runcast.read(tmp_path).records("x")
    assert first.file_version == "brain.Event:2"
    assert (session.session, session.step) == (Session("start"), 3)
    assert (scalar.values[0].tag, scalar.values[0].point) == ("loss", 1.5)
    assert [value.tag for value in two.summaries] == ["a", "b"]


def test_all_records_of_real_jobs(real_folder):
    """As many events as TensorBoard counts, however the files are cut into blocks."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    expected = sum(len(list(RawEventFileLoader(str(file)).Load())) for file in real_folder.glob("*tfevents*"))
    assert sum(1 for _ in runcast.read(real_folder).records(".")) == expected
