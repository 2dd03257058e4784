"""Real runs for the recorder: a journal, a training process that writes real event files, and the recorder's own process."""

from __future__ import annotations

import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from runcast.run.channel import pack, read_messages
from runcast.run.journal import Journal
from runcast.store.local import LocalStore

REPOSITORY = Path(__file__).resolve().parents[2]

TRAINER = """
import sys, time
logdir, points, pause, library = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
if library == "torch":
    from torch.utils.tensorboard import SummaryWriter
    writer = SummaryWriter(logdir)
    name = writer.file_writer.event_writer._file_name
elif library == "tensorboardX":
    from tensorboardX import SummaryWriter
    writer = SummaryWriter(logdir)
    name = writer._get_file_writer().event_writer._ev_writer._file_name
else:
    from tensorboard.summary import Writer
    writer = Writer(logdir)
    name = writer._output._ev_writer._file_name
print(name, flush=True)
step = 0
while points == 0 or step < points:
    writer.add_scalar("loss", 1 / (step + 1), step)
    writer.add_scalar("accuracy", step / (step + 1), step)
    if step % 10 == 0:
        writer.flush()
        if pause:
            time.sleep(pause)
    step += 1
writer.flush()
print("done", flush=True)
sys.stdin.read()
"""


class RecorderProcess:
    """The recorder as the training process sees it: a child with two pipes."""

    def __init__(self, folder: Path, parent: int, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runcast.recorder", str(folder), "--parent", str(parent), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self.messages: list[tuple[dict[str, Any], list[bytes]]] = []
        self._arrived: queue.SimpleQueue[tuple[dict[str, Any], list[bytes]] | None] = queue.SimpleQueue()
        self._tokens = itertools.count(1)
        self._reader: threading.Thread | None = None

    def listen(self) -> None:
        """Begin to read what the recorder says."""

        def read() -> None:
            for message in read_messages(self.process.stdout):
                self._arrived.put(message)
            self._arrived.put(None)

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()

    def send(self, **header: Any) -> None:
        self.process.stdin.write(pack(header))
        self.process.stdin.flush()

    def next(self, kind: str, timeout: float = 20.0, **fields: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Return the next message of this kind; those before it are kept in `messages`, too."""
        deadline = time.monotonic() + timeout
        while True:
            message = self._arrived.get(timeout=max(0.01, deadline - time.monotonic()))
            assert message is not None, f"the recorder ended before it said {kind!r}"
            self.messages.append(message)
            if message[0]["kind"] == kind and all(
                message[0].get(name) == value for name, value in fields.items()
            ):
                return message

    def request(self, kind: str, timeout: float = 20.0, **fields: Any) -> tuple[dict[str, Any], list[bytes]]:
        token = next(self._tokens)
        self.send(kind=kind, token=token, **fields)
        reply = {"drain": "drained"}.get(kind, kind)
        return self.next(reply, timeout, token=token)

    def drain(self, *paths: Path) -> dict[str, int]:
        """Wait until the recorder has what these files hold now."""
        return self.request("drain", files={str(path): path.stat().st_size for path in paths})[0]["recorded"]

    def wait(self, timeout: float = 30.0) -> int:
        return self.process.wait(timeout)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._reader is not None:
            self._reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                pipe.close()


class RunFolder:
    """A run as its training process leaves it on disk."""

    def __init__(self, root: Path, run: str, *, pid: int, **start: Any) -> None:
        self.root = root
        self.id = run
        self.folder = root / "runs" / run
        self.folder.mkdir(parents=True)
        self.pid = pid
        self.journal = Journal(self.folder / "run.jsonl", by=f"kernel:{pid}")
        self.journal.append(
            "start",
            run=run,
            project="tests",
            name=run,
            config={"lr": 0.1},
            created=time.time(),
            pid=pid,
            pid_created=psutil.Process(pid).create_time(),
            cwd=str(root.parent),
            facts={"command": "python train.py"},
            **start,
        )

    def watch(self, logdir: Path, root: str = "logs", *, save: bool = True) -> None:
        self.journal.append("watch", root=root, path=str(logdir), save=save)

    def writer(self, path: Path, root: str = "cwd", source: str = ".", *, save: bool = True) -> None:
        self.journal.append(
            "writer", root=root, source=source, path=str(path), library="torch", adopted=False, save=save
        )

    def finish(self, state: str = "finished", **fields: Any) -> None:
        self.journal.append(
            "finish", **{"state": state, "interrupted": False, "error": None, "ended": time.time(), **fields}
        )

    def log(self) -> str:
        return (self.folder / "recorder.log").read_text()


class Trainer:
    """A process that trains and writes event files with a real library, until it is killed or asked to leave."""

    def __init__(
        self, logdir: Path, points: int = 0, pause: float = 0.005, library: str = "tensorboard"
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAINER, str(logdir), str(points), str(pause), library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        self.pid = self.process.pid
        self.path = Path(self.process.stdout.readline().strip())

    def wait_written(self) -> None:
        assert self.process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder in which runs live."""
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def closing():
    """Close what a test started, whatever became of it."""
    opened = []
    yield lambda thing: opened.append(thing) or thing
    for thing in reversed(opened):
        thing.close()


@pytest.fixture
def new_run(root):
    """Make a run's folder and journal; the training process is this one, unless `pid` says otherwise."""
    numbers = itertools.count(1)

    def make(*, pid: int | None = None, **start: Any) -> RunFolder:
        return RunFolder(root, f"run{next(numbers)}", pid=os.getpid() if pid is None else pid, **start)

    return make


@pytest.fixture
def start_recorder(closing):
    """Start the recorder of a run, and wait until it is ready."""

    def start(run: RunFolder, *options: str, listen: bool = True) -> RecorderProcess:
        created = repr(psutil.Process(run.pid).create_time()) if psutil.pid_exists(run.pid) else "1.0"
        recorder = closing(RecorderProcess(run.folder, run.pid, "--parent-created", created, *options))
        if listen:
            recorder.listen()
            recorder.next("ready")
        return recorder

    return start


@pytest.fixture
def start_trainer(closing):
    """Start a training process."""
    return lambda *arguments, **options: closing(Trainer(*arguments, **options))


@pytest.fixture
def store(root, closing):
    """The store, as another process sees it."""

    @contextmanager
    def opened():
        with LocalStore(root) as local:
            yield local

    return opened


@pytest.fixture
def wait_for():
    """Wait until something holds, and return it."""

    def wait(condition, timeout: float = 20.0):
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.02)
        return value

    return wait
