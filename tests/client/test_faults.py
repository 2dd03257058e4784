"""What goes wrong between a recorder and its server: afterwards every byte is there once, and the series are those of the event files.

`RUNCAST_TEST_KILLS=50` kills the server 50 times in 10 minutes instead of a few times in seconds.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import runcast
from runcast.credentials import store_token
from runcast.errors import ServerUnreachable
from runcast.recorder.replication import Replication
from runcast.store import connection
from runcast.store.remote import RemoteStore

KILLS = int(os.environ.get("RUNCAST_TEST_KILLS", "2"))
PAUSE = 600 / KILLS if KILLS >= 50 else 0.8
"""Seconds between two kills, on average."""

TRAIN = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from torch.utils.tensorboard import SummaryWriter
import runcast
run = runcast.init("faults", "a run", sync_tensorboard=True, to=sys.argv[1], save_code=False)
print(run.id, flush=True)
writers = [SummaryWriter(f"logs/{name}") for name in ("train", "val")]
step = 0
while not os.path.exists("stop"):
    for writer in writers:
        for tag in range(5):
            writer.add_scalar(f"tag{tag}", step * 0.1 + tag, step)
    step += 1
    if step % 200 == 0:
        with open(f"saved{step % 3}.bin", "wb") as file:
            file.write(os.urandom(500_000))
        run.save(f"saved{step % 3}.bin")
        print("step", step)
    time.sleep(0.005)
for writer in writers:
    writer.close()
"""


@pytest.mark.timeout(900)
def test_a_server_that_is_killed_again_and_again_gets_everything(
    new_server, tmp_path, local, is_same, monkeypatch
):
    """The server is killed and started at random while a training writes: in the end it has the run as it is here."""
    for part in ("SYSTEM", "GIT", "PACKAGES"):
        monkeypatch.setenv(f"RUNCAST_SAVE_{part}", "off")
    monkeypatch.setenv("RUNCAST_FINISH_TIMEOUT", "90")
    store_token(new_server.url, new_server.token)
    (tmp_path / "train.py").write_text(TRAIN)
    training = subprocess.Popen(
        [sys.executable, "train.py", new_server.url],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(runcast.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        run = training.stdout.readline().strip()
        chance = random.Random(5)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.5, 1.5) * PAUSE)
            new_server.kill()
            time.sleep(chance.uniform(0.0, 0.6))
            new_server.start()
        (tmp_path / "stop").touch()
        training.communicate(timeout=120)
    finally:
        training.kill()
        training.wait()
        training.stdout.close()
    is_same(run, new_server)
    logs = runcast.read(tmp_path / "logs")
    with new_server.store() as there:
        for source in ("train", "val"):
            for tag in logs.tags("scalars", source):
                (series,) = [
                    one for one in there.series(run) if (one.source, one.tag) == (f"logs/{source}", tag.tag)
                ]
                points = there.points(run, series.root, series.source, series.tag)
                original = logs.scalars(tag.tag, source)
                assert points.step.tolist() == original.step.tolist()
                assert points.value.tolist() == original.value.tolist()


class FaultyNetwork:
    """A way to a server on which anything may happen; `calm` lets everything through."""

    def __init__(self, port: int, seed: int) -> None:
        self.calm = False
        self.faults = 0
        self._chance = random.Random(seed)
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        fault = (
            "none"
            if self.calm
            else self._chance.choice(["none", "refuse", "cut", "truncate", "silent", "error", "html"])
        )
        self.faults += fault != "none"
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            # Each is let through some requests before it happens.
            up, down = {"cut": (20_000, None), "truncate": (None, 900)}.get(fault, (None, None))
            match fault:
                case "refuse":
                    return
                case "silent":
                    time.sleep(0.6)
                    return
                case "error" | "html":
                    client.recv(1 << 16)
                    body = b'{"error": "boom"}' if fault == "error" else b"<html>Bad gateway</html>"
                    status = b"500 Internal Server Error" if fault == "error" else b"502 Bad Gateway"
                    client.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
                    return
            answers = threading.Thread(target=_pass, args=(server, client, down), daemon=True)
            answers.start()
            _pass(client, server, up)
            answers.join(5)


def _pass(source: socket.socket, target: socket.socket, most: int | None) -> None:
    """Pass bytes on, at most so many; then both ends are cut."""
    passed = 0
    with suppress(OSError):
        while data := source.recv(1 << 16):
            if most is not None and passed + len(data) > most:
                target.sendall(data[: most - passed])
                break
            target.sendall(data)
            passed += len(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def test_a_network_that_fails_loses_and_repeats_nothing(new_run, local, server, is_same, monkeypatch):
    """Connections are refused, cut, silent, answers truncated or replaced by errors: everything arrives, once."""
    monkeypatch.setattr(connection, "ANSWER", 0.3)
    network = FaultyNetwork(server.port, seed=7)
    run = new_run(project="faults")
    replication = Replication(local, lambda: RemoteStore(network.url, server.token, patience=0.0), run.id)
    failures = 0

    def attempt() -> None:
        nonlocal failures
        try:
            replication.round()
        except ServerUnreachable:
            failures += 1
        replication.reconnect()

    for step in range(30):
        run.log("train", step, loss=1 / (step + 1), acc=float(step))
        run.log(f"source{step % 7}", step, loss=0.5)
        run.print("x" * 500 * step)
        if step % 5 == 0:
            local.put(run.id, f"saved/{step}.bin", os.urandom(60_000))
        attempt()
    run.finish()
    for _ in range(15):
        attempt()
    network.calm = True
    monkeypatch.setattr(connection, "ANSWER", 20.0)
    deadline = time.monotonic() + 30
    while not replication.complete:
        assert time.monotonic() < deadline
        attempt()
    network.close()
    replication.close()
    assert failures > 10
    is_same(run.id, server)


@pytest.fixture
def mounted(tmp_path):
    """Mount a small file system of its own for the server's folder; None where that is not allowed. Gives what changes its size."""
    folder = tmp_path / "server"
    folder.mkdir()

    def mount(*options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not (shutil.which("mount") and mount("size=64m")):
        yield None
        return
    yield lambda size: mount(f"size={size}", "remount")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(
    sys.platform != "linux", reason="fills a file system of its own, or limits another process"
)
def test_a_server_whose_disk_is_full_takes_the_rest_when_there_is_room(
    mounted, new_run, local, new_server, is_same
):
    """While the server cannot write, it says so and the recorder keeps trying; nothing of it is lost or there twice."""
    run = new_run(project="faults")
    run.log("train", 0, loss=1.0)
    replication = Replication(local, lambda: new_server.remote(patience=0.0), run.id)
    replication.round()
    process = psutil.Process(new_server.process.pid)
    hard = process.rlimit(resource.RLIMIT_FSIZE)[1]
    if mounted is None:
        process.rlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    else:
        assert mounted(shutil.disk_usage(new_server.root).used + 400_000)
    refused = set()
    for step in range(1, 40):
        run.log("train", step, loss=1 / step)
        run.print("y" * 20_000)
        local.put(run.id, "saved/big.bin", os.urandom(600_000))
        try:
            replication.round()
        except ServerUnreachable as error:
            refused.add(str(error))
            replication.reconnect()
        if replication.trouble:
            refused.add(replication.trouble)
    if mounted is None:
        assert any("File too large" in text for text in refused), refused
        process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))
    else:
        assert any("507" in text and "free space on its disk" in text for text in refused), refused
        assert mounted("64m")
    run.finish()
    deadline = time.monotonic() + 30
    while not replication.complete:
        assert time.monotonic() < deadline, replication.trouble
        with suppress(ServerUnreachable):
            replication.round()
        time.sleep(0.05)
    replication.close()
    is_same(run.id, new_server)


@pytest.fixture
def cable():
    """Lay a cable to a network of its own: the address there, what runs a command there, and what cuts the cable."""
    name = f"runcast{os.getpid()}"

    def ip(*words: str) -> bool:
        return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0

    if not (shutil.which("ip") and ip("netns", "add", name)):
        pytest.skip("this user may make no networks")
    here, there = f"rch{os.getpid()}", f"rct{os.getpid()}"
    net = f"10.213.{os.getpid() % 250}"
    try:
        assert ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        assert ip("address", "add", f"{net}.1/30", "dev", here)
        assert ip("link", "set", here, "up")
        assert ip("-n", name, "address", "add", f"{net}.2/30", "dev", there)
        assert ip("-n", name, "link", "set", there, "up")
        within = ("ip", "netns", "exec", name)
        yield f"{net}.2", within, lambda state: ip("-n", name, "link", "set", there, state)
    finally:
        ip("link", "del", here)
        ip("netns", "del", name)


def test_a_network_that_is_cut_and_restored(
    cable, tmp_path, new_run, local, new_server_at, is_same, monkeypatch
):
    """The cable to the server is cut in the middle of uploads, several times: what is sent then vanishes, and comes afterwards, once."""
    address, within, cut = cable
    monkeypatch.setattr(connection, "ANSWER", 0.5)
    monkeypatch.setattr(connection, "CONNECT", 0.5)
    server = new_server_at(tmp_path / "server", host=address, within=within)
    server.start()
    run = new_run(project="faults")
    replication = Replication(local, lambda: server.remote(patience=0.0), run.id)
    stop, failures = threading.Event(), []

    def cut_again_and_again() -> None:
        chance = random.Random(2)
        for _ in range(max(3, KILLS)):
            time.sleep(chance.uniform(0.1, 0.5))
            assert cut("down")
            time.sleep(chance.uniform(0.3, 1.2))
            assert cut("up")
        stop.set()

    cutting = threading.Thread(target=cut_again_and_again)
    cutting.start()
    step, deadline = 0, None
    try:
        while not replication.complete:
            if not stop.is_set():
                for _ in range(20):
                    run.log("train", step, loss=1 / (step + 1))
                    step += 1
                run.print("z" * 50_000)
                local.put(run.id, f"saved/{step % 3}.bin", os.urandom(1_000_000))
            elif deadline is None:
                monkeypatch.setattr(connection, "ANSWER", 10.0)
                monkeypatch.setattr(connection, "CONNECT", 5.0)
                run.finish()
                deadline = time.monotonic() + 40
            else:
                assert time.monotonic() < deadline, failures[-1]
            try:
                replication.round()
            except ServerUnreachable as error:
                failures.append(str(error))
                replication.reconnect()
            time.sleep(0.01)
        assert any("does not answer" in failure for failure in failures), failures
        is_same(run.id, server)
    finally:
        cutting.join()
        replication.close()
        server.kill()
