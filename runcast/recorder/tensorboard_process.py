"""TensorBoard as a child process: the real program, on a port of its own, that ends with whoever started it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TensorBoardProcess"]

# What the child runs. Its standard input is its lease on life: when the other end closes, by `stop` or because the recorder
# is dead in whatever way, it ends as on Ctrl-C, and so does TensorBoard's data server, which holds on to it likewise.
# `-c` puts the working folder first on the module path, where a user's own `tensorboard.py` may lie. TensorBoard notes its
# instances in a folder that all users of a host share and that it trusts blindly; ours keeps its notes to itself.
_PROGRAM = """\
import _thread, atexit, os, runpy, shutil, signal, sys, tempfile, threading, time
sys.path[:] = [folder for folder in sys.path if folder]
signal.signal(signal.SIGINT, signal.default_int_handler)
def end_with_parent():
    while os.read(0, 4096):
        pass
    _thread.interrupt_main()
    time.sleep(3)
    os._exit(1)
threading.Thread(target=end_with_parent, daemon=True).start()
tempfile.tempdir = tempfile.mkdtemp(prefix="runcast-tensorboard-")
atexit.register(shutil.rmtree, tempfile.tempdir, True)
runpy.run_module("tensorboard.main", run_name="__main__", alter_sys=True)
"""

# Enough that no chart drops points. 0, documented as "all", will not do: the front end's queries then ask for no points.
_SAMPLES = {
    "scalars": 1_000_000,
    "histograms": 1000,
    "text": 1000,
    "images": 500,
    "audio": 500,
    "pr_curves": 500,
}

_ANNOUNCEMENT = re.compile(r"^TensorBoard \S+ at http://[^/\s]+:(\d+)/")


class TensorBoardProcess:
    """One running TensorBoard over `logdir`, from its start to its end; it is never restarted.

    Any thread may ask for `port`, `alive` and `complaint`. Raises `OSError` when `python` cannot be run.
    """

    def __init__(self, logdir: Path, python: str) -> None:
        self._lines: deque[str] = deque(maxlen=20)
        self._port: int | None = None
        self._process = subprocess.Popen(
            [python, "-c", _PROGRAM, *_arguments(logdir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(
            target=self._read_errors, name="runcast-tensorboard-errors", daemon=True
        )
        self._reader.start()

    @property
    def port(self) -> int | None:
        """Where it listens on 127.0.0.1; None until it has said so."""
        return self._port

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child is still there."""
        return self._process.poll() is None

    @property
    def complaint(self) -> str:
        """The last lines that it wrote on its standard error."""
        if not self.alive:
            self._reader.join(timeout=1)
        return "".join(self._lines)

    def stop(self) -> None:
        """End the child and wait until it is gone: politely, and after 3 s by force."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=1)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                self._lines.append(line)
                announcement = _ANNOUNCEMENT.match(line)
                if announcement:
                    self._port = int(announcement[1])


def _arguments(logdir: Path) -> list[str]:
    """Return TensorBoard's command line; the multifile flags matter only where its fast data server cannot run."""
    flags = {
        "logdir": str(logdir),
        "host": "127.0.0.1",
        "port": "0",
        "reload_interval": "5",
        "reload_multifile": "true",
        "reload_multifile_inactive_secs": "-1",
        "samples_per_plugin": ",".join(f"{plugin}={count}" for plugin, count in _SAMPLES.items()),
        "window_title": "TensorBoard · runcast",
    }
    return [f"--{flag}={value}" for flag, value in flags.items()]


def _environment() -> dict[str, str]:
    """Return ours, so changed that TensorBoard reaches its data server on loopback past a configured proxy."""
    return {**os.environ, "no_grpc_proxy": "localhost,127.0.0.1", "PYTHONUNBUFFERED": "1"}
