"""What one run shows in its cell: the living panel and, beneath it, the static form that needs no kernel."""

from __future__ import annotations

import base64
import contextvars
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Literal

from runcast.widgets import static_script

if TYPE_CHECKING:
    from collections.abc import Callable

    from runcast.run.live import Run
    from runcast.widgets.panel import Panel
    from runcast.widgets.relay import Relay

__all__ = ["View"]

FIRST_FORM, NEXT_FORM = 3.0, 30.0
"""Seconds after which a cell that runs on gets its first static form, and the next ones: what a killed kernel leaves behind."""

LATE_FORM = 1.0
"""Seconds after a cell's end in which points that come late are gathered for one form: a busy recorder, or a thread's writer."""

FRAMES = frozenset({"snapshot", "delta", "run", "warning", "finished"})
"""Kinds of messages that the page understands."""


class View:
    """Two outputs of the cell that made it: A, the living panel, and B, the static form that a living panel hides.

    Both are made once, by `show()`, in the main thread and in the cell where they belong; later they are only updated, from
    any thread. The recorder draws: this class asks and passes on. No method raises for a page that is gone.
    """

    def __init__(self, run: Run, form: Literal["widget", "static"], report: Callable[[str], None]) -> None:
        self.run = run
        self._form = form
        self._report = report
        self._uid = uuid.uuid4().hex
        self._panel: Panel | None = None
        self._relay: Relay | None = None
        self._context = contextvars.copy_context()
        self._stands = False
        self._brought = False
        self._on_its_way = False
        self._system: set[int] = set()
        self._due = time.monotonic() + FIRST_FORM
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._unsubscribe: Callable[[], None] = lambda: None

    def show(self, *, height: int, tensorboard: bool) -> None:
        """Make both outputs. Raises `RuncastError` if the panel was not built."""
        script = static_script()
        if self._form == "widget":
            self._show_panel(height=height, tensorboard=tensorboard)
        self._publish("static", {"text/plain": "", "text/html": ""})
        self._unsubscribe = self.run.on_message(self._receive)
        self.run.send({"kind": "show", "uid": self._uid, "bundle": str(script)})

    def refresh(self, timeout: float = 0.0) -> None:
        """Have the static form drawn again if points have come since the last one; wait for it up to `timeout` seconds.

        Points that are still on their way get theirs soon after they come.
        """
        if self._brought or (self._on_its_way and timeout > 0):
            self._redraw(timeout)
        self._due = min(self._due, time.monotonic() + LATE_FORM)

    def close(self) -> None:
        """Take the panel away: the static form stands alone, as the recorder drew it when the run ended."""
        self._unsubscribe()
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        if self._relay is not None:
            self._relay.close()
        if self._form == "widget":
            self._publish("panel", {"text/plain": self._line()}, update=True)
        elif not self._stands:
            self._publish("static", {"text/plain": self._line()}, update=True)

    def _show_panel(self, *, height: int, tensorboard: bool) -> None:
        from runcast.widgets.panel import Panel
        from runcast.widgets.relay import Relay

        panel = Panel(
            on_hello=self._snapshot,
            uid=self._uid,
            run={"id": self.run.id, "name": self.run.name, "project": self.run.project, "state": "running"},
            options={"height": height, "tensorboard": tensorboard},
        )
        self._panel = panel
        self._relay = Relay(
            lambda header, buffers: panel.send(header, buffers=buffers),
            on_backlog=self._snapshot,
            report=self._report,
        )
        data, metadata = panel.bundle()
        self._publish("panel", data, metadata)

    def _snapshot(self) -> None:
        self.run.send({"kind": "snapshot"})

    def _receive(self, header: dict[str, Any], buffers: list[bytes]) -> None:
        """Take one message of the recorder; runs on the link's thread."""
        kind = header.get("kind")
        if kind == "static" and header.get("token") is None:
            # ipykernel 7.0 cannot publish from a thread that has not this context.
            self._context.run(self._draw, header, buffers)
        if kind not in FRAMES or header.get("uid", self._uid) != self._uid:
            return
        if self._has_news(header.get("series", [])):
            self._brought = True
            self._redraw_when_due()
        if self._relay is not None:
            self._relay.put(header, buffers)

    def _has_news(self, series: list[dict[str, Any]]) -> bool:
        """Whether a frame has points of the training: those of the system come all the time."""
        self._system |= {
            one["id"] for one in series if (one.get("root"), one.get("source")) == ("own", "system")
        }
        return any(one["n"] and one["id"] not in self._system for one in series)

    def _redraw_when_due(self) -> None:
        """Ask for a form now or, once for all that comes meanwhile, when the next is due."""
        left = self._due - time.monotonic()
        if left <= 0:
            self._redraw()
            return
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(min(left, LATE_FORM), self._look_again)
                self._timer.daemon = True
                self._timer.start()

    def _look_again(self) -> None:
        with self._lock:
            self._timer = None
        if self._brought:
            self._redraw_when_due()

    def _redraw(self, timeout: float = 0.0) -> None:
        """Ask for a form: one that is waited for is drawn by this thread, another by the link's when it comes."""
        self._brought = False
        self._due = time.monotonic() + NEXT_FORM
        if timeout <= 0:
            self._on_its_way = True
            self.run.send({"kind": "static", "token": None})
        elif (reply := self.run.request("static", timeout)) is not None:
            self._draw(*reply)

    def _draw(self, header: dict[str, Any], buffers: list[bytes]) -> None:
        self._on_its_way = False
        if len(buffers) != 2:
            self._report(f"the static form could not be drawn: {header.get('error', 'no reason was given')}")
            return
        png, html = buffers
        data = {
            # Not its state: nobody may be there to update that when the run ends.
            "text/plain": f"runcast: {self.run.name}; `runcast show {self.run.id}` shows it",
            "image/png": base64.b64encode(png).decode("ascii"),
            "text/html": html.decode(),
        }
        self._publish("static", data, update=True)
        self._stands = True

    def _line(self) -> str:
        return f"runcast: {self.run.name} is {self.run.state}; `runcast show {self.run.id}` shows it"

    def _publish(
        self,
        output: Literal["panel", "static"],
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        update: bool = False,
    ) -> None:
        from IPython.display import display

        try:
            display(  # type: ignore[no-untyped-call]
                data, metadata=metadata, raw=True, display_id=f"runcast-{output}-{self._uid}", update=update
            )
        except Exception as error:  # noqa: BLE001  a page that is gone costs its picture, not the training
            self._report(f"the {output} output could not be published: {error!r}")
