"""How fast logs become runs: `python benchmarks/sync.py [--runs N] [--events N] [--rounds N] [--from s3 [--link MS,MBIT]] [--peers NAME=PYTHON …]`.

200 runs of 5,000 scalars, as PyTorch's SummaryWriter leaves them, are brought into a fresh local store, by one process and by as many as fit; then
again, when all of it is there. Times are of a process that has imported what it needs (what the command takes besides is shown), medians of rounds
that take turns. A peer is the Python of an environment with that importer; it gets `--peer-runs` of the same folders, and its rate is compared.
Peers need what they convert with: `trackio tbparse`; `aim tensorflow-cpu` (Aim reads event files with TensorFlow); `swanlab[dashboard] tensorboard`.

With `--from s3` the same files are in a bucket (moto's, in a process of its own, as tests have it), and the same bytes are plainly downloaded from it
in turns, into a folder: with boto3's transfers, 10 objects at a time (what `aws s3 cp` does), and with obstore, 16 at a time. That server is nearer
than any bucket, and shares the cores with who asks it; `--link 40,200` puts a round trip of 40 ms and 200 Mbit/s between (`link.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from event_files import runs as write_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = """
import json, sys, time
from pathlib import Path
import runcast.events.decode
import runcast.store.local
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

DOWNLOAD = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import obstore
from runcast.objects import users_objects

began = time.perf_counter()
objects = users_objects(sys.argv[1])
folder = Path(sys.argv[2])

def fetch(each):
    path = folder / each.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(objects.read(each.name, 0, each.size))

with ThreadPoolExecutor(16) as threads:
    size = sum(threads.map(fetch, list(objects.listed(""))))
print(json.dumps({"seconds": time.perf_counter() - began, "size": size}))
"""

DOWNLOAD_BOTO3 = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
import boto3

began = time.perf_counter()
address = urlsplit(sys.argv[1])
options = dict(parse_qsl(address.query))
client = boto3.client("s3", endpoint_url=options["endpoint"], region_name=options["region"])
folder = Path(sys.argv[2])
pages = client.get_paginator("list_objects_v2").paginate(Bucket=address.netloc, Prefix=address.path[1:])

def fetch(each):
    path = folder / each["Key"]
    path.parent.mkdir(parents=True, exist_ok=True)
    client.download_file(address.netloc, each["Key"], str(path))
    return path.stat().st_size

with ThreadPoolExecutor(10) as threads:
    size = sum(threads.map(fetch, [each for page in pages for each in page["Contents"]]))
print(json.dumps({"seconds": time.perf_counter() - began, "size": size}))
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
    "aim": """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import tensorflow
from aim.cli.convert.processors.tensorboard import parse_tb_logs
from aim.sdk.repo import Repo
repo = Repo(sys.argv[2], init=True)
began = time.perf_counter()
parse_tb_logs(sys.argv[1], repo)
print(json.dumps({"seconds": time.perf_counter() - began}))  # its index it makes later
""",
    "swanlab": """
import json, os, sys, time
os.environ["HOME"] = os.environ["SWANLAB_SAVE_DIR"] = sys.argv[2]
import swanlab
from swanlab.converter import TFBConverter
swanlab.login = lambda **_: None  # it logs in to its cloud for every file, whatever the mode
began = time.perf_counter()
TFBConverter(project="benchmark", mode="local", log_dir=sys.argv[2]).run(sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - began}))
""",
}
"""None of them reaches for the network; each keeps what it converts where it is told to."""


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


@contextmanager
def bucket(folder: Path) -> Iterator[str]:
    """Serve a folder's files from a bucket; yield its address."""
    from runcast.objects import Objects

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    os.environ |= {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
    os.environ["AWS_METADATA_ENDPOINT"] = "http://127.0.0.1:1"
    double = Path(__file__).parents[1] / "tests" / "doubles" / "buckets.py"
    server = subprocess.Popen([sys.executable, double, str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(
                    urllib.request.Request(f"http://127.0.0.1:{port}/benchmark", method="PUT", headers=SIGNED)
                ).close()
                break
            except OSError:
                time.sleep(0.1)
        address = f"s3://benchmark/logs?endpoint=http://127.0.0.1:{port}&region=us-east-1"
        objects = Objects(address)
        for path in folder.rglob("*tfevents*"):
            objects.put(path.relative_to(folder).as_posix(), path)
        yield address
    finally:
        server.kill()
        server.wait()


SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=benchmark/20260101/us-east-1/s3/aws4_request"}


def from_bucket(address: str, size: int, folder: Path, number: int, seconds: dict[str, list[float]]) -> None:
    """Bring everything from a bucket, and plainly download it, each into a place of its own."""
    store, copy = folder / f"store-{number}", folder / f"copy-{number}"
    for jobs in (1, 0):
        brought = timed(sys.executable, OURS, address, store, jobs)
        what = f"runcast sync s3://…, {'one process' if jobs == 1 else 'as many as fit'}"
        seconds.setdefault(what, []).append(brought["seconds"])
        shutil.rmtree(store)
    for what, program in (("download with obstore", DOWNLOAD), ("download with boto3", DOWNLOAD_BOTO3)):
        loaded = timed(sys.executable, program, address, copy)
        assert loaded["size"] == size, loaded
        seconds.setdefault(what, []).append(loaded["seconds"])
        shutil.rmtree(copy)


@contextmanager
def linked(address: str, link: str) -> Iterator[str]:
    """Put a link (`MS,MBIT`) before the bucket; yield the address behind it."""
    if not link:
        yield address
        return
    to = re.search(r"127\.0\.0\.1:(\d+)", address)
    assert to is not None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = Path(__file__).with_name("link.py")
    far = subprocess.Popen([sys.executable, program, str(port), to[1], *link.split(",")])
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield address.replace(to[0], f"127.0.0.1:{port}")
    finally:
        far.kill()
        far.wait()


def compare_with_download(logs: Path, rounds: int, folder: Path, link: str) -> None:
    """Print how long a sync from a bucket takes, and a plain download of the same bytes."""
    size = sum(path.stat().st_size for path in logs.rglob("*tfevents*"))
    seconds: dict[str, list[float]] = {}
    with bucket(logs) as near, linked(near, link) as address:
        for number in range(rounds):
            from_bucket(address, size, folder, number, seconds)
    plain = {what.split()[-1]: found for what, found in seconds.items() if what.startswith("download")}
    where = "a round trip of {} ms and {} Mbit/s away".format(*link.split(",")) if link else "on this machine"
    print(
        f"{size / 1e6:.0f} MB from a bucket {where}; seconds, median of {rounds} rounds; "
        f"and how many times a download with {' or '.join(plain)}, medians of the rounds' ratios"
    )
    for what, found in seconds.items():
        ratios = (
            statistics.median(ours / theirs for ours, theirs in zip(found, times, strict=True))
            for times in plain.values()
        )
        print(
            f"  {what:<44} {statistics.median(found):>8.2f}   ({min(found):.2f} to {max(found):.2f})  ",
            "  ".join(f"{ratio:.2f}" for ratio in ratios),
        )
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5000, help="scalars of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--peers", nargs="*", default=[], metavar="NAME=PYTHON", help=f"of {', '.join(PEERS)}"
    )
    parser.add_argument("--from", dest="origin", choices=["folder", "s3"], default="folder")
    parser.add_argument("--link", default="", metavar="MS,MBIT", help="between us and the bucket")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--peer-runs", type=int, default=4, help="runs that a peer gets: it takes so long")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        logs = write_runs(folder / "logs", 200 * options.events)
        for run in sorted(logs.folder.iterdir())[options.runs :]:
            shutil.rmtree(run)
        points = options.runs * options.events
        if options.origin == "s3":
            compare_with_download(logs.folder, options.rounds, folder, options.link)
            return
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
                assert first["events"] == points + options.runs, first
                what = f"runcast, {first['jobs']:.0f} process{'es' if first['jobs'] > 1 else ''}"
                note(what, points, first["seconds"])
                note(f"{what}, with starting Python", points, first["whole"])
                again = timed(sys.executable, OURS, logs.folder, store, jobs)
                assert again["events"] == 0, again
                note(f"{what}, again", points, again["seconds"])
                shutil.rmtree(store)
            for peer, python in peers.items():
                place = folder / f"{peer}-{number}"
                place.mkdir()
                took = timed(python, PEERS[peer], few, place)
                note(peer, options.events * options.peer_runs, took["seconds"])
        size = f"{logs.size / 1e6:.0f} MB"
        print(
            f"{options.runs} runs of {options.events:,} events, {size}; events a second, median of {options.rounds} rounds"
        )
        for what, found in rates.items():
            print(
                f"  {what:<44} {statistics.median(found):>12,.0f}   ({min(found):,.0f} to {max(found):,.0f})"
            )
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
