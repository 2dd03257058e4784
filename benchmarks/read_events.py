"""How fast event files are read: our reader and its peers on the same logs, in turns, medians.

    python benchmarks/read_events.py                     # 200,000 events a log: some two minutes
    python benchmarks/read_events.py --full              # 1,000,000 events a log, a file of 1 GB: about ten minutes
    python benchmarks/read_events.py --only irregular    # one kind of log
    python benchmarks/read_events.py --json FILE         # all figures as JSON as well

`pip install 'runcast[benchmarks]'` gets the peers; one that is missing is left out. Each reading is a fresh process whose imports are not counted,
and all read from the page cache. Peers keep what they read in memory, as ours does. TensorBoard's Rust data server is timed from its start
until it answers with the last step of every run, at two looks a millisecond at most; it uses all cores, the others one. EventAccumulator and
tbparse, which take up to a minute for a log, read each of them once. Results are Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from event_files import LOGS, Log, large
from event_readers import READERS, SLOW, program

PASSING = "runcast, passing"
LIMIT = "limit: read and CRC32C"

LEFT_OUT = {"mixed": {"tbparse"}, "irregular": {"tbparse"}}
"""What cannot read them: it wants TensorFlow for them."""


def reading(name: str, log: Log) -> tuple[float, float] | None:
    """Return the seconds of one reading and the megabytes it took; None where the reader is not installed, or fails."""
    what = json.dumps([str(log.folder), [str(file) for file in log.files], log.last])
    command = [sys.executable, "-c", program(name), what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        print(f"{name}: left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    seconds, count, megabytes = map(float, done.stdout.split())
    assert count in {-1, log.points}, (name, count, log.points)
    return seconds, megabytes


def compare(kind: str, log: Log, rounds: int, slow_rounds: int) -> dict[str, Any]:
    """Let all readers read one log in turns; print and return the figures."""
    left_out = {PASSING} | LEFT_OUT.get(kind, set())
    taken: dict[str, list[float]] = {name: [] for name in READERS if name not in left_out}
    grown: dict[str, float] = {}
    for turn in range(rounds):
        for name in list(taken):
            if name in SLOW and turn >= slow_rounds:
                continue
            result = reading(name, log)
            if result is None:
                del taken[name]
                continue
            taken[name].append(result[0])
            grown[name] = result[1]
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    ours = medians["runcast"]
    print(f"\n**{kind}**: {log.points:,} scalars, {log.size / 1e6:.1f} MB, by {log.note}\n")
    heading("reader", "s", "scalars/s", "MB/s", "memory MB", "runcast is")
    for name, median in medians.items():
        memory = "" if name.startswith("data server") else f"{grown[name]:.0f}"
        rates = f"{log.points / median:,.0f}", f"{log.size / median / 1e6:.0f}"
        row(name, f"{median:.3f}", *rates, memory, f"{median / ours:.2f}x")
    return {"points": log.points, "bytes": log.size, "seconds": taken, "medians": medians, "megabytes": grown}


def growing(folder: Path, base: Log, sizes: list[int], rounds: int) -> dict[str, Any]:
    """Read ever larger files, keeping nothing: neither the time for each byte nor the memory should grow."""
    print(f"\n**growing**: one file, read batch by batch, by {base.note}, repeated\n")
    heading("MB", "s", "ns/byte", "memory MB", "of the limit")
    figures = {}
    for size in sizes:
        log = large(folder / f"{size} MB", base, size)
        readings = [(reading(PASSING, log), reading(LIMIT, log)) for _ in range(rounds)]
        seconds, memory = (statistics.median(ours[part] for ours, _ in readings if ours) for part in (0, 1))
        limit = statistics.median(limit[0] for _, limit in readings if limit)
        rate = f"{seconds / log.size * 1e9:.2f}"
        row(f"{log.size / 1e6:.0f}", f"{seconds:.3f}", rate, f"{memory:.0f}", f"{limit / seconds:.0%}")
        figures[size] = {"bytes": log.size, "seconds": seconds, "megabytes": memory, "limit": limit}
        for file in log.files:
            file.unlink()
    return figures


def overview(figures: dict[str, Any]) -> None:
    """Say for all logs how many times as long each peer takes, and what part of the physical limit is reached."""
    peers = [name for name in READERS if name not in {"runcast", "runcast, warm", LIMIT, PASSING}]
    print("\n**How many times as long others take**\n")
    heading("log", "runcast, scalars/s", "warm", *peers, "of the limit")
    for kind, found in figures.items():
        medians, points = found["medians"], found["points"]
        ours = medians["runcast"]
        rates = f"{points / ours:,.0f}", f"{points / medians['runcast, warm']:,.0f}"
        ratios = [f"{medians[peer] / ours:.1f}x" if peer in medians else "" for peer in peers]
        row(kind, *rates, *ratios, f"{medians[LIMIT] / ours:.0%}")


def heading(*names: str) -> None:
    """Print the head of a Markdown table: text in the first column, numbers in the others."""
    row(*names)
    row("---", *["---:"] * (len(names) - 1))


def row(*cells: str) -> None:
    print("|", " | ".join(cells), "|")


def main() -> None:
    """Write the logs, run every reader on each, and print the tables."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--full", action="store_true", help="1,000,000 events a log, and files of up to 1 GB"
    )
    arguments.add_argument(
        "--only", choices=[*LOGS, "growing"], action="append", help="read this kind of log"
    )
    arguments.add_argument("--keep", type=Path, help="write the logs here, and use what is there already")
    arguments.add_argument("--json", type=Path, help="write the figures to this file")
    options = arguments.parse_args()
    events, rounds, slow_rounds = (1_000_000, 5, 1) if options.full else (200_000, 3, 1)
    megabytes = [250, 500, 1000] if options.full else [50, 100, 200]

    names = ("numpy", "protobuf", "tensorboard", "tensorboard-data-server", "tbparse", "google-crc32c")
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    print(f"{time.strftime('%Y-%m-%d')}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    print(
        f"Python {platform.python_version()}, {versions}; median of {rounds} ({slow_rounds} of the slow ones)"
    )
    figures: dict[str, Any] = {}
    growth: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)) / str(events)
        for kind in LOGS:
            if not options.only or kind in options.only:
                log = written(folder, kind, events)
                figures[kind] = compare(kind, log, rounds, slow_rounds)
        if not options.only or "growing" in options.only:
            base = written(folder, "scalars", events)
            growth = growing(Path(temporary), base, megabytes, rounds)
    overview(figures)
    if options.json:
        options.json.write_text(json.dumps({**figures, "growing": growth}, indent=1))


def written(folder: Path, kind: str, events: int) -> Log:
    """Return the log of this kind, which is written unless it is there."""
    place = folder / kind.replace(",", "").replace(" ", "_")
    about = place.with_suffix(".json")
    if not about.exists():
        log = LOGS[kind](place, events)
        about.write_text(json.dumps([log.points, log.last, log.note]))
    return Log(place, *json.loads(about.read_text()))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


if __name__ == "__main__":
    main()
