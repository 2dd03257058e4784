"""Finds the trials of a run in its event files (see `runcast.run.trials`), whenever the hparams plugin has logged anything."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from runcast.errors import BadValue
from runcast.events.plugins import hparams
from runcast.events.record import read_record
from runcast.run.trials import FACT
from runcast.store.paths import FilePath
from runcast.store.protocol import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runcast.events import Batch
    from runcast.store.protocol import SeriesRecord, Store

    Source = tuple[str, str]
    """(root, source)"""

__all__ = ["Trials"]

log = logging.getLogger(__name__)


class Trials:
    """The trials of one run; used by one thread. All of it is in the event files: a new recorder reads them again.

    Only whole sources are read again, and only those in which something was logged, so that a sweep of many trials, each of which
    has a source of its own, costs each of them once. Of a run that is `fresh`, nothing was in the store before.
    """

    def __init__(self, *, fresh: bool = False) -> None:
        self._stale: set[Source] | None = set() if fresh else None
        self._said: dict[Source, list[Any]] = {}
        self._noted: dict[str, Any] = {}

    @property
    def facts(self) -> dict[str, Any]:
        """The run's fact, as it was noted last."""
        return self._noted

    def add(self, path: str, batch: Batch) -> None:
        """Take note of what the store has indexed of the file at `path`."""
        if self._stale is not None and any(each.plugin == hparams.PLUGIN for each in batch.summaries):
            place = FilePath.parse(path)
            self._stale.add((place.root, place.source))

    def note(self, store: Store, run: str) -> None:
        """Tell the store what has changed. Raises what it raises; the next call tries again."""
        if self._stale is not None and not self._stale:
            return
        for source, said in self._read(store, run):
            self._said[source] = said
        found = self._found()
        if found != self._noted:
            store.update(run, Facts(facts=found))
            self._noted = found
        self._stale = set()

    def _read(self, store: Store, run: str) -> Iterator[tuple[Source, list[Any]]]:
        """Yield what is said in the sources that are stale."""
        series: dict[Source, list[SeriesRecord]] = {}
        for each in store.series(run):
            source = each.root, each.source
            if each.plugin == hparams.PLUGIN and (self._stale is None or source in self._stale):
                series.setdefault(source, []).append(each)
        for source, several in series.items():
            yield source, [said for each in several for said in _said(store, run, each)]

    def _found(self) -> dict[str, Any]:
        trials = []
        metrics: dict[tuple[str, str], None] = {}
        for (root, source), said in self._said.items():
            starts = [each for each in said if isinstance(each, hparams.SessionStart)]
            ends = [each for each in said if isinstance(each, hparams.SessionEnd)]
            if starts:
                config = {key: _plain(value) for key, value in starts[-1].config.items()}
                ended = bool(ends) and (not ends[-1].ended or ends[-1].ended >= starts[-1].started)
                status = ends[-1].status if ended else ""
                trials.append({"root": root, "source": source, "config": config, "status": status})
            for each in said:
                if isinstance(each, hparams.Experiment):
                    metrics |= dict.fromkeys((metric.tag, metric.group) for metric in each.metrics)
        return {FACT: {"trials": trials, "metrics": [list(each) for each in metrics]}} if self._said else {}


def _said(store: Store, run: str, series: SeriesRecord) -> Iterator[Any]:
    """Yield what one tag says, in order; what cannot be understood is passed over."""
    for record in store.summaries(run, series.root, series.source, series.tag):
        data = store.read(run, record.path, record.offset, record.offset + record.length)
        try:
            for logged in read_record(data).summaries:
                if logged.tag == series.tag and logged.metadata is not None:
                    yield hparams.read(logged.metadata.content)
        except BadValue as error:
            log.warning("%s, at %d: %s", record.path, record.offset, error)


def _plain(value: hparams.Hparam) -> Any:
    """Return a hyperparameter as the user wrote it, as far as can be told: the format has no integers."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value
