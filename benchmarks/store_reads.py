"""What reading a large store costs: `python benchmarks/store_reads.py [--runs N] [--database postgresql://…] [--folder DIR]`.

Builds a store of N runs (100,000) of 20 tags, 50 live ones, and one run with a series of 1,000,000 points, and measures, in this
process, interleaved, warm: the newest 50 runs of a project; the top 50 by a metric, with filters on the config that many, some and few
runs pass; what an order by a config field costs; and the chart of the long series at 1,000 pixels. Then the same as users get it: the
answers of the HTTP application, with their summaries, without a socket. Beside the time that passed is this process's processor time
(a PostgreSQL's own is not in it). The rows of the runs are inserted as the store would write them, without event files; live ones and
the long series are appended. With --folder, the store is kept and used again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from runcast.events.writer import EventWriter
from runcast.run.record import RunRecord, new_run_id
from runcast.server.access import Access, Scope, Standing
from runcast.server.app import create_app
from runcast.store import schema
from runcast.store.fields import fill
from runcast.store.local import LocalStore
from runcast.store.protocol import Append, RunQuery
from runcast.store.query import parse_filters

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa
    from starlette.applications import Starlette

TAGS = 20
POINTS = 1_000_000
LIVE = 50
APPENDS = 28
"""Of each live run: what they brought is not folded yet."""

PROJECTS = {"large": 0.5, "medium": 0.3, "small": 0.01}
"""What part of the runs each project has; the rest are in many of a hundred runs."""

QUERIES: dict[str, dict[str, Any]] = {
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


def append_live(store: LocalStore) -> None:
    """Append to live runs what their recorders would, every second one step of all tags."""
    runs = [
        RunRecord(new_run_id(), "live", f"live {number}", "running", time.time()) for number in range(LIVE)
    ]
    for run in runs:
        store.create(run)
    with tempfile.TemporaryDirectory() as folder:
        writer = EventWriter(Path(folder) / "x.tfevents")
        at = 0
        for step in range(APPENDS):
            writer.scalars({f"metric{tag}": random.random() for tag in range(TAGS)}, step, 1.7e9 + step)
            piece = writer.path.read_bytes()[at:]
            store.append_runs({run.id: [Append("files/logs/train/x.tfevents", at, piece)] for run in runs})
            at += len(piece)
        writer.close()


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


class Client:
    """Asks an application, without a socket."""

    def __init__(self, app: Starlette, token: str) -> None:
        self._app = app
        self._token = token
        self._loop = asyncio.new_event_loop()
        self._life = app.router.lifespan_context(app)
        self._loop.run_until_complete(self._life.__aenter__())

    def close(self) -> None:
        self._loop.run_until_complete(self._life.__aexit__(None, None, None))
        self._loop.close()

    def get(self, path: str, accept: str = "application/json", **parameters: Any) -> bytes:
        """Return the body of an answer."""
        return self._loop.run_until_complete(self._get(path, accept, parameters))

    async def _get(self, path: str, accept: str, parameters: dict[str, Any]) -> bytes:
        headers = {"host": "localhost", "authorization": f"Bearer {self._token}", "accept": accept}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"/api/v1{path}",
            "raw_path": f"/api/v1{path}".encode(),
            "query_string": urlencode(parameters).encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        assert sent[0]["status"] == 200, body
        return body


def reads(store: LocalStore, long: str) -> dict[str, Callable[[], int]]:
    """Return what is asked of the store, by what it is called; each returns how much it found."""
    asks: dict[str, Callable[[], int]] = {}
    for project in (*PROJECTS, "p1"):
        for name, query in QUERIES.items():
            filters = parse_filters(query.get("filters", ""))
            asked = RunQuery(project, filters=filters, order=query.get("order"), limit=50)
            if query.get("deep"):
                for _ in range(99):
                    page = store.page(asked)
                    if page.next is None:
                        break
                    asked = RunQuery(project, order=asked.order, limit=50, after=page.next)
            asks[f"{project}: {name}"] = lambda asked=asked: len(store.page(asked).runs)  # type: ignore[misc]
    some = store.runs(RunQuery("small", limit=1))[0].id
    chart: dict[str, Any] = {"root": "logs", "source": ".", "tag": "loss", "pixels": 1000}
    asks["the series of a run"] = lambda: len(store.series(some))
    asks["a chart of a million points"] = lambda: len(store.points(long, **chart).step)
    asks["a hundredth of it"] = lambda: len(store.points(long, **chart, step_range=(500_000, 509_999)).step)
    return asks


def answers(client: Client, long: str) -> dict[str, Callable[[], int]]:
    """Return what is asked of the application."""
    asks: dict[str, Callable[[], int]] = {}
    for project in ("large", "small", "live"):
        for name in ("newest 50", "top 50 by a metric", "… of a few, by config"):
            if project == "live" and name != "newest 50":
                continue
            query = QUERIES[name]
            said = {
                "project": project,
                "limit": 50,
                "order": query.get("order"),
                "filter": query.get("filters"),
            }
            given = {key: value for key, value in said.items() if value is not None}
            asks[f"GET /runs, {project}: {name}"] = lambda given=given: len(  # type: ignore[misc]
                json.loads(client.get("/runs", **given))["runs"]
            )
    some = json.loads(client.get("/runs", project="small", limit=1))["runs"][0]["id"]
    asks["GET /runs/{id}"] = lambda: len(json.loads(client.get(f"/runs/{some}"))["summary"])
    chart: dict[str, Any] = {"root": "logs", "source": ".", "tag": "loss"}
    few: dict[str, Any] = {"from": 500_000, "to": 509_999}
    asks["GET …/points, 1,000 pixels, JSON"] = lambda: len(
        json.loads(client.get(f"/runs/{long}/points", pixels=1000, **chart))["step"]
    )
    asks["GET …/points, 1,000 pixels, binary"] = lambda: (
        len(client.get(f"/runs/{long}/points", "application/octet-stream", pixels=1000, **chart)) // 24
    )
    asks["GET …/points, a hundredth of it, binary"] = lambda: (
        len(client.get(f"/runs/{long}/points", "application/octet-stream", pixels=1000, **chart, **few)) // 24
    )
    return asks


def measure(asks: dict[str, Callable[[], int]], rounds: int) -> None:
    """Print medians and 95th percentiles, and the medians of this process's processor time, in milliseconds."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in asks}
    found = {}
    for ask in asks.values():
        ask()
    for _ in range(rounds):
        for name, ask in asks.items():
            started, used = time.perf_counter(), time.process_time()
            found[name] = ask()
            times[name].append((time.perf_counter() - started, time.process_time() - used))
    for name, took in times.items():
        wall, cpu = (sorted(each[column] * 1e3 for each in took) for column in (0, 1))
        p95 = wall[int(len(wall) * 0.95)]
        print(
            f"{name:48} {found[name]:6} found   p50 {statistics.median(wall):7.1f}   p95 {p95:7.1f} ms"
            f"   processor {statistics.median(cpu):7.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    parser.add_argument("--database")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.folder or Path(folder)
        with LocalStore(place / "store", database=options.database) as store:
            known = store.runs(RunQuery("long"))
            started = time.perf_counter()
            long = known[0].id if known else build(store, options.runs)
            if not store.runs(RunQuery("live", limit=1)):
                append_live(store)
            print(f"built in {time.perf_counter() - started:.0f} s")
            print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
            access = Access(store.database)
            user = access.users.add(f"reader-{new_run_id()}", Standing.ADMIN)[0].id
            client = Client(create_app(store, access), access.tokens.create(user, "reads", Scope.READ)[1])
            try:
                asks = reads(store, long) | answers(client, long)
                measure({name: ask for name, ask in asks.items() if options.only in name}, options.rounds)
            finally:
                client.close()


if __name__ == "__main__":
    main()
