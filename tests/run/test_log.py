from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import threading
import wave

import matplotlib as mpl
import numpy as np
import PIL.Image
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

import runcast
from runcast.errors import SettingsError
from runcast.store.local import LocalStore

mpl.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture
def new_run(tmp_path, monkeypatch):
    """Start a run here; afterwards wait until nothing of its recorder is left in this process."""
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "store"))
    threads = set(threading.enumerate())
    yield runcast.init
    runcast.finish()
    for thread in set(threading.enumerate()) - threads:
        if thread.name.startswith("runcast"):
            thread.join(30)


@pytest.fixture
def logged(new_run):
    """Log values in one run and read back, with TensorBoard's own reader, (plugin, step, array) by tag."""

    def log(*values):
        with new_run() as run:
            for each in values:
                run.log(each)
        log.run = run
        accumulator = EventAccumulator(str(run.folder / "own" / "log"))
        accumulator.Reload()
        found = {}
        for tag in accumulator.Tags()["tensors"]:
            plugin = accumulator.SummaryMetadata(tag).plugin_data.plugin_name
            found[tag] = [
                (plugin, event.step, tensor_util.make_ndarray(event.tensor_proto))
                for event in accumulator.Tensors(tag)
            ]
        for tag in accumulator.Tags()["scalars"]:
            found[tag] = [("scalars", each.step, each.value) for each in accumulator.Scalars(tag)]
        return found

    return log


def pixels(encoded):
    return np.asarray(PIL.Image.open(io.BytesIO(encoded)))


def only(found, tag):
    """The single value of a tag: its plugin, and what it holds."""
    ((plugin, _, value),) = found[tag]
    return plugin, value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (np.full((2, 3, 3), 200, np.uint8), np.full((2, 3, 3), 200)),
        (np.full((2, 3), 0.5), np.full((2, 3), 127)),
        (np.array([[0, 1]], bool), [[0, 255]]),
        (np.array([[0.0, 300.0]]), [[0, 255]]),
        (np.array([[-1.0, 1.0]]), [[0, 255]]),
        (np.array([[math.nan, 1.0]]), [[0, 255]]),
        (torch.ones(3, 2, 4, requires_grad=True), np.full((2, 4, 3), 255)),
        (torch.ones(1, 2, 4, dtype=torch.bfloat16), np.full((2, 4), 255)),
        (np.zeros((2, 3, 4)), np.zeros((2, 3, 4))),
        (PIL.Image.new("CMYK", (4, 2)), np.full((2, 4, 3), 255)),
    ],
)
def test_arrays_and_tensors_are_images(logged, data, expected):
    """Height x width x channels, or channels first as torch has them, in bytes or from 0 to 1: the picture is what was meant."""
    plugin, value = only(logged({"image": runcast.Image(data)}), "image")
    width, height, png = value
    assert plugin == "images"
    assert pixels(png).tolist() == np.asarray(expected).tolist()
    assert (int(width), int(height)) == pixels(png).shape[1::-1]


def test_plain_images_and_figures_need_no_wrapping(logged, tmp_path):
    """A PIL image, a Matplotlib figure, axes and pyplot itself are images; so is a file by its path, byte for byte."""
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    PIL.Image.new("RGB", (3, 2), "red").save(tmp_path / "a.jpg")
    found = logged(
        {"pil": PIL.Image.new("L", (3, 2)), "figure": figure, "axes": axes, "plt": plt},
        {
            "file": runcast.Image(tmp_path / "a.jpg"),
            "again": runcast.Image(runcast.Image(tmp_path / "a.jpg")),
        },
    )
    plt.close(figure)
    assert {tag: found[tag][0][0] for tag in ("pil", "figure", "axes", "plt", "file")} == dict.fromkeys(
        ("pil", "figure", "axes", "plt", "file"), "images"
    )
    assert pixels(found["figure"][0][2][2]).shape == (480, 640, 4)
    assert found["file"][0][2][2] == (tmp_path / "a.jpg").read_bytes() == found["again"][0][2][2]


def test_several_images_and_their_captions(logged):
    """A list of images and a batch are several images of one step; captions are a text beside them."""
    found = logged(
        {
            "list": [runcast.Image(np.zeros((2, 2)), caption="first"), PIL.Image.new("L", (2, 2))],
            "batch": runcast.Image(torch.rand(5, 3, 4, 4)),
            "one": runcast.Image(np.zeros((2, 2)), caption="alone"),
        }
    )
    assert len(only(found, "list")[1]) == 2 + 2
    assert len(only(found, "batch")[1]) == 2 + 5
    assert only(found, "list/caption") == ("text", np.array(b"1. first\n2. ", dtype=object))
    assert only(found, "one/caption")[1] == b"alone"


def test_histograms(logged):
    """Values, counts with edges, and plain arrays and tensors are histograms; what is not finite is left out."""
    values = np.random.default_rng(0).normal(size=1000)
    found = logged(
        {
            "values": runcast.Histogram([*values, math.nan, math.inf], num_bins=10),
            "given": runcast.Histogram(np_histogram=([1, 2], [0.0, 0.5, 2.0])),
            "array": values,
            "tensor": torch.randn(3, 4, requires_grad=True),
            "list": [1, 2, 3],
        }
    )
    counts, edges = np.histogram(values, bins=10)
    plugin, table = only(found, "values")
    assert plugin == "histograms"
    assert table.tolist() == np.stack([edges[:-1], edges[1:], counts], 1).tolist()
    assert only(found, "given")[1].tolist() == [[0.0, 0.5, 1.0], [0.5, 2.0, 2.0]]
    assert only(found, "array")[1][:, 2].sum() == 1000
    assert only(found, "tensor")[1][:, 2].sum() == 12
    assert only(found, "list")[1][:, 2].sum() == 3


def test_texts_sounds_and_videos(logged):
    """A text is a text, samples are a WAV file that plays, frames are an animated GIF."""
    samples = np.sin(np.arange(800) / 10)
    found = logged(
        {
            "text": "hello *wörld*",
            "sound": runcast.Audio(samples, sample_rate=8000),
            "video": runcast.Video(np.random.default_rng(0).random((5, 3, 8, 8)), fps=10),
        }
    )
    assert only(found, "text") == ("text", np.array("hello *wörld*".encode(), dtype=object))
    plugin, sound = only(found, "sound")
    assert (plugin, sound.shape) == ("audio", (1, 2))
    with wave.open(io.BytesIO(sound[0, 0])) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (8000, 800, 1)
    assert PIL.Image.open(io.BytesIO(only(found, "video")[1][2])).n_frames == 5


def test_a_table_is_shown_and_kept_whole(logged):
    """TensorBoard shows a table's first rows as Markdown; the run keeps all of it, pictures included, as JSON."""
    table = runcast.Table(columns=["id", "a|b", "picture"])
    for number in range(150):
        table.add_data(number, float("nan"), runcast.Image(np.zeros((2, 2))) if number == 0 else None)
    found = logged({"loss": 1}, {"predictions/val": table})
    plugin, text = only(found, "predictions/val")
    lines = text.item().decode().splitlines()
    assert plugin == "text"
    assert lines[:4] == [
        "| id | a\\|b | picture |",
        "| --- | --- | --- |",
        "| 0 | nan | (image) |",
        "| 1 | nan | None |",
    ]
    assert lines[-1] == "The first 100 of 150 rows; all of them are in `saved/tables/predictions/val/1.json`."
    run = logged.run
    with LocalStore(run.folder.parents[1]) as store:
        path = "saved/tables/predictions/val/1.json"
        kept = json.loads(store.read(run.id, path, 0, store.size(run.id, path)))
    assert kept["columns"] == ["id", "a|b", "picture"]
    assert [row[:2] for row in kept["data"]] == [[number, "NaN"] for number in range(150)]
    assert kept["data"][0][2]["type"] == "image"
    assert not list((run.folder / "staging").rglob("*.json"))


def test_a_data_frame_is_a_table():
    """A data frame brings its columns' names; columns may be added and read."""
    pandas = pytest.importorskip("pandas")
    table = runcast.Table(dataframe=pandas.DataFrame({"x": [1, 2], "y": ["a", "b"]}))
    table.add_column("z", [0.5, 1.5])
    assert (table.columns, table.data) == (["x", "y", "z"], [[1, "a", 0.5], [2, "b", 1.5]])
    assert table.get_column("y") == ["a", "b"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: runcast.Image(np.zeros(3)),
        lambda: runcast.Image(np.zeros((2, 2, 7))),
        lambda: runcast.Image("no/such/file.png"),
        lambda: runcast.Image(b"no image"),
        lambda: runcast.Image(object()),
        lambda: runcast.Histogram(["a"]),
        lambda: runcast.Histogram(np_histogram=([1, 2], [1, 2])),
        lambda: runcast.Audio([0.0, 1.0]),
        lambda: runcast.Audio("no/such/file.wav"),
        lambda: runcast.Video(np.zeros((2, 2))),
        lambda: runcast.Table(columns=["a"], data=[[1, 2]]),
        lambda: runcast.Table(colums=["a"]),
    ],
)
def test_what_is_none_of_these_is_refused_where_it_is_made(make):
    """A bad image, histogram, sound, video or table is one clear error, in the line that makes it."""
    with pytest.raises(SettingsError):
        make()


def test_the_user_may_set_the_summary(new_run):
    """The summary has the last logged values; what the user sets wins, and is there when the run is looked up."""
    with new_run() as run:
        run.log({"loss": 0.5, "acc": 0.9})
        assert dict(run.summary) == {"loss": 0.5, "acc": 0.9}
        run.summary["loss"] = 0.1
        run.summary.best = {"epoch": np.int64(3)}
        runcast.summary.update({"note": "good"})
        assert dict(run.summary) == {"loss": 0.1, "acc": 0.9, "best": {"epoch": 3}, "note": "good"}
    with LocalStore(run.folder.parents[1]) as store:
        assert store.run(run.id).summary == {"loss": 0.1, "best": {"epoch": 3}, "note": "good"}


def test_logging_numbers_imports_no_library(tmp_path):
    """A training that logs numbers and texts pays for no NumPy, no Pillow and no Matplotlib."""
    code = (
        "import runcast, sys; from runcast.run.logged import ValueLog; from pathlib import Path\n"
        "log = ValueLog(Path(sys.argv[1]), step=0, warn=print, keep=print, logged=lambda points: None, step_of=lambda tag, step: step)\n"
        "log.write({'a': 1, 'b': 'text'}, None)\n"
        "print([name for name in ('numpy', 'PIL', 'matplotlib', 'google.protobuf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
