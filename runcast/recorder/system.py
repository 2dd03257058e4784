"""System metrics of a run: how busy its machine, its processes and its GPUs are, as scalars in an event file of the run's own.

Every source of figures is optional: one that is missing on this machine (no GPU, no disk counters in a container) or that
fails just now has no points, and never costs the others theirs. Units are in the tags:

    cpu/percent, cpu/core03_percent         of the whole machine, and of each core (up to `MOST_CORES`)
    cpu/process_percent                     of the training process and its children; 100 is one core
    memory/used_percent, memory/available_gb, memory/swap_percent     of the whole machine
    memory/process_rss_gb, process/threads  of the training process and its children; pages that they share count for each
    disk/used_percent                       of the disk that holds the run
    disk/read_mb_s …, network/sent_mb_s …   of the whole machine (loopback left out), mean since the previous sample
    gpu0/…                                  of device 0 in the driver's order, whatever CUDA_VISIBLE_DEVICES says (see `gpus`)
    notebook/cell                           the number of the cell that runs, 0 between cells; in notebooks only

All series of one sample have the same step, so that `notebook/cell` tells of every sample which cell it belongs to. 1 GB is
10⁹ bytes and 1 MB 10⁶, as on a disk's label.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

import psutil

from runcast.events.writer import EventWriter, event_file_name
from runcast.recorder.gpus import gpu_sensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Reading = tuple[str, float]
    Sensor = Callable[[float], Iterator[Reading]]
    """Called with the time in seconds; yields tags and values, and may raise anything."""

__all__ = ["SystemMetrics", "interval"]

MOST_CORES = 64
"""Cores with a series each; on a machine with more, only the whole is measured: nobody could tell the lines apart."""

_SHORTEST, _LONGEST = 2.0, 15.0
_SLOWING = 150.0


def interval(age: float) -> float:
    """Return how many seconds to wait between samples of a run that is `age` seconds old.

    2 s during the first five minutes, then a 150th of the run's age, and 15 s from about forty minutes on: about 450
    samples for the first forty minutes and 240 for each hour after them.
    """
    return min(_LONGEST, max(_SHORTEST, age / _SLOWING))


class SystemMetrics:
    """Samples the machine and the processes under `pid` into an event file in `folder`. Not thread-safe.

    A point's step is the run's age in whole seconds. `started` is when the run started (now, unless given): a recorder that
    takes over a run passes the run's own start, so that its steps go on where its predecessor's ended.
    """

    def __init__(
        self,
        folder: Path,
        pid: int | None,
        clock: Callable[[], float] = time.time,
        *,
        started: float | None = None,
    ) -> None:
        self._folder = folder
        self._pid = pid
        self._started = clock() if started is None else started
        self._sensors: tuple[Sensor, ...] | None = None
        self._writer: EventWriter | None = None
        self._sampled_at: float | None = None
        self._step = -1

    def sample_if_due(self, now: float, cell: int | None = None) -> bool:
        """Write one sample if it is time for one (see `interval`) and say whether it was written. Never raises.

        `cell` is the number of the notebook cell that runs, 0 between cells, None where there is no notebook.

        A sample that cannot be written (a full disk) is dropped.
        """
        age = now - self._started
        if self._sampled_at is not None and 0 <= now - self._sampled_at < interval(age):
            return False
        self._sampled_at = now
        try:
            if self._writer is None:
                self._writer = EventWriter(self._folder / event_file_name(".runcast"))
            if self._sensors is None:
                self._sensors = _sensors(self._folder, self._pid)
            readings = dict(_read(self._sensors, now))
            if cell is not None:
                readings["notebook/cell"] = cell
            # Steps only grow: one that goes back, as after a correction of the clock, would supersede what is there.
            self._step = max(self._step + 1, int(age))
            self._writer.scalars(readings, self._step, now)
        except OSError:
            return False
        return bool(readings)

    def close(self) -> None:
        """Close the event file; harmless when there is none."""
        if self._writer is not None:
            self._writer.close()


def _read(sensors: tuple[Sensor, ...], now: float) -> Iterator[Reading]:
    for sensor in sensors:
        with contextlib.suppress(Exception):  # drivers and containers fail in ways nobody can list
            yield from sensor(now)


def _sensors(folder: Path, pid: int | None) -> tuple[Sensor, ...]:
    """Return what can be measured here; sensors that measure change start now."""
    family: _ProcessTree | None = None
    if pid is not None:
        with contextlib.suppress(psutil.Error):
            family = _ProcessTree(pid)
    processes = () if family is None else (family,)
    return (
        *_machine_sensors(folder),
        *processes,
        *gpu_sensors(lambda: family.pids if family else frozenset()),
    )


def _machine_sensors(folder: Path) -> Iterator[Sensor]:
    asked = False

    def cpu(_: float) -> Iterator[Reading]:
        nonlocal asked
        cores = psutil.cpu_percent(interval=None, percpu=True)
        if asked and cores:  # psutil means since it was last asked, and so has no first answer
            yield "cpu/percent", sum(cores) / len(cores)
            if 1 < len(cores) <= MOST_CORES:
                yield from ((f"cpu/core{number:02}_percent", percent) for number, percent in enumerate(cores))
        asked = True

    def memory(_: float) -> Iterator[Reading]:
        memory = psutil.virtual_memory()
        yield "memory/used_percent", memory.percent
        yield "memory/available_gb", memory.available / 1e9

    def swap(_: float) -> Iterator[Reading]:
        swap = psutil.swap_memory()
        if swap.total:
            yield "memory/swap_percent", swap.percent

    def disk(_: float) -> Iterator[Reading]:
        yield "disk/used_percent", psutil.disk_usage(str(folder)).percent

    def disk_counters() -> dict[str, float]:
        counters = psutil.disk_io_counters()
        if counters is None:
            return {}
        return {"disk/read_mb_s": counters.read_bytes / 1e6, "disk/write_mb_s": counters.write_bytes / 1e6}

    def network_counters() -> dict[str, float]:
        devices = psutil.net_io_counters(pernic=True)
        outside = [counters for name, counters in devices.items() if not _LOOPBACK.match(name)]
        return {
            "network/sent_mb_s": sum(counters.bytes_sent for counters in outside) / 1e6,
            "network/received_mb_s": sum(counters.bytes_recv for counters in outside) / 1e6,
        }

    yield from (cpu, memory, swap, disk, _Rates(disk_counters), _Rates(network_counters))


_LOOPBACK = re.compile(r"lo\d*$|loopback", re.IGNORECASE)


class _Rates:
    """Turns counters that only grow into change per second since the previous call."""

    def __init__(self, counters: Callable[[], dict[str, float]]) -> None:
        self._counters = counters
        self._previous: dict[str, float] = {}
        self._at = 0.0

    def __call__(self, now: float) -> Iterator[Reading]:
        counters = self._counters()
        previous, seconds = self._previous, now - self._at
        self._previous, self._at = counters, now
        for tag, value in counters.items():
            if tag in previous and seconds > 0 and value >= previous[tag]:
                yield tag, (value - previous[tag]) / seconds


class _ProcessTree:
    """A process with all its descendants (data loaders, other ranks), but for this process and its own."""

    def __init__(self, pid: int) -> None:
        self._top = psutil.Process(pid)
        self.pids: frozenset[int] = frozenset()
        """Who belonged to it when it was last looked at."""
        self._cpu_seconds: dict[psutil.Process, float] = {}
        self._at = 0.0

    def __call__(self, now: float) -> Iterator[Reading]:
        if not self._top.is_running() or self._top.status() == psutil.STATUS_ZOMBIE:
            return
        cpu_seconds: dict[psutil.Process, float] = {}
        rss = threads = 0
        for process in self._processes():
            with contextlib.suppress(psutil.Error), process.oneshot():
                times = process.cpu_times()
                rss += process.memory_info().rss
                threads += process.num_threads()
                cpu_seconds[process] = times.user + times.system
        previous, seconds = self._cpu_seconds, now - self._at
        self._cpu_seconds, self._at = cpu_seconds, now
        self.pids = frozenset(process.pid for process in cpu_seconds)
        if not cpu_seconds:
            return
        yield "memory/process_rss_gb", rss / 1e9
        yield "process/threads", threads
        if previous and seconds > 0:
            spent = sum(total - previous.get(process, 0.0) for process, total in cpu_seconds.items())
            yield "cpu/process_percent", 100 * max(spent, 0.0) / seconds

    def _processes(self) -> list[psutil.Process]:
        # The recorder is a child of the process that it measures, and must not measure itself and its TensorBoard. Whose child each is
        # follows from the first look: another would read every process of the machine again.
        family = {process.pid: process for process in self._top.children(recursive=True)}
        left_out = {psutil.Process().pid}
        for process in family.values():  # parents first
            with contextlib.suppress(psutil.Error):
                if process.ppid() in left_out:
                    left_out.add(process.pid)
        return [self._top, *(process for pid, process in family.items() if pid not in left_out)]
