"""How fast logs become runs: `python benchmarks/sync.py [--runs N] [--events N] [--rounds N] [--peers trackio=PYTHON]`.

200 runs of 5,000 scalars, as PyTorch's SummaryWriter leaves them, are brought into a fresh local store, by one process and by as many as fit; then
again, when all of it is there. Times are of a process that has imported what it needs (what the command takes besides is shown), medians of rounds
that take turns. A peer is a Python with that importer; it gets `--peer-runs` of the same folders, and its rate is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from event_files import runs as write_runs

OURS = """
import json, sys, time
from pathlib import Path
from runcast.sync.find import find
from runcast.sync.jobs import bring_all, fitting_jobs
from runcast.sync.plan import plan
from runcast.sync.stores import Destination
from runcast.sync.transfer import Terms

began = time.perf_counter()
runs = plan(find([sys.argv[1]]).at)
jobs = int(sys.argv[3]) or fitting_jobs(runs)
done = list(bring_all(runs, Destination(folder=Path(sys.argv[2])), Terms(usual_project="benchmark"), lambda *_: None, jobs))
took = time.perf_counter() - began
print(json.dumps({"seconds": took, "events": sum(each.events for each in done), "jobs": jobs}))
"""

PEERS = {
    "trackio": """
import json, os, sys, time
os.environ["TRACKIO_DIR"] = os.environ["HF_HOME"] = sys.argv[2]
import trackio
import tbparse
began = time.perf_counter()
trackio.import_tf_events(sys.argv[1], project="benchmark")
print(json.dumps({"seconds": time.perf_counter() - began}))
""",
}


def timed(python: str, program: str, *arguments: object) -> dict[str, float]:
    """Run a program in a process of its own and return what its last line says."""
    began = time.perf_counter()
    done = subprocess.run(
        [python, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    said: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**said, "whole": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5000, help="scalars of each of the 200 runs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--peers", nargs="*", default=[], metavar="NAME=PYTHON", help=f"of {', '.join(PEERS)}"
    )
    parser.add_argument("--peer-runs", type=int, default=4, help="runs that a peer gets: it takes so long")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        logs = write_runs(folder / "logs", 200 * options.events)
        few = folder / "few"
        for run in sorted(logs.folder.iterdir())[: options.peer_runs]:
            shutil.copytree(run, few / run.name)
        peers = dict(each.split("=", 1) for each in options.peers)
        rates: dict[str, list[float]] = {}

        def note(what: str, events: float, seconds: float) -> None:
            rates.setdefault(what, []).append(events / seconds)

        for number in range(options.rounds):
            for jobs in (1, 0):
                store = folder / f"store-{number}-{jobs}"
                first = timed(sys.executable, OURS, logs.folder, store, jobs)
                assert first["events"] == logs.points + 200, first
                what = f"runcast, {first['jobs']:.0f} process{'es' if first['jobs'] > 1 else ''}"
                note(what, logs.points, first["seconds"])
                note(f"{what}, with starting Python", logs.points, first["whole"])
                again = timed(sys.executable, OURS, logs.folder, store, jobs)
                assert again["events"] == 0, again
                note(f"{what}, again", logs.points, again["seconds"])
                shutil.rmtree(store)
            for peer, python in peers.items():
                place = folder / f"{peer}-{number}"
                place.mkdir()
                took = timed(python, PEERS[peer], few, place)
                note(peer, options.events * options.peer_runs, took["seconds"])
        size = f"{logs.size / 1e6:.0f} MB"
        print(
            f"200 runs of {options.events:,} events, {size}; events a second, median of {options.rounds} rounds"
        )
        for what, found in rates.items():
            print(
                f"  {what:<44} {statistics.median(found):>12,.0f}   ({min(found):,.0f} to {max(found):,.0f})"
            )
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
