"""What a `Logdir` answers beside series and values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runcast.events.plugins.hparams import Experiment, Hparam, SessionEnd, SessionStart

__all__ = ["Graph", "Hparams", "Skipped", "Tag"]


@dataclass(frozen=True, slots=True)
class Tag:
    """One series: what is under a tag of a source. `count` and the steps are of the values that count after restarts.

    `plugin` is TensorBoard's name of the kind: "scalars", "images", …; "" where nobody said.
    """

    source: str
    tag: str
    plugin: str
    display_name: str
    description: str
    count: int
    first_step: int
    last_step: int


@dataclass(frozen=True, slots=True)
class Hparams:
    """The hyperparameters of a source: `config`, and what was logged about its session and the experiment, None where nothing was."""

    config: dict[str, Hparam]
    start: SessionStart | None = None
    end: SessionEnd | None = None
    experiment: Experiment | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """The graphs of a source, as bytes: GraphDef, MetaGraphDef, and by tag Keras models (JSON) and RunMetadata."""

    graph_def: bytes | None = field(default=None, repr=False)
    meta_graph_def: bytes | None = field(default=None, repr=False)
    keras: dict[str, bytes] = field(default_factory=dict, repr=False)
    run_metadata: dict[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Bytes [offset, offset + length) of a file that are no verified records, and were passed over."""

    file: str
    offset: int
    length: int
    reason: str
