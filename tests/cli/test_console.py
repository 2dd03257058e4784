"""`runcast console`, as a user types it."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from runcast.cli import main
from runcast.run.console.spool import CONSOLE, Spool
from runcast.run.record import RunRecord
from runcast.store.local import LocalStore
from runcast.store.protocol import Facts

RUN = "a" * 16


@pytest.fixture
def store(tmp_path):
    with LocalStore(tmp_path) as store:
        (tmp_path / "runs" / RUN).mkdir(parents=True)
        store.create(RunRecord(RUN, "digits", "chatty", "running", time.time(), heartbeat=time.time()))
        yield store


@pytest.fixture
def spool(store):
    with contextlib.closing(Spool(store.root / "runs" / RUN / CONSOLE)) as spool:
        yield spool


@pytest.fixture
def runcast(store, capsys):
    """A function that does what the command does, in this process."""

    def call(*arguments):
        code = main(["--dir", str(store.root), "console", RUN, *arguments])
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    return call


def test_what_a_run_printed_is_printed(runcast, spool):
    """Lines come in order; colours and other people's control characters do not reach a pipe."""
    spool.feed("out", "\x1b[32mepoch 1\x1b[0m\n50%\r100%\n", cell=3)
    spool.feed("err", "careful\n", cell=3)
    spool.flush(everything=True)
    assert runcast().stdout == "epoch 1\n100%\ncareful\n"
    assert runcast("--stream", "err").stdout == "careful\n"
    assert runcast("-n", "1", "-s", "out").stdout == "100%\n"
    assert runcast("--times").stdout.splitlines()[2].endswith(" [3]  careful")
    lines = [json.loads(line) for line in runcast("--json").stdout.splitlines()]
    assert [(line["stream"], line["cell"], line["text"]) for line in lines][1:] == [
        ("out", 3, "100%"),
        ("err", 3, "careful"),
    ]


def test_a_run_without_a_console_says_so(runcast):
    """A run that recorded no console is an error in one line."""
    done = runcast()
    assert (done.returncode, done.stderr) == (1, f"runcast: no console was recorded of run {RUN}\n")


def test_following_ends_with_the_run(store, spool):
    """--follow prints what comes, once each, and ends when the run has ended."""

    def train():
        for epoch in range(5):
            spool.feed("out", f"epoch {epoch}\n0%\r")
            spool.flush()
            time.sleep(0.3)
            spool.feed("out", "100%\n")
            spool.flush(everything=True)
        spool.feed("out", "done")
        spool.flush(everything=True)
        store.update(RUN, Facts(state="finished", ended=time.time()))

    training = threading.Thread(target=train)
    training.start()
    command = [sys.executable, "-m", "runcast", "--dir", str(store.root), "console", RUN, "--follow"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    training.join()
    assert done.stdout.splitlines() == [line for epoch in range(5) for line in (f"epoch {epoch}", "100%")] + [
        "done"
    ]
