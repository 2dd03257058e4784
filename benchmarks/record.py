"""What recording costs: `python benchmarks/record.py [--files N] [--idle N] [--rate R] [--seconds S] [--warm-up S]`.

N event files, each in a folder of its own, get R scalars a second each, one after the other as trainings would; idle ones get
one at the start. A real recorder process records them. Printed are its processor time, as a part of one core, and the lag: the
time from a write to the moment at which another process finds the point among the series that it reads from the store. There is
no panel.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import closing
from pathlib import Path

import psutil

from runcast.events.writer import EventWriter, event_file_name
from runcast.run.journal import Journal
from runcast.run.record import new_run_id
from runcast.store.local import LocalStore

LOOK = 0.03
"""Seconds between two looks into the store; the lag is that much too long at most."""


def start_run(folder: Path, logdir: Path) -> Path:
    """Write the journal of a run of this process that watches `logdir`; return the run's folder."""
    run = folder / "runs" / new_run_id()
    run.mkdir(parents=True)
    journal = Journal(run / "run.jsonl", by=f"kernel:{os.getpid()}")
    me = psutil.Process()
    started = {"pid": me.pid, "pid_created": me.create_time(), "cwd": str(folder), "created": time.time()}
    journal.append("start", run=run.name, project="benchmarks", name="record", config={}, facts={}, **started)
    journal.append("watch", root="logs", path=str(logdir), save=True)
    return run


class Load:
    """Writes to each file in turn, and watches for what was written to become visible in the store."""

    def __init__(self, writers: list[EventWriter], store: LocalStore, run: str, rate: float) -> None:
        self.lags: list[float] = []
        self._writers = writers
        self._store = store
        self._run = run
        self._rate = rate
        self._written = 0
        self._waiting: dict[str, deque[tuple[int, float]]] = {
            writer.path.parent.name: deque() for writer in writers
        }

    def go(self, seconds: float) -> None:
        """Write and watch for so long."""
        began = now = looked = time.perf_counter()
        done = self._written
        while now < began + seconds:
            while self._written - done < (now - began) * self._rate * len(self._writers):
                self._write()
            if now >= looked + LOOK:
                self._look()
                looked = now
            time.sleep(0.002)
            now = time.perf_counter()

    def _write(self) -> None:
        step, number = divmod(self._written, len(self._writers))
        writer = self._writers[number]
        writer.scalars({"loss": 1 / (step + 1)}, step)
        self._waiting[writer.path.parent.name].append((step, time.perf_counter()))
        self._written += 1

    def _look(self) -> None:
        found = self._store.series(self._run)
        seen = time.perf_counter()
        for series in found:
            waiting = self._waiting.get(series.source, ())
            while waiting and waiting[0][0] <= series.last_step:
                self.lags.append(seen - waiting.popleft()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50, help="event files")
    parser.add_argument("--idle", type=int, default=0, help="event files that do not grow")
    parser.add_argument("--rate", type=float, default=10, help="scalars a second in each")
    parser.add_argument("--seconds", type=float, default=10, help="seconds of recording that count")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds of recording before those")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        logdir = folder / "logs"
        run = start_run(folder / "store", logdir)
        writers = [EventWriter(logdir / f"{n:03}" / event_file_name()) for n in range(options.files)]
        for n in range(options.idle):
            with closing(EventWriter(logdir / f"idle{n}" / event_file_name())) as writer:
                writer.scalars({"loss": 1.0}, 0)
        created = repr(psutil.Process().create_time())
        command = [sys.executable, "-m", "runcast.recorder", run, "--parent", str(os.getpid())]
        with (
            LocalStore(folder / "store") as store,
            subprocess.Popen(
                [*command, "--parent-created", created], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as recorder,
        ):
            while not any(each.id == run.name for each in store.runs()):
                time.sleep(0.05)
            process = psutil.Process(recorder.pid)
            load = Load(writers, store, run.name, options.rate)
            load.go(options.warm_up)
            load.lags.clear()
            before, began = process.cpu_times(), time.perf_counter()
            load.go(options.seconds)
            after, took = process.cpu_times(), time.perf_counter() - began
            recorder.kill()
        busy = after.user + after.system - before.user - before.system
    cuts = statistics.quantiles(load.lags, n=100)
    print(
        f"{options.files} files ({options.idle} more idle), {options.rate:g} scalars a second each, for {took:.0f} s: {len(load.lags)} seen"
    )
    print(f"recorder: {100 * busy / took:.1f} % of one core")
    print(
        f"from the write to the store: p50 {cuts[49]:.2f} s, p95 {cuts[94]:.2f} s, longest {max(load.lags):.2f} s"
    )
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
