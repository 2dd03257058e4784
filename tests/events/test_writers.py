"""Every kind of event that writers write, one file each: all that TensorBoard's classes decode is read, bit for bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorboardX
import torch
from matplotlib.figure import Figure
from tensorboard.compat.proto import config_pb2, event_pb2, graph_pb2, meta_graph_pb2, summary_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.graph import keras_util
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import summary_v2 as hparams_v2
from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util
from torch.utils.tensorboard import SummaryWriter

RNG = np.random.default_rng(3)
CHART = {"losses": {"loss": ["Multiline", ["loss/.*"]], "margin": ["Margin", ["a", "b", "c"]]}}
COUNTS = [[5, 3, 1], [4, 2, 0], [0, 2, 4], [0, 1, 2], [0.5, 0.6, 1.0], [1.0, 0.75, 0.3]]


def figure():
    drawn = Figure(figsize=(1, 1))
    drawn.subplots().plot([1, 3, 2])
    return drawn


def pixels(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


KINDS = {
    "scalar": (lambda w, step: w.add_scalar("loss", 0.1 * step, step, walltime=1e9 + step), {""}),
    "scalar of torch": (lambda w, step: w.add_scalar("loss", torch.tensor(0.1), step), {""}),
    "scalars": (lambda w, step: w.add_scalars("loss", {"train": 0.1, "test": float("nan")}, step), {""}),
    "histogram": (lambda w, step: w.add_histogram("weights", RNG.normal(size=100), step), {"histograms"}),
    "histogram, automatic bins": (
        lambda w, step: w.add_histogram("weights", RNG.normal(size=100), step, bins="auto"),
        {"histograms"},
    ),
    "histogram, fewer bins": (
        lambda w, step: w.add_histogram("weights", RNG.normal(size=100), step, max_bins=5),
        {"histograms"},
    ),
    "histogram, raw": (
        lambda w, step: w.add_histogram_raw("raw", 0.0, 2.0, 3, 4.0, 6.0, [0.5, 1.0, 2.0], [0, 1, 2], step),
        {"histograms"},
    ),
    "image": (lambda w, step: w.add_image("image", pixels(3, 5, 4), step), {"images"}),
    "image, grey": (lambda w, step: w.add_image("image", pixels(5, 4), step, dataformats="HW"), {"images"}),
    "images": (lambda w, step: w.add_images("image", pixels(2, 3, 5, 4), step), {"images"}),
    "image with boxes": (
        lambda w, step: w.add_image_with_boxes("image", pixels(3, 20, 20), np.array([[2, 2, 9, 9]]), step),
        {"images"},
    ),
    "figure": (lambda w, step: w.add_figure("figure", figure(), step), {"images"}),
    "text": (lambda w, step: w.add_text("note", f"**step** {step}, é", step), {"text"}),
    "PR curve": (
        lambda w, step: w.add_pr_curve("pr", RNG.integers(0, 2, 50), RNG.random(50), step),
        {"pr_curves"},
    ),
    "PR curve, raw": (
        lambda w, step: w.add_pr_curve_raw("pr", *map(np.array, COUNTS), step, num_thresholds=3),
        {"pr_curves"},
    ),
    "custom scalars": (lambda w, step: w.add_custom_scalars(CHART), {"custom_scalars"}),
    "custom scalars, multiline": (
        lambda w, step: w.add_custom_scalars_multilinechart(["a", "b"], title="both"),
        {"custom_scalars"},
    ),
    "custom scalars, margin": (
        lambda w, step: w.add_custom_scalars_marginchart(["a", "low", "high"], title="one"),
        {"custom_scalars"},
    ),
    "mesh": (
        lambda w, step: w.add_mesh(
            "mesh",
            torch.rand(1, 4, 3),
            colors=torch.randint(0, 255, (1, 4, 3)),
            faces=torch.tensor([[[0, 1, 2]]]),
            config_dict={"camera": {"cls": "PerspectiveCamera"}},
            global_step=step,
        ),
        {"mesh"},
    ),
    "hparams": (
        lambda w, step: w.add_hparams({"lr": 0.1, "layers": 3, "name": "x", "bias": True}, {"accuracy": 0.5}),
        {"", "hparams"},
    ),
    "embedding": (
        lambda w, step: w.add_embedding(torch.rand(4, 3), metadata=list("abcd"), tag=str(step)),
        set(),
    ),
}
ONLY_TORCH = {
    "scalar, double": (
        lambda w, step: w.add_scalar("loss", 0.1, step, double_precision=True, new_style=True),
        {"scalars"},
    ),
    "scalar, double, old style": (lambda w, step: w.add_scalar("x", 0.1, step, double_precision=True), {""}),
    "scalar, new style": (lambda w, step: w.add_scalar("loss", 0.1, step, new_style=True), {"scalars"}),
    "tensor": (lambda w, step: w.add_tensor("tensor", torch.rand(2, 3), step), {"tensor"}),
    "tensor, bfloat16": (lambda w, step: w.add_tensor("t", torch.rand(2).bfloat16(), step), {"tensor"}),
    "audio": (
        lambda w, step: w.add_audio("sound", torch.rand(1, 100) - 0.5, step, sample_rate=8000),
        {"audio"},
    ),
    "hparams with domains": (
        lambda w, step: w.add_hparams({"lr": 0.1}, {"m": 1.0}, {"lr": [0.1, 0.2]}, run_name="one"),
        {"", "hparams"},
    ),
    "graph": (lambda w, step: w.add_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2)), {"graphs"}),
}
ONLY_TENSORBOARDX = {
    "scalar with a description": (
        lambda w, step: w.add_scalar("x", 0.1, step, display_name="an x", summary_description="*why*"),
        {""},
    ),
}
WRITTEN = [
    *(("torch", kind) for kind in KINDS | ONLY_TORCH),
    *(("tensorboardX", kind) for kind in KINDS | ONLY_TENSORBOARDX),
]


def checked(check, folder):
    """Check every file below the folder; the plugins that their values name."""
    plugins = set()
    for file in folder.rglob("*tfevents*"):
        data = file.read_bytes()
        check(data)
        for event in events_of(data):
            plugins |= plugins_of(event)
    return plugins


def events_of(data):
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 8], "little")
        yield event_pb2.Event.FromString(data[position + 12 : position + 12 + size])
        position += 16 + size


def plugins_of(event):
    old = {"image": "images", "histo": "histograms", "audio": "audio"}
    named = {
        old.get(value.WhichOneof("value"), value.metadata.plugin_data.plugin_name)
        for value in event.summary.value
    }
    return named | ({"graphs"} if event.WhichOneof("what") == "graph_def" else set())


@pytest.mark.parametrize(("library", "kind"), WRITTEN, ids=lambda value: value)
def test_what_writers_add(check, tmp_path, library, kind):
    """Each of a SummaryWriter's `add_` methods."""
    write, plugins = {**KINDS, **ONLY_TORCH, **ONLY_TENSORBOARDX}[kind]
    writer = {"torch": SummaryWriter, "tensorboardX": tensorboardX.SummaryWriter}[library](str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in (0, 1, 130, 2**40):
            write(writer, step)
    writer.close()
    assert checked(check, tmp_path) == plugins


def metadata_pb(tag, plugin, content=b""):
    summary = summary_pb2.Summary()
    value = summary.value.add(tag=tag)
    value.metadata.plugin_data.plugin_name = plugin
    value.metadata.plugin_data.content = content
    return summary


def keras_graph_pb():
    layers = [
        {
            "class_name": "Dense",
            "config": {"name": "dense", "dtype": "float32"},
            "inbound_nodes": [],
            "name": "dense",
        },
    ]
    config = {"class_name": "Functional", "config": {"name": "m", "layers": layers, "input_layers": []}}
    graph = keras_util.keras_model_to_graph_def(config)
    summary = metadata_pb("keras", "graph_keras_model", b"1")
    summary.value[0].tensor.CopyFrom(tensor_util.make_tensor_proto(graph.SerializeToString()))
    return summary


LAYOUT = layout_pb2.Layout(
    category=[
        layout_pb2.Category(
            title="losses",
            chart=[
                layout_pb2.Chart(title="loss", multiline=layout_pb2.MultilineChartContent(tag=["loss.*"]))
            ],
        )
    ]
)
HPARAMS = [
    hparams_v2.HParam("lr", hparams_v2.RealInterval(0.0, 1.0)),
    hparams_v2.HParam("opt", hparams_v2.Discrete(["a"])),
]
EVENTS = {
    "file version": event_pb2.Event(file_version="brain.Event:2"),
    "source": event_pb2.Event(
        file_version="brain.Event:2",
        source_metadata=event_pb2.SourceMetadata(writer="tensorboard.summary.writer"),
    ),
    "graph": event_pb2.Event(graph_def=graph_pb2.GraphDef(node=[{"name": "x"}]).SerializeToString()),
    "meta graph": event_pb2.Event(
        meta_graph_def=meta_graph_pb2.MetaGraphDef().SerializeToString() or b"\n\0"
    ),
    "run metadata": event_pb2.Event(
        step=3,
        tagged_run_metadata=event_pb2.TaggedRunMetadata(
            tag="step 3", run_metadata=config_pb2.RunMetadata().SerializeToString() or b"\n\0"
        ),
    ),
    "log message": event_pb2.Event(log_message=event_pb2.LogMessage(level=30, message="look out")),
    **{
        f"session log {event_pb2.SessionLog.SessionStatus.Name(status)}": event_pb2.Event(
            step=7, session_log=event_pb2.SessionLog(status=status, checkpoint_path="model", msg="m")
        )
        for status in event_pb2.SessionLog.SessionStatus.values()
    },
    "nothing": event_pb2.Event(step=1, wall_time=2.0),
}
SUMMARIES = {
    "scalar": lambda: scalar_pb("loss", 0.25, description="d"),
    "text": lambda: text_pb("note", "words"),
    "texts": lambda: text_pb("note", [["a", "b"], ["c", "d"]]),
    "histogram": lambda: histogram_pb("h", RNG.normal(size=40), buckets=7),
    "histogram of nothing": lambda: histogram_pb("h", []),
    "hparams": lambda: hparams_v2.hparams_pb({"lr": 0.1, "opt": "a", "on": True}, trial_id="t"),
    "hparams config": lambda: hparams_v2.hparams_config_pb(HPARAMS, [hparams_v2.Metric("loss")]),
    "metadata alone": lambda: metadata_pb("custom", "my_plugin", b"\x00\xff"),
    "keras graph": keras_graph_pb,
    "custom scalar layout": lambda: metadata_and_string("custom_scalars__config__", "custom_scalars", LAYOUT),
    "mesh metadata": lambda: metadata_and_string("mesh", "mesh", MeshPluginData(version=0, name="m")),
}


def metadata_and_string(tag, plugin, message):
    summary = metadata_pb(tag, plugin, message.SerializeToString())
    summary.value[0].tensor.CopyFrom(tensor_util.make_tensor_proto(message.SerializeToString()))
    return summary


@pytest.mark.parametrize("kind", [*EVENTS, *SUMMARIES])
def test_what_tensorboard_builds(check, tmp_path, kind):
    """Each event and each summary that TensorBoard's own code builds, through its own writer."""
    writer = EventFileWriter(str(tmp_path))
    for step in (0, 5):
        event = EVENTS.get(kind) or event_pb2.Event(step=step, wall_time=1.5, summary=SUMMARIES[kind]())
        writer.add_event(event)
    writer.close()
    checked(check, tmp_path)
