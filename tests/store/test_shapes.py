"""The summary of a run, whose keys scripts rely on."""

from __future__ import annotations

from runcast.store.protocol import SeriesRecord
from runcast.store.shapes import summary


def series(root, source, tag, last, plugin="scalars"):
    return SeriesRecord(0, root, source, tag, plugin, 1, 0, 0, last, last, last, 0.0)


def test_keys_are_as_short_as_they_can_be():
    """The tag alone for the logdir itself and for `run.log`; the source before it elsewhere; no system metrics, no images."""
    found = summary(
        [
            series("logs", ".", "lr", 1.0),
            series("logs", "train", "loss", 2.0),
            series("own", "log", "epoch", 3.0),
            series("own", "system", "cpu", 4.0),
            series("logs", ".", "image", 5.0, "images"),
        ]
    )
    assert found == {"lr": 1.0, "train/loss": 2.0, "epoch": 3.0}


def test_keys_that_would_be_the_same_are_told_apart():
    """Two series never share a key."""
    assert summary([series("a", ".", "loss", 1.0), series("b", ".", "loss", 2.0)]) == {
        "a/loss": 1.0,
        "b/loss": 2.0,
    }
    assert summary([series("a", ".", "train/loss", 1.0), series("a", "train", "loss", 2.0)]) == {
        "a/./train/loss": 1.0,
        "a/train/loss": 2.0,
    }
