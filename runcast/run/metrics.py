"""Metrics as `run.define_metric` defines them: what of their values the summary has, and which other metric is their step.

The definitions are the run's fact `metrics`. The training process heeds them in `run.summary` and `run.log`, and readers in
the summary of every series that has the name, whoever wrote it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from runcast.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FACT", "Metric", "Metrics", "Tracked", "Values"]

FACT = "metrics"

_KINDS = ("min", "max", "mean", "first", "last", "best", "copy", "none")
_GOALS = ("minimize", "maximize")


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is summarized (nothing: by its last value), and the name of the metric that is its step, "" for none."""

    name: str
    summary: tuple[str, ...] = ()
    goal: str = ""
    step_metric: str = ""

    def summarized(self, values: Values) -> Any:
        """Return what the summary has: a number, or `{"min": …}` by kind where kinds are given; None for nothing at all."""
        if "none" in self.summary:
            return None
        kinds = [kind for kind in self.summary if kind != "copy"]
        return {kind: self._value(kind, values) for kind in kinds} if kinds else values.last

    def _value(self, kind: str, values: Values) -> float:
        if kind == "best":
            kind = "max" if self.goal == "maximize" else "min"
        found: float = getattr(values, kind)
        return found


@dataclass(slots=True)
class Values:
    """What is known of a metric's values. NaN counts only as the first or last."""

    first: float
    last: float
    min: float = math.inf
    max: float = -math.inf
    total: float = 0.0
    count: int = 0

    def take(self, value: float) -> None:
        """Take in one more value."""
        self.last = value
        if value == value:  # noqa: PLR0124  not NaN
            self.min = min(self.min, value)
            self.max = max(self.max, value)
            self.total += value
            self.count += 1

    @property
    def mean(self) -> float:
        """The mean; NaN of nothing."""
        return self.total / self.count if self.count else math.nan


class Metrics:
    """The metrics of a run that are defined; `defined` is what the run's facts say, and what makes no sense there is passed over."""

    def __init__(self, defined: Any = None) -> None:
        self._exact: dict[str, Metric] = {}
        self._patterns: dict[str, Metric] = {}
        for name, fields in defined.items() if isinstance(defined, dict) else ():
            if isinstance(fields, dict):
                kinds = fields.get("summary")
                self._place(
                    Metric(
                        str(name),
                        tuple(kind for kind in kinds if kind in _KINDS) if isinstance(kinds, list) else (),
                        str(fields.get("goal") or ""),
                        str(fields.get("step_metric") or ""),
                    ),
                )

    def __bool__(self) -> bool:
        return bool(self._exact or self._patterns)

    def define(
        self,
        name: Any,
        step_metric: Any = None,
        summary: Any = None,
        goal: Any = None,
        *,
        overwrite: bool = False,
    ) -> Metric:
        """Define a metric, or more of it. Raises `SettingsError`.

        A name that ends with `*` stands for all that begin so; a metric's own name and the longer beginning go first.
        """
        if not isinstance(name, str) or not name or "*" in name[:-1]:
            raise SettingsError(
                f"define_metric(name={name!r}): it must be a metric's name, such as 'loss', or a beginning, such as 'val/*'"
            )
        kinds = _kinds(summary)
        if goal is not None and goal not in _GOALS:
            raise SettingsError(
                f"define_metric({name!r}, goal={goal!r}): it must be 'minimize' or 'maximize'"
            )
        step = getattr(step_metric, "name", step_metric)  # another metric, as define_metric returns it
        if step is not None and not isinstance(step, str):
            raise SettingsError(
                f"define_metric({name!r}, step_metric={step!r}): it must be the name of a metric"
            )
        given = {"summary": kinds, "goal": goal, "step_metric": step}
        before = (self._patterns if name.endswith("*") else self._exact).get(name.removesuffix("*"))
        base = Metric(name) if overwrite or before is None else before
        metric = replace(base, **{field: value for field, value in given.items() if value is not None})
        self._place(metric)
        return metric

    def fact(self) -> dict[str, Any]:
        """Return the definitions as the run's facts have them."""
        return {
            metric.name: {key: value for key, value in asdict(metric).items() if value and key != "name"}
            for metric in (*self._exact.values(), *self._patterns.values())
        }

    def of(self, *names: str) -> Metric | None:
        """Return what is defined for a metric that goes by these names, the first that is; None if nothing is."""
        for name in names:
            if (metric := self._exact.get(name)) is not None:
                return metric
        starts = [start for start in self._patterns if any(name.startswith(start) for name in names)]
        return self._patterns[max(starts, key=len)] if starts else None

    def _place(self, metric: Metric) -> None:
        place = self._patterns if metric.name.endswith("*") else self._exact
        place[metric.name.removesuffix("*")] = metric


class Tracked:
    """The metrics of the training process: `defined`, and the values that were logged."""

    def __init__(self, defined: Metrics, warn: Callable[[str, str], None]) -> None:
        self.defined = defined
        self._warn = warn
        self._values: dict[str, Values] = {}
        self._steps: dict[str, int] = {}

    def summarized(self, points: Mapping[str, float]) -> dict[str, Any]:
        """Take in what was logged, and return what the summary has of it now; None for what it shall not have."""
        shown: dict[str, Any] = {}
        for tag, value in points.items():
            values = self._values.get(tag)
            if values is None:
                values = self._values[tag] = Values(value, value)
            values.take(value)
            metric = self.defined.of(tag) if self.defined else None
            shown[tag] = value if metric is None else metric.summarized(values)
        return shown

    def step(self, tag: str, otherwise: int) -> int:
        """Return the step of what is being logged under a tag: its step metric's latest value, if that is a whole number."""
        metric = self.defined.of(tag)
        if metric is None or not metric.step_metric or metric.step_metric == tag:
            return otherwise
        name = metric.step_metric
        values = self._values.get(name)
        if values is None:
            return otherwise  # it was not logged yet
        if not values.last.is_integer() or not abs(values.last) < 2**62:
            self._warn(
                f"step_metric {name}",
                f"{name!r} is {values.last}, which is no step, since steps are whole numbers: {tag!r} is at the run's own step",
            )
            return otherwise
        step = int(values.last)
        if step <= self._steps.get(tag, step - 1):
            self._warn(
                f"step_metric {tag}",
                f"{tag!r} is logged again at {name} {step}: charts show the latest value of a step",
            )
        self._steps[tag] = step
        return step


def _kinds(summary: Any) -> tuple[str, ...] | None:
    if summary is None:
        return None
    kinds = summary.split(",") if isinstance(summary, str) else summary
    if not isinstance(kinds, (list, tuple)) or not all(isinstance(kind, str) for kind in kinds):
        raise SettingsError(
            f"define_metric(summary={summary!r}): it must be a text such as 'min' or 'min,max'"
        )
    found = tuple(kind.strip() for kind in kinds)
    if unknown := [kind for kind in found if kind not in _KINDS]:
        raise SettingsError(
            f"define_metric(summary={summary!r}): {unknown[0]!r} is none of {', '.join(_KINDS)}"
        )
    return found
