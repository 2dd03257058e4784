"""TensorBoard behind a port that is there from the start: a real TensorBoard over real event files."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil
import pytest
import tensorboard_data_server
from torch.utils.tensorboard import SummaryWriter

from runcast.recorder.tensorboard import LazyTensorBoard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POINTS = 3000


def fetch(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def scalars(port: int, run: str, tag: str) -> list[list[float]]:
    status, body = fetch(port, f"/data/plugin/scalars/scalars?run={run}&tag={tag}")
    return json.loads(body) if status == 200 else []


def eventually(check: Callable[[], object], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    with SummaryWriter(str(folder / "train")) as writer:
        for step in range(POINTS):
            writer.add_scalar("loss", 1 / (1 + step), step)
    return folder


@pytest.fixture(scope="module")
def board(logdir: Path) -> Iterator[LazyTensorBoard]:
    """A TensorBoard for the tests that only look at it."""
    board = LazyTensorBoard(logdir)
    yield board
    board.close()


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LazyTensorBoard]:
    """A TensorBoard that nobody has opened, over a logdir that does not exist yet; its notes go to `tmp_path / "tmp"`."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    board = LazyTensorBoard(tmp_path / "logs")
    yield board
    board.close()


def test_costs_nothing_until_opened(fresh: LazyTensorBoard) -> None:
    """The address is known at once, and there is no TensorBoard process until somebody opens it."""
    assert fresh.port > 0
    assert fresh.child is None
    assert fetch(fresh.port, "/data/environment")[0] == 200
    assert fresh.child is not None


def test_is_the_real_tensorboard(board: LazyTensorBoard) -> None:
    """The page, its script, the runs and the data all come through."""
    status, page = fetch(board.port, "/")
    assert status == 200
    assert b"<title>" in page
    status, script = fetch(board.port, "/index.js?_file_hash=x")
    assert status == 200
    assert len(script) > 1_000_000
    assert eventually(lambda: json.loads(fetch(board.port, "/data/runs")[1]) == ["train"])


def test_samples_no_point_away(board: LazyTensorBoard) -> None:
    """TensorBoard, which shows a thousand points of a tag by default, shows them all."""
    assert eventually(lambda: len(scalars(board.port, "train", "loss")) == POINTS)
    assert [point[1] for point in scalars(board.port, "train", "loss")] == list(range(POINTS))


def test_many_connections_and_keep_alive(board: LazyTensorBoard) -> None:
    """A page full of charts asks on many connections, several times on each."""

    def browse(_: int) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", board.port, timeout=60)
        statuses = []
        for _ in range(5):
            connection.request("GET", "/data/environment")
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()
        return statuses

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(browse, range(40))) == [[200] * 5] * 40


def test_a_client_that_has_said_all_still_gets_its_answer(board: LazyTensorBoard) -> None:
    """A proxy that closes its sending side after the request receives the whole response."""
    with socket.create_connection(("127.0.0.1", board.port), timeout=60) as client:
        client.sendall(b"GET /index.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: client.recv(1 << 16), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    assert len(body) > 1_000_000


def test_clients_that_hang_up_disturb_nobody(board: LazyTensorBoard) -> None:
    """An iframe that is reloaded in mid-download leaves TensorBoard well."""
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", board.port), timeout=60) as client:
            client.sendall(b"GET /index.js HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(100)
    assert fetch(board.port, "/data/environment")[0] == 200


def test_a_live_logdir_moves(fresh: LazyTensorBoard, tmp_path: Path) -> None:
    """A run that begins and grows while TensorBoard is open appears and grows there."""
    assert json.loads(fetch(fresh.port, "/data/runs")[1]) == []
    with SummaryWriter(str(tmp_path / "logs")) as writer:
        writer.add_scalar("loss", 1.0, 0)
        writer.flush()
        assert eventually(lambda: len(scalars(fresh.port, ".", "loss")) == 1)
        writer.add_scalar("loss", 0.5, 1)
        writer.flush()
        assert eventually(lambda: len(scalars(fresh.port, ".", "loss")) == 2)


def test_connections_wait_while_it_starts(fresh: LazyTensorBoard) -> None:
    """Connections that arrive during the start are answered by the one TensorBoard that comes up."""
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: fetch(fresh.port, "/data/environment")[0], range(10)))
    assert answers == [200] * 10
    assert len([child for child in psutil.Process().children() if child.pid == fresh.child]) == 1


def test_comes_back_after_it_died(fresh: LazyTensorBoard) -> None:
    """A TensorBoard that was killed is there again at the next look."""
    fetch(fresh.port, "/data/environment")
    first = fresh.child
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: fresh.child is None)
    assert fetch(fresh.port, "/data/environment")[0] == 200
    assert fresh.child not in (None, first)


def test_close_ends_it(fresh: LazyTensorBoard, tmp_path: Path) -> None:
    """Closing ends TensorBoard and its data server, frees the port, drops whoever is connected, and leaves no files."""
    fetch(fresh.port, "/data/environment")
    child = fresh.child
    assert child is not None
    family = [child, *(process.pid for process in psutil.Process(child).children(recursive=True))]
    with socket.create_connection(("127.0.0.1", fresh.port), timeout=10) as idle:
        time.sleep(0.5)  # it is connected when the other side has taken it
        fresh.close()
        assert idle.recv(1) == b""
    assert fresh.child is None
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in family), seconds=5)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", fresh.port), timeout=10)
    fresh.close()
    assert list((tmp_path / "tmp").iterdir()) == []


OWNER = """
import http.client, sys, time
from pathlib import Path
from runcast.recorder.tensorboard import LazyTensorBoard
board = LazyTensorBoard(Path(sys.argv[1]))
connection = http.client.HTTPConnection("127.0.0.1", board.port, timeout=60)
connection.request("GET", "/data/environment")
connection.getresponse().read()
print(board.child, flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_dies_with_the_recorder(tmp_path: Path) -> None:
    """A recorder that is killed, with no chance to clean up, leaves no TensorBoard behind."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        child = int(owner.stdout.readline())
        family = [child, *(process.pid for process in psutil.Process(child).children(recursive=True))]
        has_data_server = tensorboard_data_server.server_binary() is not None  # not on every platform
        assert len(family) == 1 + has_data_server
        owner.kill()
        owner.wait()
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in family), seconds=10)


@pytest.mark.skipif(os.name != "posix", reason="makes a shell script")
def test_says_how_to_install_it(tmp_path: Path) -> None:
    """Where TensorBoard is missing, the tab says so, and which command installs it."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    board = LazyTensorBoard(tmp_path, python=str(python))
    try:
        status, page = fetch(board.port, "/")
        assert status == 503
        assert f"{python} -m pip install tensorboard" in page.decode()
        assert fetch(board.port, "/")[0] == 503, "and says it again when the page is reloaded"
    finally:
        board.close()


@pytest.mark.skipif(os.name != "posix", reason="makes a shell script")
def test_shows_the_last_words_of_one_that_cannot_start(tmp_path: Path) -> None:
    """A TensorBoard that fails at its start leaves its last words in the tab, as text and not as markup."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'numpy <script>broke</script>' >&2; exit 3\n")
    python.chmod(0o755)
    for interpreter, complaint in (
        (python, "numpy &lt;script&gt;broke&lt;/script&gt;"),
        (tmp_path / "missing", "No such file"),
    ):
        board = LazyTensorBoard(tmp_path, python=str(interpreter))
        try:
            status, page = fetch(board.port, "/")
            assert status == 503
            assert complaint in page.decode()
        finally:
            board.close()


def test_a_module_of_the_same_name_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own tensorboard.py in the working folder is not taken for TensorBoard."""
    (tmp_path / "tensorboard.py").write_text("raise SystemExit('this is not TensorBoard')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    board = LazyTensorBoard(tmp_path)
    try:
        assert fetch(board.port, "/data/environment")[0] == 200
    finally:
        board.close()
