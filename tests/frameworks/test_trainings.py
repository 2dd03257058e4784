"""Each library that writes event files, for real: what TensorBoard reads in the files is what is recorded."""

from __future__ import annotations

import json
import time

import pytest
from table import TRAININGS, counting, of_folder, of_store, perform

from runcast.cli import main

WRITE_THROUGH_OTHERS = ("clu", "flax", "keras", "lightning", "stable", "transformers")
"""What writes through the others' writers, which are found begun before the run, too; `table.py` tries all ways with all of them."""

OF_CHILDREN = ("tensorflow_eager", "tensorflow1")
"""What stands for all in a child (PyTorch does in `tests/run`): there the same hooks find the same writers."""

OLDER = "tensorflow_eager"
"""For the child that is older than the run one library stands for all: its folder is watched, no library is hooked."""

CASES = [
    *((training, "after", "same") for training in TRAININGS),
    *(
        (training, "before", "same")
        for training in TRAININGS
        if not training.startswith(WRITE_THROUGH_OTHERS)
    ),
    *((training, "after", "child") for training in OF_CHILDREN),
    (OLDER, "before", "child"),
]


RUNS = {
    "lightning_logger": ("logs/line/version_0", {"rate": 0.01}),
    "transformers_trainer": ("output/runs/*", {}),
    "stable_baselines3_ppo": ("logs/PPO_1", {}),
    "keras_tensorflow": ("logs", {"rate": 0.01, "layers": 1}),
    "flax_tensorboard": ("logs", {"lr": 0.1}),
}
"""What run `runcast sync` makes of a training's folder where that is not one of the folder `logs`, and its config."""


@pytest.mark.timeout(360)
@pytest.mark.parametrize(("training", "when", "where"), CASES)
def test_a_training_is_recorded(tmp_path, capsys, training, when, where):
    """Every point that the training writes is recorded, once: begun before the run or after it, here or in a child.

    `runcast sync` makes the same of what is left of it, one run; where it was recorded it finds nothing new.
    """
    outcome = perform(training, when, where, tmp_path)
    assert outcome.written
    assert outcome.recorded == counting(outcome.written)
    assert outcome.copies == outcome.originals
    assert outcome.state == "finished"
    assert "runcast" not in outcome.output, outcome.output
    if (when, where) == ("after", "same"):
        name, config = RUNS.get(training, ("logs", {}))
        (folder,) = (tmp_path / "work").glob(name)
        (known,) = bring(tmp_path / "work", tmp_path / "store", capsys)
        assert (known["outcome"], known["bytes"]) == ("unchanged", 0)
        (brought,) = bring(tmp_path / "work", tmp_path / "second", capsys)
        run, *kept = of_store(tmp_path / "second", brought["id"])
        assert kept == list(of_folder(folder))
        assert run.name == folder.relative_to(tmp_path / "work").as_posix()
        assert run.config == config
        assert run.created <= run.ended <= time.time()


def bring(folder, store, capsys):
    """The runs that `runcast sync` makes of a folder."""
    capsys.readouterr()
    assert main(["--dir", str(store), "sync", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["runs"]
