"""What TensorBoard's pr_curves plugin logs: a (6, thresholds) tensor a step (tensorboard/plugins/pr_curve/summary.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.errors import BadValue
from runcast.events.arrays import array_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runcast.events.record import Logged, Metadata

__all__ = ["PLUGIN", "PrCurve", "read"]

PLUGIN = "pr_curves"


@dataclass(frozen=True, slots=True, eq=False)
class PrCurve:
    """Precision and recall, and the (weighted) counts that they come from, at thresholds from 0 to 1; all of shape (thresholds,)."""

    true_positives: NDArray[np.floating[Any]]
    false_positives: NDArray[np.floating[Any]]
    true_negatives: NDArray[np.floating[Any]]
    false_negatives: NDArray[np.floating[Any]]
    precision: NDArray[np.floating[Any]]
    recall: NDArray[np.floating[Any]]

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The thresholds, evenly from 0 to 1: the format has no others."""
        return np.linspace(0.0, 1.0, len(self.precision))


def read(value: Logged, metadata: Metadata) -> PrCurve:  # noqa: ARG001 - as all of them are called
    """Read the curve of one step. Raises `BadValue`."""
    if value.form != "tensor":
        raise BadValue(f"tag {value.tag!r}, step {value.step}: {value.form or 'nothing'} holds no PR curve")
    rows = array_of(value.message)
    if rows.ndim != 2 or rows.shape[0] != 6 or rows.dtype.kind not in "fiu":
        raise BadValue(
            f"tag {value.tag!r}, step {value.step}: a PR curve has the shape (6, thresholds), not {rows.shape}"
        )
    return PrCurve(*rows)
