"""What a notebook's cells did, kept as a notebook in the folder of the run that is recorded."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from runcast.extension.cells import Displayed, Output
    from runcast.run.redact import Redactor

__all__ = ["NotebookHistory"]

SETTLE = 0.3
"""Seconds after a cell's beginning or end until it is written: IPython and the streams have to be done with it."""

SETTLE_CONSOLE = 1.0
"""The same where what was printed comes from the run's console, which is written a little later."""

WHILE_RUNNING = 10.0
"""Seconds between two writings while a cell runs on."""

REST = 20.0
"""How many times as long as writing took nothing is written."""

MOST = 20_000_000
"""Characters of all outputs; of older cells only the source is kept then."""


class NotebookHistory:
    """Follows the cells of one shell. Its methods are for the shell's thread, take no time, and never raise.

    Writing is done on a thread of its own, at first when there is a run to keep it with. A file is replaced at once, so
    that what stands there is always a whole notebook.
    """

    def __init__(self, shell: InteractiveShell, report: Callable[[str], None]) -> None:
        self._shell = shell
        self._report = report
        self._pid = os.getpid()
        self._file: Path | None = None
        self._running: int | None = None
        self._displayed: dict[int, list[Displayed]] = {}
        self._size = 0
        self._errors: dict[int, Output] = {}
        self._changed: set[int] = set()
        self._sources: dict[int, str] = {}
        self._cells: dict[int, str] = {}
        self._bare: dict[int, str] = {}
        self._streams: dict[int, list[Output]] = {}
        self._redactor: Redactor | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        register = getattr(shell.display_pub, "register_hook", None)
        if register is not None:
            register(self._on_display)

    def close(self) -> None:
        """Follow the shell no more."""
        unregister = getattr(self._shell.display_pub, "unregister_hook", None)
        if unregister is not None:
            unregister(self._on_display)
        self._file = None
        self._thread = None
        self._wake.set()

    def keep_in(self, file: Path | None) -> None:
        """Keep the notebook here from now on; None: nowhere."""
        if file == self._file:
            return
        self._file = file
        if file is not None and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="runcast-history", daemon=True)
            self._thread.start()
        self._wake.set()

    def stop(self) -> None:
        """Write the notebook for the last time: the run is over."""
        self.write()
        self.keep_in(None)

    def cell_begins(self, n: int) -> None:
        """Note that cell number `n` is about to run."""
        self._running = n
        self._wake.set()

    def cell_ended(self, n: int, error: BaseException | None) -> None:
        """Note that cell number `n` has run."""
        from runcast.extension.cells import error_output

        self._running = None
        if error is not None:
            self._errors[n] = error_output(error)
        self._changed.add(n)
        self._wake.set()

    def write(self) -> None:
        """Write the notebook now, on this thread."""
        with self._lock:
            self._write()

    def _on_display(self, message: dict[str, Any]) -> dict[str, Any]:
        """Remember what is displayed, as ipykernel sends it; the message passes on unchanged."""
        from runcast.extension.cells import bounded, is_ours

        with suppress(Exception):
            content = message["content"]
            if not is_ours(content) and "data" in content:
                shown_as = str((content.get("transient") or {}).get("display_id") or "")
                if (message.get("msg_type") or message["header"]["msg_type"]) == "update_display_data":
                    self._update(shown_as, content)
                elif (n := self._running) is not None:
                    place = len(getattr(self._shell.history_manager, "outputs", {}).get(n, ()))
                    self._remember(n, (place, shown_as, bounded(content)))
        return message

    def _remember(self, n: int, displayed: Displayed) -> None:
        """Take in what cell `n` displayed, and forget what older ones did when it gets much: a kernel's memory is the user's."""
        from runcast.extension.cells import size_of

        self._displayed.setdefault(n, []).append(displayed)
        self._size += size_of(displayed)
        while self._size > MOST and len(self._displayed) > 1:
            self._size -= sum(map(size_of, self._displayed.pop(next(iter(self._displayed)))))

    def _update(self, shown_as: str, content: dict[str, Any]) -> None:
        from runcast.extension.cells import bounded, size_of

        if not shown_as:
            return
        for n, displayed in self._displayed.items():
            for index, (place, name, _) in enumerate(displayed):
                if name == shown_as:
                    self._size -= size_of(displayed[index])
                    displayed[index] = place, name, bounded(content)
                    self._size += size_of(displayed[index])
                    self._changed.add(n)

    def _work(self) -> None:
        me = threading.current_thread()
        while self._thread is me:
            self._wake.wait(WHILE_RUNNING if self._running is not None else None)
            time.sleep(SETTLE if self._remembers_streams else SETTLE_CONSOLE)
            self._wake.clear()
            started = time.monotonic()
            with self._lock:
                self._write()
            time.sleep(REST * (time.monotonic() - started))

    def _write(self) -> None:
        file = self._file
        if file is None or os.getpid() != self._pid:
            return
        try:
            from runcast.extension.cells import notebook_json

            self._bring_up_to_date()
            text = notebook_json(self._bounded())
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = file.with_name(f"{file.name}.{threading.get_ident()}")
            draft.write_text(text, encoding="utf-8", errors="replace")
            draft.replace(file)
        except Exception as error:  # noqa: BLE001  a full disk, an output that cannot be told: no reason to disturb anybody
            self._report(f"the notebook's history could not be kept: {error!r}")

    def _bring_up_to_date(self) -> None:
        """Make the JSON of the cells that are new or have changed."""
        from runcast.extension.cells import cell_json, inputs, outputs
        from runcast.run.redact import Redactor

        if self._redactor is None:
            self._redactor = Redactor()
        sources = inputs(self._shell)
        printed = {} if self._remembers_streams else self._printed()
        changed, self._changed = self._changed, set()
        changed |= {n for n in printed if printed[n] != self._streams.get(n)}
        self._streams = printed
        running = self._running
        for n, source in enumerate(sources):
            if n == 0 or not source:
                continue
            if n in self._cells and n not in changed and n != running and self._sources.get(n) == source:
                continue
            found = [
                *printed.get(n, ()),
                *outputs(self._shell, n, list(self._displayed.get(n, ())), self._errors.get(n)),
            ]
            self._sources[n] = source
            self._cells[n] = cell_json(n, source, found, self._redactor)
            self._bare[n] = cell_json(n, source, (), self._redactor)

    @property
    def _remembers_streams(self) -> bool:
        """Whether IPython knows what cells printed: from version 9 on."""
        return hasattr(self._shell.history_manager, "outputs")

    def _printed(self) -> dict[int, list[Output]]:
        """Return what the cells printed, from the run's console."""
        from runcast.extension.cells import stream_output
        from runcast.run.console.spool import CONSOLE, read_console

        assert self._file is not None
        found: dict[int, dict[str, list[str]]] = {}
        for line in read_console(self._file.parents[1] / CONSOLE):
            if line.cell is not None:
                found.setdefault(line.cell, {}).setdefault(line.stream, []).append(f"{line.text}\n")
        return {
            n: [stream_output(f"std{name}", pieces) for name, pieces in streams.items()]
            for n, streams in found.items()
        }

    def _bounded(self) -> list[str]:
        """Return the cells in order; where all of them are too much, the older ones without their outputs."""
        kept: list[str] = []
        room = MOST
        for n in sorted(self._cells, reverse=True):
            cell = self._cells[n]
            room -= len(cell)
            kept.append(cell if room >= 0 else self._bare[n])
        return kept[::-1]
