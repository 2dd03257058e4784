"""The training process's end of the channel: keeps a recorder running, and talks with it without ever waiting for it."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runcast.errors import RecorderError
from runcast.run.channel import EXIT_LOCKED, Message, pack, read_messages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["RecorderLink"]

log = logging.getLogger("runcast")

FIRST_WAIT, LONGEST_WAIT = 0.2, 30.0
"""Seconds before a dead recorder is replaced, doubled for each that dies young."""

YOUNG = 10.0
"""Seconds that a recorder must live for its death not to count as one more failure in a row."""

TELL_AFTER = 3
"""Failures in a row after which the user is told."""

OUTBOX_LIMIT = 256
"""Messages that may wait for a recorder that does not read."""


class RecorderLink:
    """Runs a recorder (another one when it dies) and carries messages to and from it; every method is thread-safe.

    Nothing here raises for a dead recorder, and nothing waits for one. Two daemon threads do the work: one listens and
    restarts, one writes, so that a recorder that does not read blocks neither the user nor the listening.
    """

    def __init__(self, launch: Callable[[], subprocess.Popen[bytes]], *, log_file: Path) -> None:
        self._launch = launch
        self._log_file = log_file
        self._pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._changed = threading.Condition()
        self._outbox: deque[dict[str, Any]] = deque()
        self._shown: dict[str, dict[str, Any]] = {}
        self._tokens = itertools.count(1)
        self._waiting: dict[int, _Reply] = {}
        self._callbacks: list[Callable[[dict[str, Any], list[bytes]], None]] = []
        self._told: set[str] = set()
        self._writing = threading.Lock()
        self._ending = False
        self._failing = False
        self._finished = False
        self._over = False

    def start(self) -> None:
        """Start the recorder and the threads. A recorder that cannot be started is tried again in the background."""
        self._relaunch()
        for target, name in ((self._supervise, "runcast-link"), (self._write, "runcast-link-writer")):
            threading.Thread(target=target, name=name, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether a recorder process runs now, as far as is known."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The process id of the recorder that runs now; None without one."""
        process = self._process
        return process.pid if process is not None else None

    def subscribe(self, callback: Callable[[dict[str, Any], list[bytes]], None]) -> Callable[[], None]:
        """Call `callback(header, buffers)` for each message from now on, on the listening thread; return the undoing."""
        self._callbacks = [*self._callbacks, callback]

        def unsubscribe() -> None:
            self._callbacks = [other for other in self._callbacks if other is not callback]

        return unsubscribe

    def send(self, header: dict[str, Any]) -> None:
        """Queue a message and return at once. It is lost if the recorder dies, but for `show`: that holds for each new one."""
        if os.getpid() != self._pid:  # a forked child: the lock may be held by a thread that it does not have
            return
        with self._changed:
            if self._over:
                return
            if header["kind"] == "show":
                self._shown[header["uid"]] = header
            if self._process is None or (header["kind"] == "wake" and header in self._outbox):
                return
            if len(self._outbox) >= OUTBOX_LIMIT:
                self._outbox.popleft()
            self._outbox.append(header)
            self._changed.notify_all()

    def request(self, kind: str, timeout: float, **fields: Any) -> Message | None:
        """Ask the recorder and return its reply; None when it is dead, dies, or takes longer than `timeout` seconds."""
        if self._process is None or os.getpid() != self._pid:
            return None
        reply = _Reply()
        token = next(self._tokens)
        self._waiting[token] = reply
        try:
            self.send({"kind": kind, "token": token, **fields})
            if not self.alive:  # it died before it could be seen to owe this reply
                return None
            reply.arrived.wait(timeout)
            return reply.message
        finally:
            self._waiting.pop(token, None)

    def end(self) -> None:
        """Say that the run's end is in the journal: a recorder that exits now has done its work."""
        self._ending = True
        self.send({"kind": "wake"})

    def wait_finished(self, timeout: float) -> bool:
        """Wait until the recorder has said that everything is recorded; False after `timeout` seconds or without hope of it."""
        with self._changed:
            self._changed.wait_for(lambda: self._finished or self._over or self._failing, timeout)
            return self._finished

    def abandon(self) -> None:
        """Let go of the recorder in a forked child: close the child's ends of the pipes and forget the rest.

        The parent's threads are not there, and its locks may be held by them for ever: none is touched.
        """
        process, self._process = self._process, None
        self._over = True
        if process is not None:
            _close_pipes(process)
            process.returncode = 0  # not the child's to wait for

    def _relaunch(self) -> bool:
        try:
            process = self._launch()
        except RecorderError as error:
            self._tell(
                f"{error}; training goes on, and what it logs is recorded once a recorder can be started"
            )
            return False
        with self._changed:
            self._outbox.clear()
            self._outbox.extend(self._shown.values())
            self._process = process
            self._changed.notify_all()
        return True

    def _supervise(self) -> None:
        failures = 0
        while True:
            process = self._process
            if process is not None:
                began = time.monotonic()
                self._listen(process)
                code = self._bury(process)
                if code == EXIT_LOCKED or self._finished or (code == 0 and self._ending):
                    break
                failures = failures + 1 if time.monotonic() - began < YOUNG else 1
                if failures == TELL_AFTER:
                    self._tell(
                        f"the recorder stops right after its start; training goes on, and what it logs stays in its event "
                        f"files. See {self._log_file} for the reason"
                    )
            else:
                failures += 1
            with self._changed:
                self._failing = failures >= TELL_AFTER
                self._changed.notify_all()
            if self._failing and self._ending:
                break  # the run is complete on disk; whoever starts a recorder for it next finishes the work
            time.sleep(min(FIRST_WAIT * 2.0 ** (failures - 1), LONGEST_WAIT))
            self._relaunch()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        try:
            for header, buffers in read_messages(process.stdout):
                self._dispatch(header, buffers)
        except Exception:
            log.debug("the recorder's messages cannot be read", exc_info=True)

    def _dispatch(self, header: dict[str, Any], buffers: list[bytes]) -> None:
        match header.get("kind"):
            case "finished":
                with self._changed:
                    self._finished = True
                    self._changed.notify_all()
            case "warning":
                self._tell(str(header.get("text")))
            case _:
                reply = self._waiting.get(header.get("token", 0))
                if reply is not None:
                    reply.message = (header, buffers)
                    reply.arrived.set()
        for callback in self._callbacks:
            try:
                callback(header, buffers)
            except Exception:  # noqa: PERF203  a subscriber's mistake must not end the link
                log.debug("a subscriber to the recorder's messages failed", exc_info=True)

    def _bury(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a recorder whose messages have ended; return its exit status."""
        with self._changed:
            self._process = None
            self._outbox.clear()
        for reply in list(self._waiting.values()):
            reply.arrived.set()
        try:
            code = process.wait(YOUNG)
        except subprocess.TimeoutExpired:
            process.kill()  # it let go of the channel, so it can neither be asked nor be shown
            code = process.wait()
        with self._writing:
            _close_pipes(process)
        return code

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._outbox or self._over)
                if not self._outbox:
                    return
                header, process = self._outbox.popleft(), self._process
            if process is None or process.stdin is None:
                continue
            # A pipe that broke is the listening thread's to mend.
            with suppress(OSError, ValueError), self._writing:
                data = memoryview(pack(header))
                while data:
                    data = data[process.stdin.write(data) :]

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            log.warning("runcast: %s", text)


class _Reply:
    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.message: Message | None = None


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()
