"""Event files that TensorFlow writes: all that TensorBoard's classes decode is read, bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import api_pb2 as hparams_pb2
from tensorboard.plugins.hparams import summary as hparams_v1
from tensorboard.plugins.mesh import summary_v2 as mesh
from tensorboard.plugins.pr_curve import summary as pr_curve
from tensorboard.summary import v1 as summary_v1

from runcast.events import Decoder

sys.path.insert(
    0, str(Path(__file__).parents[1] / "events" / "fuzz")
)  # the fuzzer's scripts import each other by name
import decode as fuzz
import reference

RNG = np.random.default_rng(5)
NUMBER_TYPES = [
    tf.bfloat16,
    tf.bool,
    tf.float16,
    tf.float32,
    tf.float64,
    tf.int8,
    tf.int16,
    tf.int32,
    tf.int64,
    tf.uint8,
    tf.uint16,
    tf.uint32,
    tf.uint64,
]


def checked(folder):
    """Check every event file below the folder; all its points as {tag: [value]}, and the plugins of everything else."""
    points, plugins = {}, set()
    for file in sorted(folder.rglob("*tfevents*")):
        data = file.read_bytes()
        batch = Decoder().decode(data)
        answer, expected = fuzz.answered(batch), reference.read(data, skip=False)
        assert answer == expected, fuzz.differences(answer, expected)
        assert batch.stop == len(data)
        plugins |= {summary.plugin for summary in batch.summaries}
        for tag, value in zip(batch.scalars.tag.tolist(), batch.scalars.value.tolist(), strict=True):
            points.setdefault(batch.scalars.tags[tag], []).append(value)
    return points, plugins


def pixels(*shape):
    return tf.constant(RNG.integers(0, 256, shape), tf.uint8)


V2 = {
    "scalar": (lambda step: tf.summary.scalar("x", 0.1 * step, step), set()),
    "scalar with a description": (lambda step: tf.summary.scalar("x", 1.0, step, description="*d*"), set()),
    "image": (lambda step: tf.summary.image("x", pixels(2, 4, 5, 3), step), {"images"}),
    "histogram": (
        lambda step: tf.summary.histogram("x", tf.random.normal([50]), step, buckets=9),
        {"histograms"},
    ),
    "histogram of nothing": (lambda step: tf.summary.histogram("x", tf.zeros([0]), step), {"histograms"}),
    "text": (lambda step: tf.summary.text("x", [["a", "é"], ["b", ""]], step), {"text"}),
    "audio": (
        lambda step: tf.summary.audio("x", tf.random.uniform([1, 80, 1]), 8000, step, encoding="wav"),
        {"audio"},
    ),
    "mesh": (lambda step: mesh.mesh("x", tf.random.normal([1, 4, 3]), step=step), {"mesh"}),
    "hparams": (lambda _: hparams.hparams({"lr": 0.1, "opt": "a"}), {"hparams"}),
    "hparams config": (
        lambda _: hparams.hparams_config(
            [hparams.HParam("lr", hparams.RealInterval(0.0, 1.0))], [hparams.Metric("loss")]
        ),
        {"hparams"},
    ),
    "tensor": (lambda step: tf.summary.write("x", tf.random.normal([2, 3]), step), {""}),
    "strings": (lambda step: tf.summary.write("x", tf.constant(["a", "b"]), step), {""}),
    "complex": (lambda step: tf.summary.write("x", tf.complex(1.0, 2.0), step), {""}),
    "raw": (
        lambda step: tf.summary.experimental.write_raw_pb(
            summary_v1.scalar_pb("x", 0.5).SerializeToString(), step
        ),
        set(),
    ),
}


@pytest.mark.parametrize("kind", V2)
def test_summaries(tmp_path, kind):
    """Each of `tf.summary`'s functions."""
    write, plugins = V2[kind]
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        for step in (0, 1, 130, 2**40):
            write(step)
    points, found = checked(tmp_path)
    assert found == plugins
    assert (len(points) == 1) == (not plugins)


@pytest.mark.parametrize("dtype", NUMBER_TYPES, ids=lambda dtype: dtype.name)
def test_numbers(tmp_path, dtype):
    """A 0-d tensor of any number type is a point, and keeps its value; `tf.summary.scalar` makes a float32 of it."""
    numbers = [tf.cast(number, dtype) for number in (0, 1, 2.5, 100)]
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        for step, number in enumerate(numbers * 50):
            tf.summary.write("raw", number, step)
            tf.summary.scalar("scalar", number, step)
    points, plugins = checked(tmp_path)
    assert points["raw"] == [float(number) for number in numbers] * 50
    assert points["scalar"] == [float(tf.cast(number, tf.float32)) for number in numbers] * 50
    assert plugins == set()


@pytest.mark.parametrize(
    "value",
    [
        tf.constant("x"),
        tf.complex(1.0, 2.0),
        tf.bitcast(tf.constant(1, tf.uint8), tf.qint8),
        tf.cast(1.0, tf.dtypes.experimental.float8_e5m2),
        tf.cast(1, tf.dtypes.experimental.int4),
    ],
    ids=lambda value: value.dtype.name,
)
def test_other_types(tmp_path, value):
    """What is no number, or of a type that no scalar has, is pointed to."""
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        tf.summary.write("x", value, 1)
    assert checked(tmp_path) == ({}, {""})


def test_graphs_and_traces(tmp_path):
    """A traced function's graph and run metadata, and the profiler's empty event file."""

    @tf.function
    def double(x):
        return x * 2

    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        tf.summary.graph(double.get_concrete_function(tf.constant(1.0)).graph)
        tf.summary.trace_on(graph=True, profiler=False)
        double(tf.constant(2.0))
        tf.summary.trace_export("trace", 3)
    _, plugins = checked(tmp_path)
    assert {"graphs", "graph_run_metadata_graph"} <= plugins or {"graphs", "graph_run_metadata"} <= plugins


@pytest.mark.filterwarnings("default::DeprecationWarning")  # Keras and NumPy 2
def test_the_keras_callback(tmp_path):
    """Scalars of training and validation, weights, and the model's graph."""
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, name="dense")])
    model.compile("sgd", "mse")
    callbacks = [
        keras.callbacks.TensorBoard(str(tmp_path), histogram_freq=1, update_freq=1),
        hparams.KerasCallback(str(tmp_path / "hparams"), {"lr": 0.1}),
    ]
    data = np.zeros((8, 2)), np.zeros((8, 1))
    model.fit(*data, epochs=2, batch_size=2, validation_data=data, verbose=0, callbacks=callbacks)
    points, plugins = checked(tmp_path)
    assert {"epoch_loss", "batch_loss"} <= set(points)
    assert {"histograms", "graph_keras_model", "hparams"} <= plugins


def layout():
    chart = layout_pb2.Chart(title="l", multiline=layout_pb2.MultilineChartContent(tag=["loss.*"]))
    return layout_pb2.Layout(category=[layout_pb2.Category(title="c", chart=[chart])])


V1_SUMMARIES = {
    "scalar": lambda: summary_v1.scalar_pb("x", 0.25, display_name="an x", description="*why*"),
    "text": lambda: summary_v1.text_pb("x", ["a", "b"]),
    "histogram": lambda: summary_v1.histogram_pb("x", RNG.normal(size=30), bucket_count=5),
    "image": lambda: summary_v1.image_pb("x", RNG.integers(0, 256, (2, 4, 4, 3), np.uint8)),
    "audio": lambda: summary_v1.audio_pb("x", RNG.random((1, 60, 1)).astype(np.float32), 8000),
    "PR curve": lambda: pr_curve.pb("x", RNG.integers(0, 2, 9).astype(bool), RNG.random(9), 5),
    "PR curve, raw": lambda: pr_curve.raw_data_pb("x", *np.ones((6, 3)), num_thresholds=3),
    "custom scalar layout": lambda: custom_scalar.pb(layout()),
    "hparams experiment": lambda: hparams_v1.experiment_pb(
        [hparams_pb2.HParamInfo(name="lr")], [hparams_pb2.MetricInfo(name={"tag": "loss"})]
    ),
    "hparams session start": lambda: hparams_v1.session_start_pb({"lr": 0.1, "opt": "a", "on": True}),
    "hparams session end": lambda: hparams_v1.session_end_pb(hparams_pb2.STATUS_SUCCESS),
    "mesh": lambda: mesh.mesh_pb("x", RNG.random((1, 4, 3)), faces=np.array([[[0, 1, 2]]])),
}


@pytest.mark.parametrize("kind", V1_SUMMARIES)
def test_tensorboards_builders(tmp_path, kind):
    """Each protobuf builder of TensorBoard's plugins that needs TensorFlow, through TensorFlow's old writer."""
    with tf.Graph().as_default():
        writer = tf.compat.v1.summary.FileWriter(str(tmp_path))
        for step in range(3):
            writer.add_summary(V1_SUMMARIES[kind]().SerializeToString(), step)
        writer.close()
    points, plugins = checked(tmp_path)
    assert points or plugins - {""}


def test_the_old_writer(tmp_path):
    """TensorFlow 1: old forms of every kind, metadata on a tag's first event only, graphs, run metadata, session logs."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session:
        number = v1.placeholder(tf.float32, [])
        v1.summary.scalar("loss", number)
        v1.summary.histogram("weights", tf.random.normal([20]))
        v1.summary.image("image", tf.cast(tf.random.uniform([2, 4, 4, 3], 0, 255), tf.uint8))
        v1.summary.audio("sound", tf.random.uniform([1, 50], -1, 1), 8000)
        v1.summary.text("note", tf.constant("words"))
        v1.summary.tensor_summary("tensor", tf.zeros([2, 2]))
        v1.summary.tensor_summary("number", tf.cast(number, tf.float64))
        pr_curve.op("pr", tf.constant([True, False]), tf.constant([0.9, 0.2]), 5)
        summary_v1.scalar("described", number, description="d")
        merged = v1.summary.merge_all()
        writer = v1.summary.FileWriter(str(tmp_path), graph)
        metadata = v1.RunMetadata()
        for step in range(150):
            options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE if step == 100 else 0)
            summary = session.run(merged, {number: step / 3}, options=options, run_metadata=metadata)
            writer.add_summary(summary, step)
            if step == 100:
                writer.add_run_metadata(metadata, "step 100", step)
        for status in (v1.SessionLog.START, v1.SessionLog.CHECKPOINT, v1.SessionLog.STOP):
            writer.add_session_log(v1.SessionLog(status=status, checkpoint_path="model"), 150)
        writer.add_meta_graph(v1.train.export_meta_graph(graph=graph))
        writer.close()
    points, plugins = checked(tmp_path)
    assert points["loss"] == [float(np.float32(step / 3)) for step in range(150)]
    assert points["number"] == points["loss"]
    assert points["described/scalar_summary"] == points["loss"]
    assert {
        "histograms",
        "images",
        "audio",
        "text",
        "graphs",
        "graph_tagged_run_metadata",
        "pr_curves",
    } <= plugins


def test_tensorflow_reads_the_same_records(tmp_path):
    """TensorFlow's own record reader sees as many records as we do."""
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        for step in range(500):
            tf.summary.scalar("x", step, step)
    (file,) = tmp_path.iterdir()
    records = [event_pb2.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    assert Decoder().decode(file.read_bytes()).records == len(records) == 501
