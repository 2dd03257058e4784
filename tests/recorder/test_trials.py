"""Hyperparameters that event files say: they are the run's config, and what came of them is in its summary."""

from __future__ import annotations

import json
import time

import pytest
import tensorboardX
from click.testing import CliRunner
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from torch.utils.tensorboard import SummaryWriter

from runcast.cli.commands import runcast
from runcast.recorder.trials import Trials
from runcast.run.record import RunRecord, new_run_id
from runcast.store.local import LocalStore

LIBRARIES = {"torch": SummaryWriter, "tensorboardX": tensorboardX.SummaryWriter}


def shown(root, run):
    """Config and summary as `runcast show --json` prints them."""
    result = CliRunner().invoke(runcast, ["--dir", str(root), "show", run.id, "--json"])
    if result.exit_code:
        return {}, {}  # not recorded yet
    shape = json.loads(result.output)
    return shape["config"], shape["summary"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_hyperparameters_are_the_config_of_the_run(
    tmp_path, new_run, start_recorder, root, wait_for, library
):
    """`add_hparams` once: its hyperparameters stand in the config beside what the user set, which wins; its metrics and how
    the session ended are in the summary; killing the recorder loses nothing of it.
    """
    run = new_run()  # with the config lr=0.1
    run.watch(tmp_path / "logs")
    recorder = start_recorder(run)
    with LIBRARIES[library](str(tmp_path / "logs")) as writer:
        writer.add_hparams({"lr": 0.5, "batch_size": 32, "optimizer": "adam"}, {"hparam/accuracy": 0.75})
    wait_for(lambda: "optimizer" in shown(root, run)[0])
    recorder.kill()
    config, summary = shown(root, run)
    assert config == {"lr": 0.1, "batch_size": 32, "optimizer": "adam"}
    assert (summary["hparam/accuracy"], summary["status"]) == (0.75, "success")
    successor = start_recorder(run)
    run.finish()
    assert successor.next("finished")[0]["state"] == "finished"
    assert shown(root, run) == (config, summary)


def test_several_trials_are_kept_apart(tmp_path, new_run, start_recorder, root):
    """A sweep in one run: what all trials share is in the config itself, and each trial's own under its source."""
    run = new_run()
    run.watch(tmp_path / "logs")
    recorder = start_recorder(run)
    with SummaryWriter(tmp_path / "logs") as writer:
        for trial, layers in enumerate([2, 3]):
            hparams = {"layers": layers, "optimizer": "adam"}
            writer.add_hparams(hparams, {"accuracy": layers / 4}, run_name=f"trial{trial}")
    run.finish()
    recorder.send(kind="wake")
    recorder.next("finished")
    config, summary = shown(root, run)
    assert config["optimizer"] == "adam"
    assert config["lr"] == 0.1
    assert "layers" not in config
    assert config["trials"] == {
        f"trial{trial}": {"layers": layers, "optimizer": "adam"} for trial, layers in enumerate([2, 3])
    }
    assert summary["trials"] == {
        "trial0": {"accuracy": 0.5, "status": "success"},
        "trial1": {"accuracy": 0.75, "status": "success"},
    }
    assert summary["trial1/accuracy"] == 0.75


def session_end_pb(status, ended):
    """What `tensorboard.plugins.hparams.summary` makes, which cannot be imported without TensorFlow."""
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
    data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    tag, about = metadata.SESSION_END_INFO_TAG, metadata.create_summary_metadata(data)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])


class Logged:
    """An event file of TensorBoard's own writer, recorded into a store of its own."""

    def __init__(self, folder):
        self.logdir = folder / "logs"
        self.store = LocalStore(folder / "store")
        self.run = RunRecord(new_run_id(), "p", "n", "running", time.time(), config={"lr": 3})
        self.store.create(self.run)
        self.trials = Trials()

    def write(self, source, *summaries, at=1e9):
        (self.logdir / source).mkdir(parents=True, exist_ok=True)
        before = set((self.logdir / source).iterdir())
        writer = EventFileWriter(str(self.logdir / source))
        for number, summary in enumerate(summaries):
            writer.add_event(Event(summary=summary, wall_time=at + number, step=0))
        writer.close()
        (path,) = set((self.logdir / source).iterdir()) - before
        place = f"files/logs/{source}/{path.name}".replace("/./", "/")
        answer = self.store.append(self.run.id, place, 0, path.read_bytes())
        self.trials.add(place, answer.batch)
        self.trials.note(self.store, self.run.id)
        return self.config

    @property
    def config(self):
        return self.store.run(self.run.id).config


@pytest.fixture
def logged(tmp_path):
    logged = Logged(tmp_path)
    yield logged
    logged.store.close()


def test_what_tensorflows_api_logs(logged):
    """Sessions as `tensorboard.plugins.hparams` writes them, below an experiment that names the metrics."""
    logged.write(".", summary_v2.hparams_config_pb([], [summary_v2.Metric("accuracy")]))
    start = summary_v2.hparams_pb({"units": 16, "dropout": 0.25, "bias": False}, start_time_secs=5.0)
    config = logged.write("run-0", start, session_end_pb(api_pb2.STATUS_FAILURE, 9.0))
    assert config == {"units": 16, "dropout": 0.25, "bias": False, "lr": 3}
    facts = logged.store.run(logged.run.id).facts["hparams"]
    assert facts["metrics"] == [["accuracy", ""]]
    assert [trial["status"] for trial in facts["trials"]] == ["failure"]


def test_a_training_that_is_started_again_says_what_it_has_now(logged):
    """The same folder, other hyperparameters: the newest count, and how the older training ended says nothing of it."""
    ended = session_end_pb(api_pb2.STATUS_SUCCESS, 9.0)
    logged.write("train", summary_v2.hparams_pb({"units": 16}, start_time_secs=5.0), ended)
    again = summary_v2.hparams_pb({"units": 32}, start_time_secs=20.0)
    assert logged.write("train", again, at=2e9)["units"] == 32
    assert logged.store.run(logged.run.id).facts["hparams"]["trials"][0]["status"] == ""


def test_reading_them_again_changes_nothing(logged):
    """A recorder that takes over finds the same trials, and has nothing to say."""
    config = logged.write("train", summary_v2.hparams_pb({"units": 16}))
    mark, _ = logged.store.changes(0)
    for _ in range(2):
        Trials().note(logged.store, logged.run.id)
    assert logged.config == config
    before = logged.store.changes(0)[0]
    logged.trials.note(logged.store, logged.run.id)
    assert logged.store.changes(0)[0] == before >= mark


def test_what_cannot_be_understood_is_passed_over(logged):
    """Content of a version that is newer than this: the rest is read, and the run goes on."""
    strange = summary_v2.hparams_pb({"units": 16})
    strange.value[0].metadata.plugin_data.content = b"\x08\x63"
    assert logged.write("a", strange) == {"lr": 3}
    assert logged.write("b", summary_v2.hparams_pb({"units": 16})) == {"units": 16, "lr": 3}
