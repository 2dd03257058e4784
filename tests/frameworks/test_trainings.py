"""Each library that writes event files, for real: what TensorBoard reads in the files is what is recorded."""

from __future__ import annotations

import pytest
from table import TRAININGS, counting, perform

WAYS = [("before", "same"), ("after", "same"), ("after", "child")]
WRITE_THROUGH_OTHERS = [
    name
    for name in TRAININGS
    if name.startswith(("clu", "flax", "keras", "lightning", "stable", "transformers"))
]
"""What writes through the others' writers, which are found in every way; `table.py` tries all ways with these as well."""

OLDER = "tensorflow_eager"
"""For the child that is older than the run one library stands for all: its folder is watched, no library is hooked."""

CASES = [
    (training, *way)
    for training in TRAININGS
    for way in (WAYS if training not in WRITE_THROUGH_OTHERS else [("after", "same")])
]


@pytest.mark.timeout(360)
@pytest.mark.parametrize(("training", "when", "where"), [*CASES, (OLDER, "before", "child")])
def test_a_training_is_recorded(tmp_path, training, when, where):
    """Every point that the training writes is recorded, once: begun before the run or after it, here or in a child."""
    outcome = perform(training, when, where, tmp_path)
    assert outcome.written
    assert outcome.recorded == counting(outcome.written)
    assert outcome.copies == outcome.originals
    assert outcome.state == "finished"
    assert "runcast" not in outcome.output, outcome.output
