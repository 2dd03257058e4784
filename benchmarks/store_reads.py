"""What reading a large store costs: `python benchmarks/store_reads.py [--runs N] [--database postgresql://…] [--folder DIR]`.

Builds a store of N runs (100,000) of 20 tags, and one run with a series of 1,000,000 points, and measures, in this process,
interleaved, warm: the newest 50 runs of a project; the top 50 by a metric, with filters on the config that many, some and few runs
pass; what an order by a config field costs; and the chart of the long series at 1,000 pixels. The rows of the runs are inserted as
the store would write them, without event files; the long series is appended. With --folder, the store is kept and used again.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runcast.events.writer import EventWriter
from runcast.run.record import RunRecord, new_run_id
from runcast.store import schema
from runcast.store.fields import fill
from runcast.store.local import LocalStore
from runcast.store.protocol import RunQuery
from runcast.store.query import parse_filters

if TYPE_CHECKING:
    import sqlalchemy as sa

TAGS = 20
POINTS = 1_000_000
PROJECTS = {"large": 0.5, "medium": 0.3, "small": 0.01}
"""What part of the runs each project has; the rest are in many of a hundred runs."""

QUERIES = {
    "newest 50": {},
    "top 50 by a metric": {"order": "-summary.val/acc"},
    "… of half of the runs, by config": {"order": "-summary.val/acc", "filters": "config.optimizer = adam"},
    "… of a hundredth, by config": {"order": "-summary.val/acc", "filters": "config.seed = 7"},
    "… of a few, by config": {"order": "-summary.val/acc", "filters": "config.trial < 30"},
    "… by config and metric": {
        "order": "summary.val/loss.min",
        "filters": "config.lr >= 0.01 and summary.val/acc.max > 0.9 and state = finished",
    },
    "newest 50 of a few, by config": {"filters": "config.trial < 30"},
    "50 by a config field": {"order": "config.lr"},
    "page 100 of them": {"order": "-summary.val/acc", "deep": True},
}


def build(store: LocalStore, runs: int) -> str:
    """Fill the store; return the id of the run with the long series."""
    rng = random.Random(1)
    names = rng.choices([*PROJECTS, None], [*PROJECTS.values(), 1 - sum(PROJECTS.values())], k=runs)
    projects = [name or f"p{number // 100}" for number, name in enumerate(names)]
    for at in range(0, runs, 5000):
        ids = [new_run_id() for _ in projects[at : at + 5000]]
        with store.database.write() as connection:
            insert(connection, ids, projects[at : at + 5000], at, rng)
        print(f"\r{at + len(ids):,} runs", end="", file=sys.stderr)
    with store.database.write() as connection:
        fill(connection)
    analyze = store.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with analyze.connect() as connection:
        if connection.dialect.name == "postgresql":  # as autovacuum would, a minute later
            connection.exec_driver_sql("vacuum analyze")
    long = RunRecord(new_run_id(), "long", "long", "finished", time.time(), ended=time.time())
    store.create(long)
    with tempfile.TemporaryDirectory() as folder:
        writer = EventWriter(Path(folder) / "x.tfevents")
        values = np.random.default_rng(2).normal(size=POINTS).cumsum()
        for step, value in enumerate(values.tolist()):
            writer.scalars({"loss": value}, step, 1.7e9 + step / 10)
        writer.close()
        data = writer.path.read_bytes()
    at = 0
    while at < len(data):
        at = store.append(long.id, "files/logs/x.tfevents", at, data[at : at + (1 << 20)]).size
    print(file=sys.stderr)
    return long.id


def insert(
    connection: sa.Connection, ids: list[str], projects: list[str], at: int, rng: random.Random
) -> None:
    """Insert runs as the store would have them, each with a file and its series."""
    tables: dict[sa.Table, list[dict[str, object]]] = {
        table: [] for table in (schema.run, schema.pulse, schema.file, schema.series, schema.part)
    }
    for number, (run, project) in enumerate(zip(ids, projects, strict=True), at):
        created = 1.7e9 + number * 60
        config = {
            "lr": 10 ** rng.uniform(-4, 0),
            "optimizer": rng.choice(["adam", "sgd"]),
            "seed": rng.randrange(100),
            "trial": rng.randrange(100_000),
            "model": {"layers": rng.randrange(2, 50), "width": rng.choice([128, 256, 512])},
        }
        facts = {"host": f"node{number % 64}", "tags": [f"sweep{number // 200}"]}
        words = {"name": f"run {number}", "state": rng.choice(["finished", "finished", "failed"])}
        times = {"created": created, "ended": created + 3600}
        said = {"config": json.dumps(config), "facts": json.dumps(facts), "edited": "[]"}
        tables[schema.run].append({"id": run, "project": project, **words, **times, **said})
        tables[schema.pulse].append({"run": run, "change": number + 1, "heartbeat": created + 3600})
        for file, source in enumerate(("train", "val"), 1):
            place = {"root": "logs", "source": source, "path": f"files/logs/{source}/events.out.tfevents.1"}
            sizes = {"size": 5000, "synced": 5000, "unsynced_crc": 0, "records": 100, "skipped": 0}
            span = {"first_wall_time": created, "last_wall_time": created + 3600, "sessions": "[]"}
            note = {"source_path": "", "source_size": 5000, "state": "recording", "why": ""}
            tables[schema.file].append({"run": run, "id": file, **place, **sizes, **span, **note})
        for series in range(1, TAGS + 1):
            source, tag = (
                ("train", f"metric{series}")
                if series > 4
                else ("val", ("acc", "loss", "f1", "auc")[series - 1])
            )
            last = rng.random()
            place = {"root": "logs", "source": source, "tag": tag, "plugin": "scalars"}
            tables[schema.series].append({"run": run, "id": series, **place})
            bounds = {"count": 100, "first_step": 0, "last_step": 99, "last_wall_time": created + 3600}
            values = {"last": last, "min": last * rng.random(), "max": 1 - (1 - last) * rng.random()}
            counts = {"start": 0, "next_seq": 1, "cut": None, **bounds, **values}
            tables[schema.part].append(
                {"run": run, "series": series, "file": 1 + (source == "val"), **counts}
            )
    for table, rows in tables.items():
        connection.execute(table.insert(), rows)


def measure(store: LocalStore, long: str, rounds: int) -> None:
    """Print the medians and 95th percentiles of each query, in milliseconds."""
    asks = {}
    for project in (*PROJECTS, "p1"):
        for name, query in QUERIES.items():
            filters = parse_filters(str(query.get("filters", "")))
            asked = RunQuery(project, filters=filters, order=query.get("order"), limit=50)  # type: ignore[arg-type]
            if query.get("deep"):
                for _ in range(99):
                    page = store.page(asked)
                    if page.next is None:
                        break
                    asked = RunQuery(project, order=asked.order, limit=50, after=page.next)
            asks[f"{project}: {name}"] = lambda asked=asked: len(store.page(asked).runs)
    asks["the series of a run"] = lambda: len(store.series(store.runs(RunQuery("small", limit=1))[0].id))
    asks["a chart of a million points"] = lambda: len(
        store.points(long, "logs", ".", "loss", pixels=1000).step
    )
    asks["a hundredth of it"] = lambda: len(
        store.points(long, "logs", ".", "loss", pixels=1000, step_range=(500_000, 509_999)).step
    )
    times: dict[str, list[float]] = {name: [] for name in asks}
    found = {}
    for _ in range(rounds):
        for name, ask in asks.items():
            started = time.perf_counter()
            found[name] = ask()
            times[name].append((time.perf_counter() - started) * 1e3)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for name, took in times.items():
        p95 = sorted(took)[int(len(took) * 0.95)]
        print(f"{name:48} {found[name]:6} found   p50 {statistics.median(took):8.1f}   p95 {p95:8.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--database")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.folder or Path(folder)
        with LocalStore(place / "store", database=options.database) as store:
            known = store.runs(RunQuery("long"))
            started = time.perf_counter()
            long = known[0].id if known else build(store, options.runs)
            print(f"built in {time.perf_counter() - started:.0f} s")
            measure(store, long, options.rounds)


if __name__ == "__main__":
    main()
