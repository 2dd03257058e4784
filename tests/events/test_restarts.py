"""Which points count after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.events import counting


def counted_one_by_one(steps):
    kept = []
    for index, step in enumerate(steps):
        while kept and steps[kept[-1]] >= step:
            kept.pop()
        kept.append(index)
    return kept


@given(st.lists(st.integers(-5, 20)))
def test_as_one_by_one(steps):
    """Each new point drops the earlier ones at or after its step."""
    assert np.flatnonzero(counting(np.array(steps, np.int64))).tolist() == counted_one_by_one(steps)


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([], []),
        ([5], [0]),
        ([1, 2, 3], [0, 1, 2]),
        ([1, 2, 2], [0, 2]),
        ([1, 2, 3, 2, 3, 4], [0, 3, 4, 5]),
        ([2**63 - 1, 2**63 - 1], [1]),
        ([-(2**63), 0], [0, 1]),
    ],
)
def test_examples(steps, kept):
    """A repeated step keeps the last, a step that goes back replaces what came after it."""
    assert np.flatnonzero(counting(np.array(steps, np.int64))).tolist() == kept
