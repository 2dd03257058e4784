from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import runcast
from runcast.errors import RecorderError
from runcast.run.channel import EXIT_LOCKED
from runcast.run.link import TELL_AFTER, RecorderLink

PREAMBLE = """
import os, sys, time
from runcast.run.channel import pack, read_messages

def say(header, buffers=()):
    os.write(1, pack(header, buffers))

inbox = read_messages(sys.stdin.buffer)
"""

ECHO = """
say({"kind": "ready", "pid": os.getpid()})
for header, _ in inbox:
    if "token" in header:
        say({"kind": "reply", "token": header["token"], "got": header}, [b"bytes"])
    else:
        say({"kind": "seen", "got": header})
"""


@pytest.fixture
def linked(tmp_path):
    """A function that links to a recorder which does what a program says; every recorder is ended with the test."""
    started, links = [], []

    def link(*programs, start=True):
        def launch():
            program = programs[min(len(started), len(programs) - 1)]
            process = subprocess.Popen(
                [sys.executable, "-c", PREAMBLE + program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(Path(runcast.__file__).parents[1])},
                bufsize=0,
            )
            started.append(process)
            return process

        made = RecorderLink(launch, log_file=tmp_path / "recorder.log")
        made.messages, made.started = [], started
        made.subscribe(lambda header, buffers: made.messages.append((header, buffers)))
        links.append(made)
        if start:
            made.start()
        return made

    yield link
    for made in links:
        made.end()

    def all_gone():
        for process in started:
            process.kill()
        return not any(thread.name.startswith("runcast-link") for thread in threading.enumerate())

    until(all_gone, 30)


def until(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
    return value


def kinds(link):
    return [header["kind"] for header, _ in link.messages]


def test_messages_both_ways(linked):
    """What is asked is answered, with its bytes, and what is said reaches the subscribers until they leave."""
    link = linked(ECHO)
    header, buffers = link.request("status", 10.0, extra=1)
    assert (header["got"]["kind"], header["got"]["extra"], buffers) == ("status", 1, [b"bytes"])
    link.send({"kind": "snapshot"})
    until(lambda: "seen" in kinds(link))
    assert kinds(link)[0] == "ready"
    assert link.pid == link.started[0].pid


def test_a_dead_recorder_is_replaced(linked):
    """A recorder that is killed is replaced within a second, and the new one is shown the same panels."""
    link = linked(ECHO)
    link.send({"kind": "show", "uid": "u1", "bundle": "panel.js"})
    until(lambda: "seen" in kinds(link))
    link.messages.clear()
    link.started[0].send_signal(signal.SIGKILL)
    until(lambda: "seen" in kinds(link))
    assert [header["got"]["uid"] for header, _ in link.messages if header["kind"] == "seen"] == ["u1"]
    assert link.request("status", 10.0) is not None
    assert len(link.started) == 2


def test_nobody_waits_for_a_dead_recorder(linked):
    """A question to a recorder that dies, or is dead, is answered with None at once, however long it might have taken."""
    link = linked("next(inbox); sys.exit(1)", "time.sleep(60)")
    began = time.monotonic()
    assert link.request("drain", 60.0) is None
    assert link.request("drain", 60.0) is None
    assert time.monotonic() - began < 5


def test_a_recorder_that_hangs_blocks_nothing(linked):
    """A recorder that reads nothing can be sent any amount: sending returns at once, questions after their timeout."""
    link = linked("time.sleep(60)")
    began = time.monotonic()
    for n in range(1000):
        link.send({"kind": "show", "uid": str(n % 3), "bundle": "x" * 10_000})
    assert time.monotonic() - began < 1
    began = time.monotonic()
    assert link.request("status", 0.3) is None
    assert 0.2 < time.monotonic() - began < 1


def test_another_recorder_is_not_fought(linked):
    """A recorder that found the run locked by another one is not started again."""
    link = linked(f"sys.exit({EXIT_LOCKED})")
    assert link.wait_finished(10.0) is False
    time.sleep(0.5)
    assert len(link.started) == 1
    assert not link.alive


def test_finishing(linked):
    """After the run's end the recorder says that all is recorded and ends; it is not replaced."""
    link = linked('next(inbox); time.sleep(0.3); say({"kind": "finished", "state": "finished"})')
    assert link.wait_finished(0.05) is False
    link.end()
    assert link.wait_finished(10.0) is True
    until(lambda: not link.alive)
    time.sleep(0.3)
    assert len(link.started) == 1


def test_a_recorder_that_dies_while_finishing(linked):
    """The work of a recorder that is killed after the run's end is finished by the next one."""
    link = linked("next(inbox); os.kill(os.getpid(), 9)", 'say({"kind": "finished"})')
    link.end()
    assert link.wait_finished(10.0) is True
    assert len(link.started) == 2


def test_a_recorder_that_cannot_start_is_told_once(linked, caplog):
    """If recorders die at once the user reads one line with the log's path, and finishing does not wait for them."""
    link = linked("sys.exit(1)")
    until(lambda: caplog.records)
    assert len(link.started) >= TELL_AFTER
    assert "training goes on" in caplog.text
    assert "recorder.log" in caplog.text
    began = time.monotonic()
    assert link.wait_finished(60.0) is False
    assert time.monotonic() - began < 1
    assert len(caplog.records) == 1


def test_no_python_to_start(tmp_path, caplog):
    """If no process can be started at all, that is told once, and everything else goes on."""

    def launch():
        raise RecorderError("cannot start the recorder: no such file")

    link = RecorderLink(launch, log_file=tmp_path / "recorder.log")
    link.start()
    assert link.request("status", 10.0) is None
    link.send({"kind": "wake"})
    link.end()
    assert link.wait_finished(10.0) is False
    assert [record.getMessage() for record in caplog.records] == [
        (
            "runcast: cannot start the recorder: no such file; training goes on, and what it logs is recorded once a "
            "recorder can be started"
        )
    ]


def test_nonsense_on_the_channel(linked):
    """A recorder whose messages cannot be read is replaced; the training process does not care."""
    link = linked("os.write(1, b'\\x05\\0\\0\\0what?' * 10)", ECHO)
    assert until(lambda: link.request("status", 1.0))
    assert len(link.started) == 2


def test_warnings_are_told_once(linked, caplog):
    """What the recorder wants the user to see is seen once, however often it is said."""
    linked('[say({"kind": "warning", "text": "the disk is full"}) for _ in range(3)]; time.sleep(60)')
    until(lambda: caplog.records)
    time.sleep(0.2)
    assert [record.getMessage() for record in caplog.records] == ["runcast: the disk is full"]


def test_a_failing_subscriber(linked):
    """A subscriber that raises costs neither the others nor the link anything."""
    link = linked(ECHO, start=False)

    def fail(header, buffers):
        raise RuntimeError

    link.subscribe(fail)
    last = []
    leave = link.subscribe(lambda header, buffers: last.append(header))
    link.start()
    assert link.request("status", 10.0) is not None
    until(lambda: last)
    leave()
    count = len(last)
    assert link.request("status", 10.0) is not None
    assert len(last) == count


@pytest.mark.skipif(os.name != "posix", reason="looks at open pipes")
def test_threads_and_pipes_end_with_the_recorder(linked):
    """A hundred runs in one kernel leave no threads and no open pipes behind."""
    before = psutil.Process().num_fds()
    link = linked('next(inbox); say({"kind": "finished"})')
    link.end()
    assert link.wait_finished(10.0)
    until(lambda: psutil.Process().num_fds() == before)
    until(lambda: not any(thread.name.startswith("runcast-link") for thread in threading.enumerate()))
