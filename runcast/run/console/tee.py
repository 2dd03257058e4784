"""The process between a script and its console: it passes on what is printed, as it comes, and keeps a copy.

    python -I -S tee.py SOURCE CONSOLE_FILE  out:FROM:TO  err:FROM:TO     (or  both:FROM:TO)

FROM are the reading ends of pipes or terminals that the script prints to, TO the places that it printed to before. On stdin the
script asks `drain`, which is answered with `drained` once all that was printed so far has been passed on. `broken NAME` says that
nobody reads any more. It ends when every process that could print has ended. It is a process of its own, so that a script that
is killed, or that prints from C++ while it holds the interpreter's lock, loses nothing and never waits for itself.
"""

from __future__ import annotations

import errno
import os
import selectors
import sys
import time
from pathlib import Path
from typing import Any

PIECE = 1 << 16
PAUSE = 0.25
"""Seconds after which complete lines are looked for again, and a terminal's size is passed on."""


class Channel:
    """One stream: read from `source`, passed on to `target`."""

    def __init__(self, name: str, source: int, target: int) -> None:
        self.name = name
        self.source = source
        self.target = target
        self.broken = False
        self.is_terminal = os.isatty(source)
        self._size: bytes | None = None

    def read(self) -> bytes:
        """Return what was printed, nothing at the end."""
        try:
            return os.read(self.source, PIECE)
        except OSError as error:
            if error.errno == errno.EIO:  # a terminal that nobody prints to any more
                return b""
            raise

    def pass_on(self, piece: bytes) -> None:
        """Write all of it, waiting as the script itself would have to."""
        try:
            while piece and not self.broken:
                piece = piece[_write(self.target, piece) :]
        except OSError:
            self.broken = True

    def pass_on_size(self) -> None:
        """Give the script's side the size of the terminal that is looked at."""
        if not self.is_terminal:
            return
        import fcntl
        import termios

        try:
            size = fcntl.ioctl(self.target, termios.TIOCGWINSZ, b"\0" * 8)
            if size != self._size:
                fcntl.ioctl(self.source, termios.TIOCSWINSZ, size)
                self._size = size
        except OSError:
            self.is_terminal = False


class Tee:
    """Passes on what channels bring, and feeds it to `spool`; None keeps no copy."""

    def __init__(self, channels: list[Channel], spool: Any) -> None:
        self._channels = channels
        self._spool = spool
        self._open = len(channels)
        self._selector = selectors.DefaultSelector()
        for channel in channels:
            self._selector.register(channel.source, selectors.EVENT_READ, channel)
        self._selector.register(0, selectors.EVENT_READ)

    def run(self) -> None:
        """Go on until nobody can print any more."""
        while self._open:
            for channel in self._channels:
                channel.pass_on_size()
            asked = self._round(PAUSE)
            if asked:
                while self._round(0.0, requests=False):
                    pass
                self._keep(everything=True)
                say("drained")
            self._keep()
        if self._spool is not None:
            self._spool.close()

    def _round(self, timeout: float, *, requests: bool = True) -> bool:
        """Take a piece from each channel that has any; whether the script asked for something (or there was anything)."""
        asked = moved = False
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                asked = requests and self._requested()
                continue
            channel: Channel = key.data
            piece = channel.read()
            moved = moved or bool(piece)
            if not piece:
                self._selector.unregister(channel.source)
                self._open -= 1
                continue
            was_broken = channel.broken
            channel.pass_on(piece)
            if channel.broken and not was_broken:
                say(f"broken {channel.name}")
            self._feed(channel.name, piece)
        return asked if requests else moved

    def _requested(self) -> bool:
        if os.read(0, PIECE):
            return True
        self._selector.unregister(0)  # the script has ended, or wants no more of us
        return False

    def _feed(self, name: str, piece: bytes) -> None:
        if self._spool is not None:
            self._spool.feed(name, piece)

    def _keep(self, *, everything: bool = False) -> None:
        if self._spool is None:
            return
        try:
            self._spool.flush(everything=everything)
        except OSError as error:  # a full disk, or a deleted run: printing goes on
            self._spool = None
            say(f"failed {error.strerror}")


def _write(fd: int, piece: bytes) -> int:
    try:
        return os.write(fd, piece)
    except BlockingIOError:  # whoever opened it has made it so
        time.sleep(0.005)
        return 0


def say(text: str) -> None:
    """Tell the script something, if it still listens."""
    try:
        os.write(1, f"{text}\n".encode())
    except OSError:
        return


def main() -> None:
    source, path, *channels = sys.argv[1:]
    sys.path.append(source)
    from runcast.run.console.spool import Spool

    try:
        spool = Spool(Path(path))
    except OSError as error:
        spool = None
        say(f"failed {error.strerror}")
    named = (channel.split(":") for channel in channels)
    Tee([Channel(name, int(start), int(end)) for name, start, end in named], spool).run()


if __name__ == "__main__":
    main()
