from __future__ import annotations

import gc
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import tensorboardX
from torch.utils.tensorboard import SummaryWriter

from runcast import capture
from runcast.capture.flusher import Flusher
from runcast.capture.writers import Known
from runcast.events.decode import Decoder


def values(path):
    """The scalar values in an event file, in order."""
    return Decoder().decode(Path(path).read_bytes()).scalars.value.tolist()


def until(condition, timeout=5.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


class SlowLibrary:
    """A library whose flush takes `seconds`, as on a network file system."""

    name = "slow"

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.flushed = []
        self.closed = False

    def is_closed(self, target):
        return self.closed

    def opens_later(self, writer):
        return False

    def holds_back(self, target):
        return True

    def settle(self, target, deadline):
        pass

    def flush(self, target):
        self.flushed.append(time.monotonic())
        time.sleep(self.seconds)


class Writer:
    pass


@pytest.fixture
def slow():
    """A function that makes a flusher over one writer of a library that takes its time."""
    made = []

    def make(seconds, path="/logs/events.out.tfevents.1", **options):
        library, writer = SlowLibrary(seconds), Writer()
        known = Known(library, path, None, weakref.ref(writer), weakref.ref(writer))
        flusher = Flusher(lambda: [known], lambda: True, **options)
        made.append((flusher, writer, library))
        return flusher, library

    yield make
    for flusher, _, _ in made:
        flusher.stop()


def test_points_reach_the_file_without_a_flush(captured):
    """A tensorboardX point is in the file within a second, though tensorboardX itself would wait for two minutes."""
    capture.patch()
    writer = tensorboardX.SummaryWriter("logs", flush_secs=120)
    time.sleep(0.3)
    writer.add_scalar("loss", 0.5, 1)
    until(lambda: values(captured[0].path) == [0.5], timeout=1.0)
    writer.close()


def test_a_dropped_writer_is_still_flushed(captured):
    """What a tensorboardX writer holds that was dropped without close is not lost."""
    capture.patch()
    writer = tensorboardX.SummaryWriter("logs")
    writer.add_scalar("loss", 0.5, 1)
    del writer
    gc.collect()
    until(lambda: values(captured[0].path) == [0.5])


@pytest.mark.parametrize("maker", [SummaryWriter, tensorboardX.SummaryWriter])
def test_flush_all_brings_everything_logged_so_far(captured, maker):
    """At the end of a cell every point that was logged is in the file, each time."""
    capture.patch()
    writer = maker("logs")
    logged = 0
    for _ in range(20):
        for _ in range(50):
            writer.add_scalar("loss", logged, logged)
            logged += 1
        assert capture.flush_all(5.0)
        assert values(captured[0].path) == list(range(logged))
    writer.close()
    assert capture.flush_all(5.0)


def test_flush_all_waits_for_large_events(captured):
    """An image that tensorboardX's worker is still packing is waited for."""
    capture.patch()
    writer = tensorboardX.SummaryWriter("logs")
    for step in range(3):
        writer.add_image("noise", np.random.default_rng(step).random((3, 200, 200)), step)
        assert capture.flush_all(20.0)
        assert len(Decoder().decode(Path(captured[0].path).read_bytes()).summaries) == step + 1
    writer.close()


def test_nothing_runs_for_writers_that_hold_nothing_back(captured):
    """torch's writer, without TensorFlow, writes each point at once: no thread wakes up for it."""
    before = threading.active_count()
    capture.patch()
    writer = SummaryWriter("logs")
    assert threading.active_count() == before + 1, "only the writer's own worker"
    writer.close()


def test_a_slow_flush_gets_rarer(slow):
    """Where a flush takes long it takes place less often: about 2 % of the time at most."""
    flusher, library = slow(0.02)
    flusher.poke()
    time.sleep(3.5)
    assert 2 <= len(library.flushed) <= 6, "every 0.25 s would be 14"


def test_a_file_system_that_hangs_is_not_waited_for(slow):
    """The end of a cell does not wait for a flush that does not end."""
    flusher, library = slow(1.5)
    began = time.monotonic()
    assert flusher.flush_all(0.2) is False
    assert time.monotonic() - began < 0.6
    assert library.flushed


def test_buckets_are_left_to_their_owner(slow):
    """A file on a bucket, where each flush uploads all of it again, is flushed every 30 seconds and at the end, by a thread of its own."""
    flusher, library = slow(0.0, "s3://bucket/events.out.tfevents.1")
    flusher.poke()
    assert flusher.flush_all(1.0)
    assert not library.flushed
    flusher, library = slow(0.0, "s3://bucket/events.out.tfevents.1", remote=True)
    flusher.poke()
    time.sleep(1.0)
    assert len(library.flushed) == 1
    assert flusher.flush_all(1.0)
    assert len(library.flushed) == 2


def test_flushing_at_exit(slow):
    """Once the thread has ended, at exit, flush_all still flushes."""
    flusher, library = slow(0.0)
    flusher.poke()
    flusher.stop()
    count = len(library.flushed)
    assert flusher.flush_all(1.0)
    assert len(library.flushed) == count + 1


def test_a_flush_that_raises_does_not_end_flushing(slow):
    """A disk that is full now may have room later."""
    flusher, library = slow(0.0)
    calls = []

    def fail(target):
        calls.append(target)
        raise OSError("no space left on device")

    library.flush = fail
    assert flusher.flush_all(1.0)
    assert flusher.flush_all(1.0)
    assert len(calls) >= 2


def test_exit_with_an_open_writer(script, tmp_path):
    """A script that never closes its tensorboardX writer ends quickly and loses no point that was flushed for it."""
    printed = script("""
        import tensorboardX
        from runcast import capture
        notices = []
        capture.subscribe(notices.append)
        capture.patch()
        writer = tensorboardX.SummaryWriter("logs")
        for step in range(100):
            writer.add_scalar("loss", step, step)
        assert capture.flush_all(5.0)
        print(notices[0].path)
    """)
    assert values(printed.strip()) == list(range(100))


def test_forks_while_flushing(script):
    """Hundreds of forks in the middle of flushing, as a DataLoader makes them: no child ever hangs on a writer's lock."""
    printed = script(
        """
        import os, threading, time
        import tensorboardX
        from torch.utils.tensorboard import SummaryWriter
        from runcast import capture

        notices = []
        capture.subscribe(notices.append)
        capture.patch()
        writers = [tensorboardX.SummaryWriter("x"), SummaryWriter("torch")]
        done = False

        def train():
            step = 0
            while not done:
                for writer in writers:
                    writer.add_scalar("loss", step, step)
                capture.flush_all(1.0)
                step += 1
                time.sleep(0.002)

        threading.Thread(target=train).start()
        bad = 0
        for n in range(300):
            pid = os.fork()
            if pid == 0:
                # What a child may do: let the parent's writers go, ask for a flush, open a writer of its own.
                locks = [writers[0].file_writer.event_writer._ev_writer._lock]
                free = all(lock.acquire(timeout=5) for lock in locks)
                flushed = capture.flush_all(5.0)
                if n % 50 == 0:
                    mine = SummaryWriter("child")
                    mine.add_scalar("loss", 1.0, 0)
                    flushed = flushed and capture.flush_all(5.0) and notices[-1].logdir.endswith("child")
                    mine.close()
                os._exit(0 if free and flushed else 1)
            deadline = time.monotonic() + 20
            while True:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    bad += status != 0
                    break
                if time.monotonic() > deadline:
                    os.kill(pid, 9)
                    os.waitpid(pid, 0)
                    bad += 1
                    break
                time.sleep(0.0005)
        done = True
        print("bad", bad)
        """,
        timeout=110,
    )
    assert printed.strip() == "bad 0"
