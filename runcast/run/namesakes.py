"""What W&B's users know a run by, beside what a `Run` has of its own."""

from __future__ import annotations

import enum
import logging
import os
import time
from abc import abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runcast.run.about import About
from runcast.run.absent import not_here
from runcast.run.metrics import FACT, Metrics, Tracked
from runcast.run.record import FILES_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from runcast.run.metrics import Metric
    from runcast.run.notes import Notes
    from runcast.run.record import RunRecord
    from runcast.run.state import Policy

__all__ = ["AlertLevel", "Namesakes"]

log = logging.getLogger("runcast")


class AlertLevel(enum.Enum):
    """How bad it is that an alert tells of."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Namesakes(About):
    """The part of a `Run` that goes by W&B's names."""

    id: str
    folder: Path
    url: str | None
    disabled: bool

    def __init__(self, record: RunRecord, config: Mapping[str, Any], notes: Notes, *, step: int) -> None:
        super().__init__(record, config, notes)
        self.start_time = record.created
        """When the run was made, in seconds since the epoch."""
        self.starting_step = step
        """The step of the first `log` that is given none; more than 0 in a run that goes on."""
        self._metrics = Tracked(Metrics(record.facts.get(FACT)), notes.warn)
        self._dir: str | None = None
        self._temporary: TemporaryDirectory[str] | None = None
        self._alerted: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        message = not_here(name, of_run=True) or f"a run has no {name!r}"
        raise AttributeError(message)

    @property
    def entity(self) -> str:
        """Whose the run is: nobody's, since there are no accounts."""
        return ""

    @property
    def path(self) -> str:
        """Project and id, with a slash between them."""
        return f"{self.project}/{self.id}"

    @property
    def offline(self) -> bool:
        """Whether the run is on this machine only."""
        return self.url is None

    def get_url(self) -> str | None:
        """Return `url`."""
        return self.url

    @property
    def project_url(self) -> None:
        """None: a project's page is a list that the run's own page leads to."""

    sweep_url = sweep_id = project_url

    def get_project_url(self) -> None:
        """Return None, as `project_url` does."""

    get_sweep_url = get_project_url

    def project_name(self) -> str:
        """Return `project`."""
        return self.project

    @property
    def dir(self) -> str:
        """A folder in which everything is kept that is there when the run ends, as `run.save(policy="end")` does.

        It is made when it is first asked for; event files in it are recorded. A disabled run's is removed at its end.
        """
        if self._dir is None:
            if self.disabled:
                import tempfile  # few runs need it

                self._temporary = tempfile.TemporaryDirectory(prefix="runcast-")
                self._dir = self._temporary.name
            else:
                place = self.folder / FILES_DIR
                place.mkdir(exist_ok=True)
                self._dir = str(place)
                self.watch(place)
                self._keep(self._dir, self._dir, "end")
        return self._dir

    def define_metric(
        self,
        name: str,
        step_metric: str | Metric | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        goal: str | None = None,
        overwrite: bool | None = None,
    ) -> Metric:
        """Say what of a metric's values the summary has, and which other metric is its step.

        `name` is that of a metric (with its source, `train/loss`, or without), or a beginning of names: `val/*`. `summary` is one or
        several of `min`, `max`, `mean`, `first`, `last`, `best` (by `goal`: `minimize` or `maximize`), with a comma between them, and
        the summary then has an object of them; `copy`, the default, is the last value itself, and `none` nothing. What `run.log` is
        given under a name with a `step_metric` is recorded at that metric's latest value, if that is a whole number; event
        files have steps of their own. Raises `SettingsError`.
        """
        del step_sync  # a step metric's latest value always counts
        if hidden:
            self._notes.warn(
                "hidden", f"define_metric({name!r}, hidden=…) has no effect: every series has its chart"
            )
        metric = self._metrics.defined.define(name, step_metric, summary, goal, overwrite=bool(overwrite))
        self._set(facts={FACT: self._metrics.defined.fact()})
        return metric

    def alert(
        self,
        title: str,
        text: str = "",
        level: AlertLevel | str | None = None,
        wait_duration: float | timedelta | None = None,
    ) -> None:
        """Print an alert, on the logger `runcast`; of the same title at most one in `wait_duration` seconds. Nobody is sent it."""
        seconds = (
            wait_duration.total_seconds() if isinstance(wait_duration, timedelta) else wait_duration or 0
        )
        now = time.monotonic()
        if self.disabled or now < self._alerted.get(title, -seconds) + seconds:
            return
        self._alerted[title] = now
        self._notes.warn(
            "alert", "alerts are printed, and recorded with what else is printed; nobody is sent them"
        )
        is_error = str(getattr(level, "value", level)).upper() == AlertLevel.ERROR.value
        log.log(
            logging.ERROR if is_error else logging.WARNING,
            "runcast: alert: %s",
            f"{title}: {text}" if text else title,
        )

    def mark_preempting(self) -> None:
        """Tell that this changes nothing."""
        self._notes.warn(
            "preempting",
            "run.mark_preempting has no effect: a run that is killed is known to have crashed; resume='auto' goes on with it",
        )

    def log_code(self, root: str | os.PathLike[str] | None = ".", *_: Any, **__: Any) -> None:
        """Tell which code is kept, and how to keep more."""
        self._notes.warn(
            "code",
            f"run.log_code({os.fspath(root or '.')!r}) has no effect: the script or notebook is kept, and what git has not "
            "committed; keep more with run.save('**/*.py', policy='now')",
        )

    def unwatch(self, models: Any = None) -> None:
        """Do nothing: no model is watched (see `watch`)."""

    @abstractmethod
    def watch(self, logdir: Any) -> None:
        """See `Run.watch`."""

    @abstractmethod
    def _keep(self, pattern: str, base: str, policy: Policy = "now") -> None: ...

    def _logged(self, points: Mapping[str, float]) -> None:
        self.summary.logged(self._metrics.summarized(points))
