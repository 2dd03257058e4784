"""Each library that writes event files, for real: what TensorBoard reads in the files is what is recorded."""

from __future__ import annotations

import pytest
from table import TRAININGS, counting, perform

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


@pytest.mark.timeout(360)
@pytest.mark.parametrize(("training", "when", "where"), CASES)
def test_a_training_is_recorded(tmp_path, training, when, where):
    """Every point that the training writes is recorded, once: begun before the run or after it, here or in a child."""
    outcome = perform(training, when, where, tmp_path)
    assert outcome.written
    assert outcome.recorded == counting(outcome.written)
    assert outcome.copies == outcome.originals
    assert outcome.state == "finished"
    assert "runcast" not in outcome.output, outcome.output
