"""What `run.log` was given, on its way into the run's own event file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from runcast.events.writer import EventWriter, event_file_name
from runcast.run.plain import flatten, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from runcast.run.media import Filed

__all__ = ["STAGING", "ValueLog"]

T = TypeVar("T")

STAGING = "staging"
"""The folder in the run's where files wait that the run makes itself; the recorder moves them to `saved/`."""


class ValueLog:
    """Writes what is logged, under one step at a time. The caller sees to it that one thread at a time is in here.

    `warn(key, text)` says something once a key; `keep(path, base)` has a file kept; `logged(points)` is told of numbers, and then
    `step_of(tag, step)` says at which step one is that was logged at `step`. Nothing raises: what cannot be recorded is told.
    """

    def __init__(
        self,
        folder: Path,
        *,
        step: int,
        warn: Callable[[str, str], None],
        keep: Callable[[str, str], None],
        logged: Callable[[Mapping[str, float]], None],
        step_of: Callable[[str, int], int],
    ) -> None:
        self.step = step
        """The step of the next values that come without one."""
        self._folder = folder
        self._warn = warn
        self._keep = keep
        self._logged = logged
        self._step_of = step_of
        self._writer: EventWriter | None = None

    @property
    def path(self) -> Path | None:
        """The event file; None until something was logged."""
        return self._writer.path if self._writer is not None else None

    def write(self, values: Mapping[Any, Any], step: Any, *, advance: bool = True) -> None:
        """Record values, nested ones under tags with `/`, at `values["global_step"]`, else at `step`, else at the next.

        `advance` says whether the next values are of another step.
        """
        leaves = dict(flatten(values))
        at = self._at(leaves.pop("global_step", step))
        self.step = at + 1 if advance else at
        points: dict[str, float] = {}
        encoded: list[tuple[str, list[bytes]]] = []
        for tag, raw in leaves.items():
            try:
                value = number(raw)
                if value is not None:
                    points[tag] = value
                else:
                    encoded.append((tag, self._encoded(tag, raw, at)))
            except Exception as error:  # noqa: BLE001, PERF203  a user's type may do anything when it is asked for its value
                self._leave_out(tag, raw, f" ({error})")
        self._logged(points)
        try:
            if self._writer is None:
                self._writer = EventWriter(self._folder / "own" / "log" / event_file_name())
            for place, numbers in self._by_step(points.items(), at).items():
                self._writer.scalars(dict(numbers), place)
            for place, media in self._by_step(encoded, at).items():
                self._writer.values([value for _, values in media for value in values], place)
        except OSError as error:
            self._warn(
                "log",
                f"run.log cannot write to {self._folder}: {error}; these values are lost, training goes on",
            )

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def _by_step(self, tagged: Iterable[tuple[str, T]], at: int) -> dict[int, list[tuple[str, T]]]:
        found: dict[int, list[tuple[str, T]]] = {}
        for tag, value in tagged:
            found.setdefault(self._step_of(tag, at), []).append((tag, value))
        return found

    def _encoded(self, tag: str, raw: Any, step: int) -> list[bytes]:
        from runcast.run.media import Filed, media_of  # a training that logs numbers only does without

        if isinstance(raw, Filed):
            return raw.encoded(tag, self._keep_file(tag, raw, step))
        media = media_of(raw)
        if media is None:
            self._leave_out(tag, raw)
            return []
        return media.encoded(tag)

    def _keep_file(self, tag: str, value: Filed, step: int) -> str:
        """Have the whole of a value kept, and return where."""
        name = "/".join(re.sub(r"[^\w.=+-]", "_", part).lstrip(".") or "_" for part in tag.split("/"))
        base = self._folder / STAGING
        path = base / value.folder / name / f"{step}{value.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value.dump())
        self._keep(str(path), str(base))
        return f"saved/{path.relative_to(base).as_posix()}"

    def _leave_out(self, tag: str, raw: Any, why: str = "") -> None:
        self._warn(
            f"value {tag}",
            f"run.log takes numbers, texts, images, arrays and tables; {tag!r} is a {type(raw).__name__} and is left out{why}",
        )

    def _at(self, given: Any) -> int:
        if given is None:
            return self.step
        try:
            value = number(given)
            return self.step if value is None else int(value)
        except (ValueError, OverflowError):
            return self.step
