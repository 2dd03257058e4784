"""Hyperparameters, session starts and ends, and experiments, as real libraries log them and as TensorBoard reads them."""

from __future__ import annotations

import pytest
import tensorboardX
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from torch.utils.tensorboard import SummaryWriter

from runcast.errors import BadValue
from runcast.events.framing import HEADER
from runcast.events.plugins import hparams


def contents(folder):
    """The plugin content of every value of the hparams plugin in the folder's event files."""
    for file in sorted(folder.rglob("*tfevents*")):
        data, position = file.read_bytes(), 0
        while position < len(data):
            length = int.from_bytes(data[position : position + 8], "little")
            payload = data[position + HEADER : position + HEADER + length]
            for value in event_pb2.Event.FromString(payload).summary.value:
                if value.metadata.plugin_data.plugin_name == hparams.PLUGIN:
                    yield value.metadata.plugin_data.content
            position += length + 16


@pytest.mark.parametrize("library", ["torch", "tensorboardX"])
def test_what_add_hparams_logs(tmp_path, library):
    """`add_hparams` of both libraries gives the config, the metrics, and that the session succeeded."""
    writer = {"torch": SummaryWriter, "tensorboardX": tensorboardX.SummaryWriter}[library](str(tmp_path))
    writer.add_hparams({"lr": 0.1, "layers": 3, "name": "größer", "bias": True}, {"hparam/accuracy": 0.5})
    writer.close()
    experiment, start, end = map(hparams.read, contents(tmp_path))
    assert isinstance(experiment, hparams.Experiment)
    assert isinstance(start, hparams.SessionStart)
    assert start.config == {"lr": 0.1, "layers": 3.0, "name": "größer", "bias": True}
    assert isinstance(start.config["bias"], float if library == "torch" else bool)  # torch's way
    assert isinstance(end, hparams.SessionEnd)
    assert end.status == "success"
    assert [metric.tag for metric in experiment.metrics] == ["hparam/accuracy"]
    bias = "float" if library == "torch" else "bool"
    types = {info.name: info.type for info in experiment.hparams}
    assert types == {"lr": "float", "layers": "float", "name": "string", "bias": bias}


def test_what_tensorboard_declares():
    """An experiment's domains, descriptions and data sets, as `tensorboard.plugins.hparams` declares them."""
    built = summary_v2.hparams_config_pb(
        [
            summary_v2.HParam("lr", summary_v2.RealInterval(0.01, 0.1), "Rate", "how fast"),
            summary_v2.HParam("optimizer", summary_v2.Discrete(["adam", "sgd"])),
            summary_v2.HParam("bias", summary_v2.Discrete([True, False])),
            summary_v2.HParam("anything"),
        ],
        [
            summary_v2.Metric("accuracy", "test", "Accuracy", "of it", summary_v2.Metric.VALIDATION),
            summary_v2.Metric("loss"),
        ],
        time_created_secs=12.5,
    )
    (value,) = built.value
    experiment = hparams.read(value.metadata.plugin_data.content)
    assert experiment == hparams.Experiment(
        created=12.5,
        hparams=(
            hparams.HparamInfo("lr", "Rate", "how fast", "float", (), 0.01, 0.1),
            hparams.HparamInfo("optimizer", "", "", "string", ("adam", "sgd")),
            hparams.HparamInfo("bias", "", "", "bool", (False, True)),
            hparams.HparamInfo("anything"),
        ),
        metrics=(
            hparams.MetricInfo("accuracy", "test", "Accuracy", "of it", "validation"),
            hparams.MetricInfo("loss"),
        ),
    )


def test_a_session_of_tensorboards_own_builders():
    """Group, start and end times, addresses and a failure are kept."""
    built = summary_v2.hparams_pb({"a": 1, "b": "x"}, trial_id="g", start_time_secs=1.5)
    content = built.value[-1].metadata.plugin_data.content
    assert hparams.read(content) == hparams.SessionStart({"a": 1.0, "b": "x"}, 1.5, "g")
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    data.session_start_info.model_uri = "m"
    data.session_start_info.monitor_url = "u"
    read = hparams.read(data.SerializeToString())
    assert read == hparams.SessionStart({"a": 1.0, "b": "x"}, 1.5, "g", "m", "u")
    data.session_end_info.status = api_pb2.STATUS_FAILURE
    data.session_end_info.end_time_secs = 2.5
    assert hparams.read(data.SerializeToString()) == hparams.SessionEnd("failure", 2.5)


def test_lists_and_nothing():
    """What the format allows but libraries seldom write is kept too: null, lists and structures."""
    data = plugin_data_pb2.HParamsPluginData()
    info = data.session_start_info.hparams
    info["none"].null_value = 0
    info["betas"].list_value.extend([0.9, 0.99])
    info["layer"].struct_value.update({"size": 3, "kind": "dense"})
    info["unset"].SetInParent()
    start = hparams.read(data.SerializeToString())
    assert start.config == {
        "none": None,
        "betas": [0.9, 0.99],
        "layer": {"size": 3.0, "kind": "dense"},
        "unset": None,
    }


def test_what_is_no_hparams():
    """Other bytes, nothing at all, and a later version are an error that says so, never a guess."""
    later = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION + 1)
    for content, said in [
        (b"\xff", "no HParamsPluginData"),
        (b"", "neither"),
        (later.SerializeToString(), "version 1"),
    ]:
        with pytest.raises(BadValue, match=said):
            hparams.read(content)
