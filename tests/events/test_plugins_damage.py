"""Whatever a value's bytes are, it is read or refused with one kind of error: never another exception, never a hang."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2
from torch.utils.tensorboard import SummaryWriter

from runcast.errors import BadValue
from runcast.events import plugins
from runcast.events.framing import HEADER
from runcast.events.plugins import hparams
from runcast.events.plugins.audio import Audio
from runcast.events.plugins.images import Image
from runcast.events.record import Metadata, read_record

PLUGINS = [
    *("images", "histograms", "text", "audio", "pr_curves", "mesh", "custom_scalars", "graphs", "hparams"),
    *("graph_keras_model", "other", ""),
]


@pytest.fixture(scope="module")
def payloads(tmp_path_factory):
    """The events of a file with a value of every kind."""
    folder = tmp_path_factory.mktemp("logs")
    with SummaryWriter(str(folder)) as writer:
        writer.add_image("image", np.zeros((3, 4, 5), np.uint8), 1)
        writer.add_histogram("histogram", np.arange(5), 1)
        writer.add_text("text", "text", 1)
        writer.add_audio("audio", np.zeros(4, np.float32), 1)
        writer.add_pr_curve("pr", np.array([0, 1]), np.array([0.2, 0.8]), 1, num_thresholds=3)
        writer.add_mesh("mesh", np.zeros((1, 2, 3)), config_dict={"a": 1}, global_step=1)
        writer.add_custom_scalars({"a": {"b": ["Multiline", ["c"]]}})
        writer.add_hparams({"a": 1.0, "b": "x"}, {"c": 1.0}, run_name=".")
    found = []
    for file in folder.iterdir():
        data, position = file.read_bytes(), 0
        while position < len(data):
            length = int.from_bytes(data[position : position + 8], "little")
            found.append(data[position + HEADER : position + HEADER + length])
            position += length + 16
    assert len(found) > 10
    return found


def look_at(value) -> None:
    """Decode what is decoded on demand."""
    for one in value if isinstance(value, tuple) else ():
        if isinstance(one, Image):
            one.frames()
        if isinstance(one, Image | Audio):
            one.array()


@given(st.data())
def test_flipped_bytes(payloads, record, data):
    """Any byte of any kind of event may be wrong, with a checksum that is right."""
    payload = bytearray(data.draw(st.sampled_from(payloads)))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    first = Metadata(data.draw(st.sampled_from(PLUGINS)))
    try:
        values = read_record(record(bytes(payload))).summaries
    except BadValue:
        return
    for value in values:
        with suppress(BadValue):
            look_at(plugins.read(value, first))


@given(st.sampled_from(PLUGINS), st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes(record, plugin, tensor, content):
    """A plugin's content and tensors may be any bytes."""
    event = event_pb2.Event(step=1)
    value = event.summary.value.add(tag="x")
    value.metadata.plugin_data.plugin_name = plugin
    value.metadata.plugin_data.content = content
    value.tensor.dtype = 7
    value.tensor.tensor_shape.dim.add(size=1)
    value.tensor.string_val.append(tensor)
    logged = read_record(record(event.SerializeToString())).values[0]
    with suppress(BadValue):
        look_at(plugins.read(logged))
    with suppress(BadValue):
        hparams.read(content)
