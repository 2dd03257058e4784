"""Trials: trainings whose hyperparameters an event file says (`add_hparams`, TensorFlow's hparams API, Keras's callback).

They are no part of the journal: the recorder finds them in the event files and keeps them among the run's facts, whole, so that
finding them again changes nothing. What they are in the run's config and summary is worked out here, on reading:

- A hyperparameter on which all trials agree is in the config itself, as if the user had set it; so are all of them where there
  is one trial. With several, the config's `trials` has each one's own, by source.
- So it is with the summary: the last values of the metrics, by tag, and the `status` with which it ended (`success`,
  `failure`), of the one trial; with several, `trials` has each one's, by source.

What the user set wins, key by key.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["FACT", "TRIALS", "config_with", "summary_of"]

FACT = "hparams"
"""The run's fact that holds them: `{"trials": [{"root", "source", "config", "status"}, …], "metrics": [[tag, group], …]}`.

A metric is the series `tag` of the source `group` below each trial's.
"""

TRIALS = "trials"

_MISSING = object()


def config_with(config: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's config, given the one that the user set and the run's facts."""
    trials = _trials(facts)
    if not trials:
        return dict(config)
    configs = [trial["config"] for trial in trials.values()]
    found = {
        key: value
        for key, value in configs[0].items()
        if all(other.get(key, _MISSING) == value for other in configs)
    }
    if len(trials) > 1:
        found[TRIALS] = {name: trial["config"] for name, trial in trials.items()}
    return {**found, **config}


def summary_of(facts: Mapping[str, Any], last: Mapping[tuple[str, str, str], float]) -> dict[str, Any]:
    """Return what trials add to a run's summary; `last` is the last value of each series by (root, source, tag)."""
    metrics = [tuple(each) for each in _of(facts, "metrics")]
    summaries = {}
    for name, trial in _trials(facts).items():
        summary = {}
        for tag, group in metrics:
            source = posixpath.normpath(posixpath.join(trial["source"], group))
            if (value := last.get((trial["root"], source, tag))) is not None:
                summary[tag if tag not in summary else f"{group}/{tag}"] = value
        if trial.get("status"):
            summary["status"] = trial["status"]
        summaries[name] = summary
    if len(summaries) == 1:
        return next(iter(summaries.values()))
    return {TRIALS: summaries} if summaries else {}


def _trials(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the trials by source, with the root before it where that does not tell them apart."""
    trials = [trial for trial in _of(facts, "trials") if isinstance(trial, dict)]
    sources = Counter(trial["source"] for trial in trials)
    return {
        trial["source"]
        if sources[trial["source"]] == 1
        else posixpath.join(trial["root"], trial["source"]): trial
        for trial in trials
    }


def _of(facts: Mapping[str, Any], what: str) -> Iterable[Any]:
    found = facts.get(FACT)
    return found.get(what) or () if isinstance(found, dict) else ()
