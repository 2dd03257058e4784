"""Every kind of value, as real libraries log it: equal to what TensorBoard makes of the same files."""

from __future__ import annotations

import io
import json
import wave
from base64 import b64decode
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
import tensorboardX
import torch
from IPython.core.formatters import DisplayFormatter
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto import event_pb2, graph_pb2, summary_pb2
from tensorboard.plugins.audio import metadata as audio_metadata
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.graph import metadata as graph_metadata
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.mesh import metadata as mesh_metadata
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.util import tensor_util
from torch.utils.tensorboard import SummaryWriter

from runcast.errors import BadValue
from runcast.events import Decoder, plugins
from runcast.events.plugins import audio, custom_scalars, graphs, histograms, images, mesh, pr_curves, tensors
from runcast.events.record import Metadata, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runcast.events.record import Logged

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 7, 3), np.uint8)
LIBRARIES = pytest.mark.parametrize("library", ["torch", "tensorboardX"])


def writer_of(library: str, folder: Path):
    return {"torch": SummaryWriter, "tensorboardX": tensorboardX.SummaryWriter}[library](str(folder))


def only_file(folder: Path) -> Path:
    (file,) = folder.rglob("*tfevents*")
    return file


def logged_in(file: Path) -> Iterator[Logged]:
    """The values of a file that are no scalars, each out of its own record's bytes."""
    data = file.read_bytes()
    seen = set()
    for summary in Decoder().decode(data).summaries:
        if summary.offset not in seen:
            seen.add(summary.offset)
            yield from read_record(data[summary.offset : summary.offset + summary.length]).summaries


def by_tensorboard(file: Path) -> list[tuple[str, np.ndarray]]:
    """(tag, tensor) of the same values, after TensorBoard's migration of old forms."""
    return [
        (value.tag, tensor_util.make_ndarray(value.tensor))
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name != "scalars"
    ]


def only_value(event: event_pb2.Event, record) -> Logged:
    (value,) = read_record(record(event.SerializeToString())).summaries
    return value


def of_tensor(content, plugin: str, metadata=None, tag="x") -> event_pb2.Event:
    event = event_pb2.Event(step=3, wall_time=1.5)
    value = event.summary.value.add(tag=tag, tensor=tensor_util.make_tensor_proto(content))
    value.metadata.plugin_data.plugin_name = plugin
    if metadata is not None:
        value.metadata.CopyFrom(metadata)
    return event


@LIBRARIES
def test_images(tmp_path, library):
    """An image comes back pixel for pixel, as array and as Pillow's, with its size."""
    with writer_of(library, tmp_path) as writer:
        writer.add_image("colour", PIXELS, 1, dataformats="HWC")
        writer.add_image("grey", PIXELS[:, :, 0], 2, dataformats="HW")
    colour, grey = map(plugins.read, logged_in(only_file(tmp_path)))
    assert (colour[0].width, colour[0].height, colour[0].format) == (7, 5, "png")
    np.testing.assert_array_equal(colour[0].array(), PIXELS)
    assert colour[0].array().dtype == np.uint8
    assert colour[0].pil().size == (7, 5)
    np.testing.assert_array_equal(grey[0].array()[:, :, 0], PIXELS[:, :, 0])
    for ours, (_, theirs) in zip((colour, grey), by_tensorboard(only_file(tmp_path)), strict=True):
        assert [b"7", b"5", ours[0].encoded] == theirs.tolist()


def encoded(image: PIL.Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_batch_of_images_of_every_kind(record):
    """A step of the new form may hold several images; JPEG, GIF, palettes, alpha, one bit and sixteen bits are pixels too."""
    rgb = PIL.Image.fromarray(PIXELS)
    grey16 = PIL.Image.fromarray((PIXELS[:, :, 0].astype(np.uint16) << 8) + 77)
    batch = [
        encoded(rgb, "jpeg"),
        encoded(rgb.convert("RGBA"), "png"),
        encoded(rgb.convert("LA"), "png"),
        encoded(rgb.convert("P"), "gif"),
        encoded(rgb.convert("1"), "png"),
        encoded(grey16, "png"),
    ]
    event = of_tensor([b"7", b"5", *batch], "images", image_metadata.create_summary_metadata("", ""))
    read = plugins.read(only_value(event, record))
    assert [image.encoded for image in read] == batch
    assert [image.format for image in read] == ["jpeg", "png", "png", "gif", "png", "png"]
    assert [image.array().shape for image in read] == [(5, 7, c) for c in (3, 4, 2, 3, 1, 1)]
    assert {image.array().dtype for image in read} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(read[5].array()[:, :, 0], PIXELS[:, :, 0])
    np.testing.assert_array_equal(read[1].array()[:, :, :3], PIXELS)


def test_an_animation(record):
    """All frames of a GIF are there, and the first stands for it as a still."""
    frames = [PIL.Image.new("L", (4, 3), shade) for shade in (0, 120, 240)]
    gif = encoded(frames[0], "gif", save_all=True, append_images=frames[1:])
    event = event_pb2.Event()
    event.summary.value.add(tag="video").image.encoded_image_string = gif
    (image,) = plugins.read(only_value(event, record))
    assert image.frames().shape[:3] == (3, 3, 4)
    np.testing.assert_array_equal(image.frames()[:, 0, 0, 0], [0, 120, 240])
    np.testing.assert_array_equal(image.array(), image.frames()[0])
    bundle = DisplayFormatter().format(image)[0]
    assert b64decode(bundle["image/gif"]) == gif


def test_damaged_images(record):
    """What is no image is an error in one line when its pixels are asked for, not before."""
    for bytes_of in (b"", b"GIF89a", b"\x89PNG\r\n", encoded(PIL.Image.fromarray(PIXELS), "png")[:60]):
        event = event_pb2.Event()
        event.summary.value.add(tag="x").image.encoded_image_string = bytes_of
        (image,) = plugins.read(only_value(event, record))
        with pytest.raises(BadValue, match="no image"):
            image.array()
    for content in ([b"7"], [b"7", b"five", b"x"]):
        with pytest.raises(BadValue, match="tag 'x', step 3"):
            plugins.read(only_value(of_tensor(content, "images"), record))


@LIBRARIES
def test_histograms(tmp_path, library):
    """Old histograms have the buckets that TensorBoard shows, in double precision."""
    with writer_of(library, tmp_path) as writer:
        writer.add_histogram("normal", RNG.normal(size=1000), 1)
        writer.add_histogram("few", np.array([0.0, 1e-7, 3e5]), 2)
        writer.add_histogram("one", np.full(10, 2.5), 3)
    file = only_file(tmp_path)
    for logged, (tag, theirs) in zip(logged_in(file), by_tensorboard(file), strict=True):
        ours = plugins.read(logged)
        assert (logged.tag, ours.lefts.dtype, ours.counts.dtype) == (tag, np.float64, np.float64)
        np.testing.assert_array_equal(np.float32([ours.lefts, ours.rights, ours.counts]).T, theirs)
        np.testing.assert_array_equal(ours.edges[:-1], ours.lefts)
        np.testing.assert_array_equal(ours.edges[1:], ours.rights)
        if tag == "normal":
            assert ours.counts.sum() == 1000
            assert ours.sum_squares > 0


def test_histograms_of_the_new_form(record):
    """A (buckets, 3) tensor is the same type; no bucket at all is no error."""
    rows = np.array([[0.0, 1.0, 2.0], [1.0, 4.0, 3.0]])
    metadata = histogram_metadata.create_summary_metadata("", "")
    histogram = plugins.read(only_value(of_tensor(rows, "histograms", metadata), record))
    assert isinstance(histogram, histograms.Histogram)
    assert (histogram.edges.tolist(), histogram.counts.tolist()) == ([0, 1, 4], [2, 3])
    nothing = plugins.read(only_value(of_tensor(np.zeros((0, 3)), "histograms", metadata), record))
    assert (len(nothing.edges), len(nothing.counts)) == (0, 0)
    with pytest.raises(BadValue, match=r"\(buckets, 3\)"):
        plugins.read(only_value(of_tensor(np.zeros((2, 2)), "histograms"), record))


@pytest.mark.parametrize("counts", [[], [0, 0, 0], [0, 2, 0, 3, 0], [1], [0, 5], [-1, 2, np.nan]])
def test_empty_end_buckets(tmp_path, record, counts):
    """Empty buckets at the ends go, as TensorBoard's migration has it, and none may be left."""
    event = event_pb2.Event()
    limits = [10.0 * (at + 1) for at in range(len(counts))]
    event.summary.value.add(tag="h").histo.CopyFrom(
        summary_pb2.HistogramProto(min=-3, max=44, bucket_limit=limits, bucket=counts)
    )
    file = tmp_path / "events.out.tfevents.1.x"
    file.write_bytes(record(event.SerializeToString()))
    ours = plugins.read(only_value(event, record))
    ((_, theirs),) = by_tensorboard(file)
    np.testing.assert_array_equal(np.float32([ours.lefts, ours.rights, ours.counts]).T, theirs)


def test_counts_without_limits(record):
    """A histogram whose counts and limits do not match is an error."""
    event = event_pb2.Event()
    event.summary.value.add(tag="h").histo.bucket.extend([1, 2])
    with pytest.raises(BadValue, match="2 counts but 0 limits"):
        plugins.read(only_value(event, record))


@LIBRARIES
def test_text(tmp_path, library):
    """Text comes back as it was logged, Markdown and all."""
    with writer_of(library, tmp_path) as writer:
        writer.add_text("note", "a *note*, größer <b>", 1)
    (value,) = map(plugins.read, logged_in(only_file(tmp_path)))
    assert value == "a *note*, größer <b>"


def test_tables_of_text(record):
    """A table of strings is an array of them; a 0-d string is a string; what is no UTF-8 is marked."""
    (pb,) = text_pb("x", np.array([["a", "b"], ["c", "d"]])).value
    event = event_pb2.Event(summary=summary_pb2.Summary(value=[pb]))
    assert plugins.read(only_value(event, record)).tolist() == [["a", "b"], ["c", "d"]]
    assert plugins.read(only_value(of_tensor("x", "text"), record)) == "x"
    assert plugins.read(only_value(of_tensor(b"\xffx", "text"), record)) == "\ufffdx"
    with pytest.raises(BadValue, match="text is strings"):
        plugins.read(only_value(of_tensor([1.0, 2.0], "text"), record))


def test_audio_of_torch(tmp_path):
    """A clip has its sample rate, type and samples."""
    sound = np.linspace(-0.9, 0.9, 100, dtype=np.float32)
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_audio("sound", sound, 1, sample_rate=8000)
    ((clip,),) = map(plugins.read, logged_in(only_file(tmp_path)))
    assert (clip.sample_rate, clip.content_type) == (8000.0, "audio/wav")
    np.testing.assert_array_equal(clip.array(), (sound * 32767).astype(np.int16)[:, np.newaxis])
    assert [[clip.encoded, b""]] == by_tensorboard_raw(only_file(tmp_path))
    assert clip._repr_html_().startswith("<audio")


def by_tensorboard_raw(file: Path) -> list[list[bytes]]:
    """The audio rows before `dataclass_compat` drops the labels."""
    ((_, clips),) = by_tensorboard(file)
    return [[clip, b""] for clip in clips]


def wave_file(width: int, channels: int, samples: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(16000)
        file.writeframes(samples)
    return out.getvalue()


def test_audio_of_the_new_form(record):
    """Clips with labels, or without, of every sample width, mono or stereo."""
    clips = [
        wave_file(1, 1, bytes([0, 128, 255])),
        wave_file(2, 2, np.array([1, -2, 3, -4], "<i2").tobytes()),
        wave_file(3, 1, b"\x01\x00\x00\xff\xff\xff"),
        wave_file(4, 1, np.array([2**30], "<i4").tobytes()),
    ]
    metadata = audio_metadata.create_summary_metadata("", "", encoding=11)
    event = of_tensor([[clip, b"label"] for clip in clips], "audio", metadata)
    read = plugins.read(only_value(event, record))
    assert {(clip.sample_rate, clip.label) for clip in read} == {(16000.0, "label")}
    assert [clip.array().tolist() for clip in read] == [
        [[0], [128], [255]],
        [[1, -2], [3, -4]],
        [[256], [-256]],
        [[2**30]],
    ]
    unlabelled = plugins.read(only_value(of_tensor(clips, "audio", metadata), record))
    assert [clip.encoded for clip in unlabelled] == clips


def test_float_audio():
    """A WAV file of floats, also as an extensible format, is floats."""
    samples = np.array([0.5, -0.25], "<f4").tobytes()
    plain = wave_file(4, 1, samples)
    as_float = plain.replace(b"fmt \x10\x00\x00\x00\x01\x00", b"fmt \x10\x00\x00\x00\x03\x00")
    assert audio.Audio(as_float, 16000).array().tolist() == [[0.5], [-0.25]]


def test_damaged_audio(record):
    """No WAV, a cut header, a foreign encoding: an error when the samples are asked for; a cut end gives whole frames."""
    whole = wave_file(2, 2, bytes(40))
    for bytes_of in (
        b"",
        b"RIFF",
        whole[:30],
        b"ID3...",
        whole.replace(b"\x01\x00\x02\x00", b"\x06\x00\x02\x00", 1),
    ):
        with pytest.raises(BadValue):
            audio.Audio(bytes_of, 1).array()
    assert audio.Audio(whole[:-7], 1).array().shape == (8, 2)
    (other,) = plugins.read(only_value(of_tensor([b"ID3"], "audio"), record))
    assert (other.content_type, other.sample_rate) == ("", 0.0)


@LIBRARIES
def test_pr_curves(tmp_path, library):
    """All six rows, over even thresholds."""
    with writer_of(library, tmp_path) as writer:
        writer.add_pr_curve("pr", RNG.integers(0, 2, 100), RNG.random(100), 1, num_thresholds=11)
    (curve,) = map(plugins.read, logged_in(only_file(tmp_path)))
    ((_, theirs),) = by_tensorboard(only_file(tmp_path))
    assert isinstance(curve, pr_curves.PrCurve)
    rows = [
        curve.true_positives,
        curve.false_positives,
        curve.true_negatives,
        curve.false_negatives,
        curve.precision,
        curve.recall,
    ]
    np.testing.assert_array_equal(rows, theirs)
    np.testing.assert_array_equal(curve.thresholds, np.linspace(0, 1, 11))


@LIBRARIES
def test_meshes(tmp_path, library):
    """The parts of a mesh say which they are, and make up the whole."""
    vertices, faces = RNG.random((1, 4, 3)).astype(np.float32), np.array([[[0, 1, 2], [1, 2, 3]]])
    colors = RNG.integers(0, 256, (1, 4, 3))
    config = {"camera": {"cls": "PerspectiveCamera", "fov": 75}}
    with writer_of(library, tmp_path) as writer:
        writer.add_mesh("ball", vertices, colors, faces, config, global_step=1)
    parts = list(map(plugins.read, logged_in(only_file(tmp_path))))
    assert {part.part for part in parts} == {"vertices", "faces", "colors"}
    whole = mesh.assembled(parts)
    np.testing.assert_array_equal(whole.vertices, vertices)
    np.testing.assert_array_equal(whole.faces, faces)
    np.testing.assert_array_equal(whole.colors, colors)
    assert whole.config == config
    for logged in logged_in(only_file(tmp_path)):
        theirs = mesh_metadata.parse_plugin_metadata(logged.metadata.content)
        assert mesh.read_metadata(logged.metadata.content)[0] == theirs.name == "ball"
        assert json.loads(theirs.json_config) == config
    with pytest.raises(BadValue, match="no vertices"):
        mesh.assembled([part for part in parts if part.part == "faces"])


@LIBRARIES
def test_custom_scalar_layouts(tmp_path, library):
    """A layout has its categories and charts."""
    with writer_of(library, tmp_path) as writer:
        writer.add_custom_scalars(
            {
                "Losses": {
                    "both": ["Multiline", ["loss/train", "loss/.*"]],
                    "band": ["Margin", ["a", "b", "c"]],
                }
            }
        )
    (layout,) = map(plugins.read, logged_in(only_file(tmp_path)))
    both = custom_scalars.Chart("both", ("loss/train", "loss/.*"))
    band = custom_scalars.Chart("band", (), (custom_scalars.Margin("a", "b", "c"),))
    assert layout == custom_scalars.Layout((custom_scalars.Category("Losses", (both, band)),))


def test_a_folded_category(record):
    """A category may be folded at first; what is no layout is an error."""
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title="t", closed=True)])
    event = of_tensor(layout.SerializeToString(), "custom_scalars")
    (category,) = plugins.read(only_value(event, record)).categories
    assert category.closed
    with pytest.raises(BadValue, match="no Layout"):
        plugins.read(only_value(of_tensor(b"\xff", "custom_scalars"), record))


def test_graphs(record):
    """Graphs, meta graphs, Keras models and run metadata are their bytes, whichever way they were logged."""
    tagged = event_pb2.TaggedRunMetadata(tag="step1", run_metadata=b"metadata")
    events = [
        (event_pb2.Event(graph_def=b"graph"), graphs.Blob("graph_def", b"graph")),
        (event_pb2.Event(meta_graph_def=b"meta"), graphs.Blob("meta_graph_def", b"meta")),
        (event_pb2.Event(tagged_run_metadata=tagged), graphs.Blob("run_metadata", b"metadata")),
        (of_tensor(b"{}", graph_metadata.PLUGIN_NAME_KERAS_MODEL), graphs.Blob("keras", b"{}")),
        (of_tensor(b"m", graph_metadata.PLUGIN_NAME_RUN_METADATA), graphs.Blob("run_metadata", b"m")),
        (
            of_tensor(b"m", graph_metadata.PLUGIN_NAME_RUN_METADATA_WITH_GRAPH),
            graphs.Blob("run_metadata_graph", b"m"),
        ),
        (of_tensor([b"g"], "graphs"), graphs.Blob("graph_def", b"g")),
    ]
    for event, expected in events:
        assert plugins.read(only_value(event, record)) == expected


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_a_graph_of_torch(tmp_path):
    """PyTorch's graph is there with what was measured."""
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    blobs = list(map(plugins.read, logged_in(only_file(tmp_path))))
    assert [blob.kind for blob in blobs] == ["graph_def", "run_metadata"]
    assert graph_pb2.GraphDef.FromString(blobs[0].data).node


def test_other_plugins(record):
    """A plugin that nobody here knows keeps its tensor and its metadata's bytes."""
    event = of_tensor(np.arange(6).reshape(2, 3), "mine")
    event.summary.value[0].metadata.plugin_data.content = b"content"
    tensor = plugins.read(only_value(event, record))
    assert isinstance(tensor, tensors.Tensor)
    assert (tensor.plugin, tensor.content, tensor.array.tolist()) == (
        "mine",
        b"content",
        [[0, 1, 2], [3, 4, 5]],
    )


def test_metadata_of_the_first_event(record):
    """A later event that says nothing about its tag is read by what the first said."""
    event = of_tensor([b"7", b"5", b"x"], "images")
    event.summary.value[0].ClearField("metadata")
    (image,) = plugins.read(only_value(event, record), Metadata("images"))
    assert isinstance(image, images.Image)
    assert plugins.read(only_value(event, record)).array.tolist() == [b"7", b"5", b"x"]


def test_what_a_plugin_cannot_hold(record):
    """A value of the wrong kind for its plugin is an error that names tag and step, never another exception."""
    for plugin in ("images", "histograms", "text", "audio", "pr_curves", "mesh", "custom_scalars", "graphs"):
        event = event_pb2.Event(step=3)
        event.summary.value.add(tag="x").metadata.plugin_data.plugin_name = plugin
        with pytest.raises(BadValue, match="tag 'x', step 3"):
            plugins.read(only_value(event, record))


def test_what_else_a_record_says(record):
    """File version, writer, sessions and log messages are reachable; damaged bytes are an error."""
    first = event_pb2.Event(file_version="brain.Event:2", wall_time=2.5)
    first.source_metadata.writer = "me"
    read = read_record(record(first.SerializeToString()))
    assert (read.file_version, read.writer, read.wall_time) == ("brain.Event:2", "me", 2.5)
    start = event_pb2.SessionLog(status="START", checkpoint_path="c", msg="m")
    session = read_record(record(event_pb2.Event(session_log=start, step=4).SerializeToString())).session
    assert (session.status, session.checkpoint_path, session.message) == ("start", "c", "m")
    line = event_pb2.Event(log_message=event_pb2.LogMessage(level=20, message="hello"))
    log = read_record(record(line.SerializeToString())).log
    assert (log.level, log.message) == (20, "hello")
    whole = record(first.SerializeToString())
    for bytes_of in (whole[:-1], b"", whole[:12] + b"\xff" + whole[13:], record(b"\xff\xff")):
        with pytest.raises(BadValue):
            read_record(bytes_of)
