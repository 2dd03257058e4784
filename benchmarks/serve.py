"""What a server takes: `python benchmarks/serve.py [--runs N] [--rate R] [--seconds S] [--every E] [--database URL] [--files URL]`.

N live runs get R scalar events a second each, and send them every E seconds over a connection of their own, as recorders do, to one
`runcast serve`; all clients are one process on the same machine. Printed are the server's processor time for each append, the
time from when an append is sent until it is answered, and until the points are seen in the API, and the server's memory. At the end every
run is asked what it has: nothing may be lost, nothing be there twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from runcast.cli.serve import open_served
from runcast.events.writer import EventWriter, event_file_name
from runcast.run.channel import pack
from runcast.run.record import RunRecord, new_run_id
from runcast.server.access import Access, Scope, Standing

FILE = f"files/logs/train/{event_file_name()}"
PROBES = 0.01
"""The part of the appends that are watched until they are seen."""


class Connection(asyncio.Protocol):
    """One connection that is kept alive: as little of HTTP as the server speaks, to cost the machine little."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._came = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, mark, rest = self._came.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head)
        if mark and len(rest) >= (length := int(found[1]) if found else 0):
            self._came = rest[length:]
            self._answer.set_result((int(head[9:12]), rest[:length]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server closed the connection"))

    async def request(self, method: str, path: str, token: str, body: bytes = b"") -> tuple[int, bytes]:
        self._answer = asyncio.get_running_loop().create_future()
        head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)
        return await self._answer


class Load:
    """All runs, and what became of their appends."""

    def __init__(
        self, address: tuple[str, int], token: str, runs: list[str], pieces: list[bytes], every: float
    ) -> None:
        self.answered: list[float] = []
        self.seen: list[float] = []
        self.put_off = 0
        self._address = address
        self._token = token
        self._runs = runs
        self._pieces = pieces
        self._every = every

    async def go(self, steps_each: int) -> None:
        """Have every run send its pieces, in time."""
        begun = time.monotonic()
        starts = [begun + self._every * number / len(self._runs) for number in range(len(self._runs))]
        await asyncio.gather(
            *[self._record(run, start, steps_each) for run, start in zip(self._runs, starts, strict=True)]
        )

    async def _record(self, run: str, start: float, steps_each: int) -> None:
        connection = await self._connect()
        size, probes = 0, set()
        for number, piece in enumerate(self._pieces):
            await asyncio.sleep(max(0.0, start + number * self._every - time.monotonic()))
            begun = time.monotonic()
            if random.random() < PROBES and not probes:
                task = asyncio.create_task(self._watch(run, (number + 1) * steps_each - 1, begun))
                probes.add(task)
                task.add_done_callback(probes.discard)
            size = await self._send(connection, run, size, piece)
            self.answered.append(time.monotonic() - begun)
        await asyncio.gather(*probes)

    async def _send(self, connection: Connection, run: str, size: int, piece: bytes) -> int:
        body = pack({"appends": [{"path": FILE, "offset": size, "final": False}]}, [piece])
        while True:
            status, answer = await connection.request("POST", f"/runs/{run}/appends", self._token, body)
            if status == 503:
                self.put_off += 1
                await asyncio.sleep(random.uniform(0.5, 1.5))
                continue
            assert status == 200, answer
            (said,) = json.loads(answer)["answers"]
            assert said == {"size": size + len(piece)}, said
            return said["size"]

    async def _watch(self, run: str, step: int, begun: float) -> None:
        connection = await self._connect()  # a server does not keep those that ask nothing
        while True:
            _, answer = await connection.request("GET", f"/runs/{run}/series", self._token)
            series = json.loads(answer).get("series")
            if series and series[0]["last_step"] >= step:
                self.seen.append(time.monotonic() - begun)
                return
            await asyncio.sleep(0.02)

    async def check(self, points: int) -> int:
        """Return how many runs do not have exactly the points that were sent."""
        connection, wrong = await self._connect(), 0
        for run in self._runs:
            _, answer = await connection.request("GET", f"/runs/{run}/series", self._token)
            (series,) = json.loads(answer)["series"]
            wrong += (series["count"], series["last_step"], series["last"]) != (
                points,
                points - 1,
                float(points - 1),
            )
        return wrong

    async def _connect(self) -> Connection:
        return (await asyncio.get_running_loop().create_connection(Connection, *self._address))[1]


def pieces_of(folder: Path, count: int, steps_each: int) -> list[bytes]:
    """Return what every run sends, piece by piece: whole records of one series, whose values are its steps."""
    writer = EventWriter(folder / "events.out.tfevents.1")
    pieces, at = [], 0
    for number in range(count):
        for step in range(number * steps_each, (number + 1) * steps_each):
            writer.scalars({"loss": float(step)}, step, time.time())
        with writer.path.open("rb") as file:
            file.seek(at)
            data = file.read()
        pieces.append(data)
        at += len(data)
    return pieces


async def measure(load: Load, server: psutil.Process, steps_each: int, seconds: float) -> None:
    """Run the load, and print the server's memory and processor time as it goes."""
    running = asyncio.create_task(load.go(steps_each))
    begun, before = time.monotonic(), server.cpu_times()
    while not running.done():
        await asyncio.wait({running}, timeout=max(5.0, seconds / 10))
        spent = server.cpu_times()
        cpu = spent.user + spent.system - before.user - before.system
        took = time.monotonic() - begun
        memory = server.memory_info().rss >> 20
        each = cpu / max(1, len(load.answered)) * 1000
        print(
            f"{took:6.0f} s  {len(load.answered):8} appends  {cpu / took:5.0%} of a core  {each:.2f} ms each  {memory} MiB"
        )
    await running


def main() -> None:
    """Make a server and its runs, load it, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rate", type=int, default=10, help="scalar events a second of each run")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two appends of a run")
    parser.add_argument("--database")
    parser.add_argument("--files")
    options = parser.parse_args()
    steps_each = max(1, round(options.rate * options.every))
    count = max(1, round(options.seconds / options.every))
    with tempfile.TemporaryDirectory(prefix="runcast-serve-") as scratch:
        folder = Path(scratch)
        pieces = pieces_of(folder, count, steps_each)
        with open_served(folder / "store", options.database, options.files) as store:
            access = Access(store.database)
            user = access.users.add(f"bench-{new_run_id()}", Standing.MEMBER)[0].id
            token = access.tokens.create(user, "benchmark", Scope.WRITE)[1]
            project = f"bench-{new_run_id()}"
            access.projects.make(project, user)
            runs = [new_run_id() for _ in range(options.runs)]
            for run in runs:
                store.create(RunRecord(run, project, run, "running", time.time()))
        where = [f"--{name}={value}" for name in ("database", "files") if (value := getattr(options, name))]
        command = [
            sys.executable,
            "-m",
            "runcast",
            "--dir",
            str(folder / "store"),
            "serve",
            "--port=0",
            "--log-level=warning",
            *where,
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            host, port = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline()).groups()
            load = Load((host, int(port)), token, runs, pieces, options.every)
            asyncio.run(measure(load, psutil.Process(process.pid), steps_each, options.seconds))
            wrong = asyncio.run(load.check(count * steps_each))
        finally:
            process.terminate()
            process.wait(30)
    for name, times in (("answered", load.answered), ("seen in the API", load.seen)):
        if times:
            p95 = statistics.quantiles([*times, *times], n=20)[-1]
            print(
                f"{name}: median {statistics.median(times):.3f} s, p95 {p95:.3f} s, longest {max(times):.3f} s ({len(times)})"
            )
    print(f"put off (503): {load.put_off}; runs that lack points or have too many: {wrong} of {len(runs)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
