"""Several files' steps at once: what they append goes into the store together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runcast.recorder.delivery import Appending
    from runcast.recorder.pump import Pump, Step
    from runcast.store.protocol import Append, Appended, OffsetMismatch, Store

__all__ = ["Steps"]

MOST_FILES = 256
"""Files in one transaction: others wait for the store meanwhile."""

MOST_BYTES = 4 << 20
"""Bytes from which on no other file joins a transaction: they are all in memory."""


class Steps:
    """Steps of different files of one run. Used by one thread, and once."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._run = run
        self._files = 0
        self._bytes = 0
        self._waiting: list[tuple[Pump, Appending[Step], Append]] = []
        self._outcomes: list[tuple[Pump, Step | Exception]] = []

    @property
    def room(self) -> bool:
        """Whether another step may join."""
        return self._files < MOST_FILES and self._bytes < MOST_BYTES

    def begin(self, pump: Pump, step: Appending[Step]) -> None:
        """Take in a step that has not begun. Raises what that raises."""
        self._files += 1
        try:
            self._wait(pump, step, next(step))
        except StopIteration as done:
            self._outcomes.append((pump, done.value))

    def finish(self) -> Iterator[tuple[Pump, Step | Exception]]:
        """Yield what came of each, an error where the store refuses the file.

        Raises what the store raises when it takes nothing at all; files whose outcome was not yielded until then are as they
        were.
        """
        while self._waiting or self._outcomes:
            yield from self._outcomes
            self._outcomes = []
            waiting, self._waiting = self._waiting, []
            if waiting:
                answers = self._store.append_all(self._run, [append for _, _, append in waiting])
                for (pump, step, _), answer in zip(waiting, answers, strict=True):
                    self._go_on(pump, step, answer)

    def _go_on(
        self, pump: Pump, step: Appending[Step], answer: Appended | OffsetMismatch | StoreError
    ) -> None:
        try:
            append = step.throw(answer) if isinstance(answer, StoreError) else step.send(answer)
        except StopIteration as done:
            self._outcomes.append((pump, done.value))
        except Exception as error:  # noqa: BLE001  one file's trouble is not the others'
            self._outcomes.append((pump, error))
        else:
            self._wait(pump, step, append)

    def _wait(self, pump: Pump, step: Appending[Step], append: Append) -> None:
        self._bytes += len(append.data)
        self._waiting.append((pump, step, append))
