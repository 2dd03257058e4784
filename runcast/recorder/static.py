"""The static form: what a saved notebook shows of a run when there is no kernel.

A picture, for pages that run no scripts (GitHub, an untrusted notebook), and a fragment of HTML that holds the same picture
and, where scripts run, puts the panel's interactive charts in its place: their script and their points are in the fragment.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.recorder.static_charts import WIDTH, compose, drawing_order, is_system
from runcast.recorder.static_numbers import format_value
from runcast.run.strict import strict
from runcast.store.buckets import select
from runcast.store.protocol import Points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from runcast.run.record import RunRecord
    from runcast.store.protocol import SeriesRecord

    Columns = Mapping[int, Points]

__all__ = ["draw", "warm"]

_MOST_BYTES = 1_000_000
"""What a fragment may weigh without the panel's script: saved notebooks are sent, kept in git, and shown by GitHub."""

_BYTES_A_POINT = 32
"""Three float64 in base64."""

_MOST_POINTS = 1000
_MOST_SERIES = 400
_MOST_CONFIG = 50_000

_SHOWN_FACTS = ("python", "os", "cpus", "memory", "gpus", "git")
"""What a saved notebook says of where a run was made. People publish notebooks: no user, host, folder or command line."""


def warm() -> None:
    """Load matplotlib and its fonts now, so that the first `draw` takes no longer than the next. Takes a second or more."""
    from runcast.recorder.static_png import warm_fonts

    warm_fonts()


def draw(
    run: RunRecord,
    series: Sequence[SeriesRecord],
    points: Callable[[SeriesRecord], Points],
    *,
    bundle: str,
    uid: str,
) -> tuple[bytes, bytes]:
    """Return the static form of `run` as PNG and as a fragment of HTML in UTF-8.

    `points` answers a series' points in step order, already bucketed for a chart's width. `bundle` is the path of the script
    that defines `runcastStatic.mount(element, form)`; the fragment of one that is not there is the picture alone. `uid` ties
    the fragment's script to its element; several forms may share a page.
    """
    from runcast.recorder.static_png import paint

    scalars = [one for one in series if one.plugin == "scalars" and one.count]
    shown = sorted(scalars, key=drawing_order)[:_MOST_SERIES]
    columns = {one.id: points(one) for one in shown}
    shown = [one for one in shown if len(columns[one.id].step)]
    picture = compose(shown, columns)
    until = _until(run, scalars)
    png = paint(
        run,
        picture,
        points=sum(one.count for one in scalars),
        seconds=until - run.created,
        state=_standing(run, until),
    )
    return png, _fragment(run, png, shown, columns, bundle=bundle, uid=uid)


def _until(run: RunRecord, series: Iterable[SeriesRecord]) -> float:
    """Return when the run ended, or until when it was recorded as far as its points tell."""
    ended = run.ended or max([run.heartbeat or 0.0, *(one.last_wall_time for one in series)])
    return max(run.created, ended) if math.isfinite(ended) else run.created


def _standing(run: RunRecord, until: float) -> str:
    """Return the run's state as it can be said for good: whoever sees the form of a running run sees it later."""
    if run.state != "running":
        return run.state
    try:
        return f"recorded up to {datetime.fromtimestamp(until).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "was running"


def _fragment(
    run: RunRecord, png: bytes, series: Sequence[SeriesRecord], columns: Columns, *, bundle: str, uid: str
) -> bytes:
    image = base64.b64encode(png).decode("ascii")
    style = "display:block;max-width:100%;height:auto;border-radius:6px"
    alt = html.escape(_alt(run, series, _standing(run, _until(run, series))))
    parts = [
        f'<div class="runcast-static" data-runcast-static="{html.escape(uid)}">',
        f'<img src="data:image/png;base64,{image}" alt="{alt}" width="{WIDTH}" style="{style}"></div>',
    ]
    script = _script(bundle)
    if script is not None:
        form = _form(run, series, columns, uid=uid, room=_MOST_BYTES - len(image))
        parts.append(f"<script>{script}</script>")
        parts.append(f"<script>{_MOUNT.replace('FORM', _in_script(json.dumps(form)))}</script>")
    return "".join(parts).encode("utf-8", "replace")


# A page may hold several forms, and one form several times (two views of a notebook): each mounts what is new of its own.
# JSON.parse, because in a script `__proto__` would be no mere key.
_MOUNT = """(() => {
  const form = JSON.parse(FORM);
  for (const element of document.querySelectorAll("[data-runcast-static]")) {
    if (element.dataset.runcastStatic !== form.uid || element.runcastMounted) continue;
    element.runcastMounted = true;
    globalThis.runcastStatic.mount(element, form);
  }
})();"""


def _script(bundle: str) -> str | None:
    """Return the panel's script so that no text in it can end the element that holds it; None if it is not there."""
    try:
        script = Path(bundle).read_text("utf-8")
    except OSError:
        return None
    return re.sub("<(?=/script|!--)", r"\\x3c", script, flags=re.IGNORECASE)


def _in_script(text: str) -> str:
    """Return `text` as a JavaScript string that nothing in a page can take for markup."""
    return json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _alt(run: RunRecord, series: Sequence[SeriesRecord], standing: str) -> str:
    last = [f"{one.tag} {format_value(one.last)}" for one in series if not is_system(one)]
    more = f" and {len(last) - 8} more" if len(last) > 8 else ""
    return (
        f"Charts of run {run.name} ({standing}): {', '.join(last[:8])}{more}"
        if last
        else f"Run {run.name} ({standing})"
    )


def _form(
    run: RunRecord, series: Sequence[SeriesRecord], columns: Columns, *, uid: str, room: int
) -> dict[str, Any]:
    """Return the form as the panel's script takes it, in about `room` bytes."""
    facts = _facts(run)
    heads = [
        {
            "id": one.id,
            "root": one.root,
            "source": one.source,
            "tag": one.tag,
            "plugin": one.plugin,
            "total": one.count,
        }
        for one in series
    ]
    room -= len(json.dumps([facts, heads]))
    limit = _limit([len(columns[one.id].step) for one in series], room // _BYTES_A_POINT)
    thinned = [_thin(columns[one.id], limit) for one in series]
    for head, kept in zip(heads, thinned, strict=True):
        head["n"] = len(kept.step)
    return {
        "v": 1,
        "uid": uid,
        "run": facts,
        "series": heads,
        "buffers": {
            "step": _base64([kept.step for kept in thinned]),
            "wall": _base64([kept.wall_time for kept in thinned]),
            "value": _base64([kept.value for kept in thinned]),
        },
    }


def _facts(run: RunRecord) -> dict[str, Any]:
    config = strict(run.config)
    if len(json.dumps(config)) > _MOST_CONFIG:
        config = {"(config)": f"too long to be shown here; see runcast show {run.id}"}
    facts = {key: run.facts[key] for key in _SHOWN_FACTS if key in run.facts}
    if isinstance(facts.get("git"), dict):
        facts["git"] = {key: value for key, value in facts["git"].items() if key != "remote"}
    return {
        "id": run.id,
        "project": run.project,
        "name": run.name,
        "state": run.state,
        "created": run.created,
        "ended": run.ended,
        "config": config,
        "facts": strict(facts),
    }


def _limit(lengths: Sequence[int], budget: int) -> int:
    """Return how many points each series may have so that all of them together have `budget` at most."""
    limit = _MOST_POINTS
    while limit > 8 and sum(min(length, limit) for length in lengths) > budget:
        limit = limit * 9 // 10
    return limit


def _thin(points: Points, limit: int) -> Points:
    """Return `limit` points at most, the extremes among them."""
    if len(points.step) <= limit:
        return points
    rows = select(points.step, points.value, limit // 4)
    return Points(points.step[rows], points.wall_time[rows], points.value[rows])


def _base64(columns: Sequence[NDArray[Any]]) -> str:
    joined = np.concatenate([np.zeros(0), *columns]).astype("<f8")
    return base64.b64encode(joined.tobytes()).decode("ascii")
