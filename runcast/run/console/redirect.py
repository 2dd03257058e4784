"""Noting what a script and its children print, whatever they are written in: at the file descriptors 1 and 2.

What is printed goes through a pipe (or, in front of a terminal, through a terminal of our own, so that programs look as they do)
to a small process, `tee.py`, which passes it on and keeps a copy. Should that process die, a thread here puts everything back as
it was and passes on what was on its way.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Redirection"]

PIPE_SIZE = 1 << 20
_F_SETPIPE_SZ = 1031  # Linux; the module fcntl names it from Python 3.10 on, on Linux only

_DESCRIPTORS = {1: "out", 2: "err"}


class Redirection:
    """Redirects the process's stdout and stderr to a copy in `console_file` from now on, until `stop`.

    `failed(why)` is called, from a thread, when no copy is kept any more; printing goes on in any case. Raises `OSError` where
    this cannot be done (no such descriptors, no process); then everything is as before. POSIX only.
    """

    def __init__(self, console_file: Path, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._originals: dict[int, int] = {}
        """Each descriptor that is redirected, and a duplicate of what it was."""
        self._redirected: set[int] = set()
        self._sources: list[tuple[int, int]] = []
        """(reading end, where it goes), kept to pass on what is on its way should the process die."""
        self._drained = threading.Event()
        opened: list[int] = []
        try:
            targets = self._open(opened)
            self._process = _start_tee(console_file, targets)
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        _flush()
        for source, sink, fds in targets.values():
            self._sources.append((source, self._originals[fds[0]]))
            for fd in fds:
                os.dup2(sink, fd)
                self._redirected.add(fd)
            os.close(sink)
        threading.Thread(target=self._listen, name="runcast-console", daemon=True).start()

    def _open(self, opened: list[int]) -> dict[str, tuple[int, int, list[int]]]:
        """Open a channel for each place that is printed to: its name, its reading and its writing end, the descriptors."""
        places: dict[tuple[int, int], list[int]] = {}
        for fd in _DESCRIPTORS:
            with suppress(OSError):  # closed, as in some daemons
                found = os.fstat(fd)
                places.setdefault((found.st_dev, found.st_ino), []).append(fd)
        if not places:
            raise OSError("neither stdout nor stderr is open")
        targets = {}
        for fds in places.values():
            for fd in fds:
                self._originals[fd] = os.dup(fd)
                opened.append(self._originals[fd])
            source, sink = _open_terminal(fds[0]) if os.isatty(fds[0]) else _open_pipe()
            opened += [source, sink]
            targets["both" if len(fds) == 2 else _DESCRIPTORS[fds[0]]] = (source, sink, fds)
        return targets

    def look(self) -> None:
        """Nothing to do: descriptors stay where they lead."""

    def stop(self, timeout: float = 1.0) -> None:
        """Put the descriptors back, and wait until what was printed has been passed on and copied; harmless when repeated.

        Children that still print to our channels go on to be passed on.
        """
        if os.getpid() != self._pid:
            return
        _flush()
        self._put_back()
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.write(b"drain\n")
            self._drained.wait(timeout)
            self._process.stdin.close()

    def _put_back(self, fds: Iterable[int] = tuple(_DESCRIPTORS)) -> None:
        with self._lock:
            for fd in self._redirected.intersection(fds):
                os.dup2(self._originals[fd], fd)
                self._redirected.discard(fd)

    def _listen(self) -> None:
        """Hear what the process says, until it ends."""
        assert self._process.stdout is not None
        with self._process.stdout as said:
            for line in said:
                self._hear(*line.decode().strip().partition(" ")[::2])
        status = self._process.wait()
        with self._lock:  # it also ends as soon as `stop` has put everything back
            redirected = bool(self._redirected)
        if redirected:
            self._failed(f"the process that copies it ended ({status})")
        self._pass_on_rest()  # before anything that is printed next
        self._put_back()
        self._pass_on_rest()
        self._drained.set()
        for fd in [*(source for source, _ in self._sources), *self._originals.values()]:
            os.close(fd)

    def _hear(self, word: str, rest: str) -> None:
        if word == "drained":
            self._drained.set()
        elif word == "broken":  # let the script find out by itself
            self._put_back(fd for fd, name in _DESCRIPTORS.items() if rest in {name, "both"})
        elif word == "failed":
            self._failed(rest)

    def _pass_on_rest(self) -> None:
        for source, target in self._sources:
            os.set_blocking(source, False)
            with suppress(OSError):
                while piece := os.read(source, 1 << 16):
                    while piece:
                        piece = piece[os.write(target, piece) :]


def _open_pipe() -> tuple[int, int]:
    import fcntl

    source, sink = os.pipe()
    with suppress(OSError):  # more than this user may have, or another system
        fcntl.fcntl(sink, _F_SETPIPE_SZ, PIPE_SIZE)
    return source, sink


def _open_terminal(like: int) -> tuple[int, int]:
    """Open a terminal of the size and kind of another one, which changes nothing of what is written to it."""
    import fcntl
    import termios

    source, sink = os.openpty()
    attributes = termios.tcgetattr(like)
    attributes[1] &= ~termios.OPOST  # the real one adds its carriage returns
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(sink, termios.TCSANOW, attributes)
    fcntl.ioctl(sink, termios.TIOCSWINSZ, fcntl.ioctl(like, termios.TIOCGWINSZ, b"\0" * 8))
    return source, sink


def _start_tee(console_file: Path, targets: dict[str, tuple[int, int, list[int]]]) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("tee.py")
    package = Path(__file__).resolve().parents[3]
    channels = []
    ends = []
    for name, (source, _, fds) in targets.items():
        target = os.dup(fds[0])
        channels.append(f"{name}:{source}:{target}")
        ends += [source, target]
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), str(package), str(console_file), *channels],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            pass_fds=ends,
            start_new_session=True,
        )
    finally:
        for target in ends[1::2]:
            os.close(target)


def _flush() -> None:
    """Write what Python and C hold back, so that it comes before what follows, on the same way."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # None, closed, or someone's own
            stream.flush()
    with suppress(Exception):  # a C library that is not reached so
        ctypes.CDLL(None).fflush(None)
