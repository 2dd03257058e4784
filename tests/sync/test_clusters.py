"""`runcast sync --executor`: real clusters of Dask and Ray, on this machine's loopback, write to stores that they share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import runcast
from runcast.credentials import store_token
from runcast.server.access import Access, Scope, Standing
from runcast.store.local import LocalStore
from runcast.store.protocol import RunQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("distributed")
HERE = str(Path(runcast.__file__).parents[1])
RUNS, POINTS = 40, 300

SERVE = """
import sys
from pathlib import Path
import uvicorn
from runcast.server.app import create_app
from runcast.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]), own_in_place=False)
uvicorn.run(create_app(store), host="127.0.0.1", port=int(sys.argv[2]), log_level="critical", access_log=False)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(condition, seconds: float = 60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What workers have of their own: no login, nobody's settings."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """A server: its address, a token for it, and its folder."""
    root, port = tmp_path_factory.mktemp("server"), free_port()
    with LocalStore(root, own_in_place=False) as store:
        access = Access(store.database)
        token = access.tokens.create(access.users.add("ada", Standing.MEMBER)[0].id, "test", Scope.ADMIN)[1]
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(root), str(port)])
    wait_for(lambda: answers(port))
    yield f"http://127.0.0.1:{port}", token, root
    process.kill()
    process.wait()


class Dask:
    """A scheduler, and workers as `dask worker` starts them."""

    def __init__(self, home: Path) -> None:
        self.port, self.home = free_port(), home
        self._log = (home / "dask.log").open("ab")
        self.address = f"127.0.0.1:{self.port}"
        self.processes = [
            self._start("dask_scheduler", "--host", "127.0.0.1", "--port", self.port, "--no-dashboard")
        ]
        wait_for(lambda: answers(self.port))

    def worker(self, *within: object, path: object = HERE, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker, maybe by a command that runs the rest."""
        options = (
            "--host",
            "127.0.0.1",
            "--nthreads",
            1,
            "--no-nanny",
            "--no-dashboard",
            "--local-directory",
            self.home,
        )
        words = (f"tcp://{self.address}", *options)
        self.processes.append(self._start("dask_worker", *words, within=within, PYTHONPATH=str(path), **env))
        return self.processes[-1]

    def kill_workers(self) -> None:
        for process in self.processes[1:]:
            process.kill()
            process.wait()
        del self.processes[1:]

    def _start(self, program: str, *words: object, within: tuple = (), **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*map(str, within), sys.executable, "-m", f"distributed.cli.{program}", *map(str, words)],
            cwd=self.home,
            env={
                **os.environ,
                "XDG_CONFIG_HOME": str(self.home),
                "RUNCAST_DIR": str(self.home / "runs"),
                **env,
            },
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    def close(self) -> None:
        self.kill_workers()
        self.processes[0].kill()
        self.processes[0].wait()
        self._log.close()


@pytest.fixture(scope="module")
def dask(home: Path) -> Iterator[Dask]:
    cluster = Dask(home)
    yield cluster
    cluster.close()


def logs_of(folder: Path, write, runs: int = RUNS) -> Path:
    """Write logs of some runs, each of two parts."""
    for number in range(runs):
        for part in ("train", "validation"):
            write(
                folder / f"run{number:02}" / part / f"events.out.tfevents.16900000{number:02}.lab.{number}.0",
                POINTS,
            )
    return folder


def is_all_there(store: LocalStore, logs: Path, runs: int = RUNS) -> None:
    """Every run once, with every byte and point that a fresh read of the logs finds."""
    found = [
        run for run in store.runs(RunQuery()) if run.facts["sync"]["from"].startswith(logs.as_uri() + "/")
    ]
    assert len(found) == runs
    for run in found:
        original = runcast.read(logs / run.name)
        for series in store.series(run.id):
            points = store.points(run.id, series.root, series.source, series.tag)
            read = original.scalars(series.tag, series.source)
            assert points.step.tolist() == read.step.tolist()
            assert points.value.tolist() == read.value.tolist()
        assert [each.count for each in store.series(run.id)] == [POINTS, POINTS]
        for file in store.files(run.id):
            assert store.read(run.id, file.path, 0, 1 << 30) == Path(file.source_path).read_bytes()


def command(sync, *words: object) -> list[str]:
    return [sys.executable, "-m", "runcast", "--dir", str(sync.folder), "sync", *map(str, words)]


def run(sync, *words: object) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr of a command in a process of its own."""
    done = subprocess.run(command(sync, *words), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def killed_midway(sync, words: list[object], store: LocalStore, kill, more: int) -> dict:
    """Start a sync, kill somebody when it has brought a few runs, and return what it says in the end."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command(sync, *words, "--json"), **piped) as process:
        try:
            wait_for(lambda: process.poll() is not None or len(store.runs(RunQuery())) >= more + 4)
            kill()
            assert process.poll() is None
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert all(" left" in line for line in err.splitlines()), err  # how far it is
    return json.loads(out)


def started(folder: Path, text: str) -> Path:
    """Return what PYTHONPATH is, so that a worker does that when it starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(text)
    return folder


def test_workers_that_cannot(sync, dask: Dask, server, tmp_path: Path, write, monkeypatch) -> None:
    """Workers without runcast, with another version, without the logs, with a bad token: a line each; those who can bring everything."""
    logs = logs_of(tmp_path / "logs", write, 20)
    url, token, root = server
    store_token(url, token)
    without = started(tmp_path / "without", "import sys; sys.modules['runcast'] = None")
    other = started(tmp_path / "other", "")
    (other / "runcast").mkdir()
    (other / "runcast" / "__init__.py").write_text("__version__ = '0.0.1'")
    dask.worker(path=without)
    dask.worker(path=other)
    dask.worker(RUNCAST_TOKEN="wrong")
    lines = [
        "it has no runcast: pip install 'runcast==",
        "it has runcast 0.0.1, and here is",
        "does not accept the token",
    ]
    elsewhere = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{logs}" && exec "$@"', "sh")
    if subprocess.run([*elsewhere, "true"], capture_output=True).returncode == 0:
        dask.worker(*elsewhere)
        lines.append(f"it cannot read {logs}")
    words = (logs, "--to", url, "--executor", f"dask://{dask.address}")
    wait_for(lambda: (dask.home / "dask.log").read_text().count("Registered to") >= len(lines))
    code, out, err = run(sync, *words)
    assert (code, out) == (1, "")
    assert err.count("\n") == len(lines) + 1, err
    assert err.count(f"the worker on {socket.gethostname()} brings nothing: ") == len(lines)
    assert all(line in err for line in lines), err
    assert "none of the workers of the Dask cluster at tcp://" in err
    dask.worker()
    wait_for(lambda: (dask.home / "dask.log").read_text().count("Registered to") > len(lines))
    code, out, err = run(sync, *words)
    assert code == 0
    assert "20 runs (20 new)" in out
    assert "brings nothing" in err
    dask.kill_workers()
    with LocalStore(root, own_in_place=False) as store:
        is_all_there(store, logs, 20)


def test_a_dask_worker_that_is_killed(sync, dask: Dask, postgresql_url: str, tmp_path: Path, write) -> None:
    """One of two workers that write to PostgreSQL and a folder is killed midway: everything is there once. Ctrl-C ends what is at work."""
    logs = logs_of(tmp_path / "logs", write)
    victim, _ = dask.worker(), dask.worker()
    words = [logs, "--to", postgresql_url, "--executor", f"dask://{dask.address}"]
    with LocalStore(sync.folder, database=postgresql_url, own_in_place=False) as store:
        process = subprocess.Popen(command(sync, *words), stderr=subprocess.PIPE, text=True)
        wait_for(lambda: len(store.runs(RunQuery())) >= 3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "the same command goes on" in err
        assert len(err.split("\n")) <= 3
        time.sleep(0.5)
        before = len(store.runs(RunQuery()))
        time.sleep(0.5)
        assert len(store.runs(RunQuery())) == before < RUNS
        done = killed_midway(sync, words, store, victim.kill, more=before)
        assert done["whole"] is True
        assert len({run["id"] for run in done["runs"]}) == len(done["runs"]) == RUNS
        is_all_there(store, logs)
    code, out, _ = run(sync, *words)
    assert (code, f"{RUNS} runs ({RUNS} unchanged): nothing new, in postgresql" in out) == (0, True)
    dask.kill_workers()


class Ray:
    """A cluster of one node with two workers. Ray takes 127.0.0.1 for the machine's own address, but not 127.0.0.2."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.address = f"127.0.0.2:{self.port}"
        self.processes = []
        self._sockets = tempfile.mkdtemp(prefix="ray")  # their paths may have 107 bytes
        self._start(
            "--head",
            f"--port={self.port}",
            "--include-dashboard=false",
            f"--temp-dir={self._sockets}",
        )
        try:
            wait_for(lambda: answers(self.port), 100)
        except BaseException:
            self.close()
            raise

    def _start(self, *words: str) -> None:
        common = (
            "--num-cpus=2",
            "--node-ip-address=127.0.0.2",
            "--object-store-memory=80000000",
            "--disable-usage-stats",
        )
        program = "from ray.scripts.scripts import main; main()"
        self.processes.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    program,
                    "start",
                    "--block",
                    "--include-log-monitor=false",
                    *common,
                    *words,
                ],
                cwd=self.home,
                env={
                    **os.environ,
                    "XDG_CONFIG_HOME": str(self.home),
                    "PYTHONPATH": HERE,
                    "RAY_USAGE_STATS_ENABLED": "0",
                },
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def at_work(self) -> list[int]:
        """Return the ids of the processes that do tasks."""
        found = []
        for process in self.processes:
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if child.cmdline()[:1] and child.cmdline()[0].startswith("ray::runcast-sync"):
                        found.append(child.pid)
        return found

    def close(self) -> None:
        for process in self.processes[::-1]:
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)


@pytest.fixture(scope="module")
def ray(home: Path) -> Iterator[Ray]:
    pytest.importorskip("ray")
    cluster = Ray(home)
    yield cluster
    cluster.close()


def test_a_ray_worker_that_is_killed(sync, ray: Ray, server, tmp_path: Path, write, monkeypatch) -> None:
    """One of two workers that write to a server is killed midway: everything is there once, and a second sync brings nothing."""
    logs = logs_of(tmp_path / "logs", write)
    url, token, root = server
    store_token(url, token)
    words = [logs, "--to", url, "--executor", "ray"]
    monkeypatch.setenv("RAY_ADDRESS", ray.address)
    with LocalStore(root, own_in_place=False) as store:
        before = len(store.runs(RunQuery()))
        done = killed_midway(
            sync, words, store, lambda: os.kill(ray.at_work()[0], signal.SIGKILL), more=before
        )
        assert done["whole"] is True
        assert len({run["id"] for run in done["runs"]}) == len(done["runs"]) == RUNS
        is_all_there(store, logs)
    assert set(sync.outcomes(logs, "--to", url).values()) == {("unchanged", 0)}


def test_no_cluster(sync, tmp_path: Path, write, monkeypatch) -> None:
    """A cluster that is not there, an address that is none, a store that workers cannot share: one line each, soon."""
    logs = write(tmp_path / "logs" / "events.out.tfevents.1690000000.lab.1.0", 5).parent
    away = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", away)
    there = ("--to", "http://127.0.0.1:1")
    for words, said, expected in [
        (
            (f"dask://{away}", *there),
            f"the Dask cluster at tcp://{away} does not answer (Connection refused)",
            1,
        ),
        (
            (f"ray://{away}", *there),
            f"the Ray cluster at ray://{away} does not answer (Connection refused)",
            1,
        ),
        (("ray", *there), f"the Ray cluster at {away} does not answer", 1),
        (("dask", *there), "DASK_SCHEDULER_ADDRESS", 1),
        (("slurm://x", *there), "'slurm://x' is no cluster: write dask://HOST:PORT", 1),
        ((f"dask://{away}",), "a folder of this machine: name a store that they share, --to https://", 2),
    ]:
        code, _, err = sync(logs, "--executor", *words)
        assert (code, err.count("\n")) == (expected, 1)
        assert said in err
