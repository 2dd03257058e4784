"""Reading logs: `runcast.read(path)` gives a `Logdir`, and that everything in it. No run, recorder or store is needed."""

from __future__ import annotations

from runcast.logdir.answers import Graph, Hparams, Skipped, Tag
from runcast.logdir.logdir import Logdir, read
from runcast.logdir.series import Series
from runcast.logdir.values import Values

__all__ = ["Graph", "Hparams", "Logdir", "Series", "Skipped", "Tag", "Values", "read"]
