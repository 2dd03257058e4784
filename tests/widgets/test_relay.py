"""The relay carries frames to the page: in order, few, and never at the training's expense."""

import itertools
import struct
import threading
import time

import pytest

from runcast.widgets.relay import Relay


def doubles(*values):
    return struct.pack(f"<{len(values)}d", *values)


def delta(series, *values):
    return {"kind": "delta", "v": 1, "series": [{"id": series, "n": len(values)}]}, [doubles(*values)] * 3


class Page:
    """What a page received, and how long each send takes it."""

    def __init__(self, seconds=0.0, error=None):
        self.seconds, self.error = seconds, error
        self.received = []
        self.snapshots = 0
        self.reports = []
        self.first = threading.Event()

    def send(self, header, buffers):
        self.received.append((time.monotonic(), header, buffers))
        self.first.set()
        if self.error is not None:
            raise self.error
        time.sleep(self.seconds)

    def ask(self):
        self.snapshots += 1

    def relay(self):
        return Relay(self.send, on_backlog=self.ask, report=self.reports.append)

    def values(self, series):
        found = []
        for _, header, buffers in self.received:
            column = (
                struct.unpack(f"<{len(buffers[2]) // 8}d", buffers[2]) if header["kind"] == "delta" else ()
            )
            for entry in header.get("series", []):
                points, column = column[: entry["n"]], column[entry["n"] :]
                if entry["id"] == series:
                    found.extend(points)
        return found


@pytest.fixture
def page():
    return Page()


def test_every_point_arrives_once_and_in_order(page):
    """A chart shows all points in the order they were recorded, however many frames were merged on the way."""
    relay = page.relay()
    for number in range(50):
        relay.put(*delta(number % 2, float(number)))
    relay.close(5)
    assert page.values(0) == [float(number) for number in range(0, 50, 2)]
    assert page.values(1) == [float(number) for number in range(1, 50, 2)]


def test_at_most_five_messages_a_second(page):
    """A recorder that talks a lot does not flood the page: frames wait and go together."""
    relay = page.relay()
    for number in range(100):
        relay.put(*delta(0, float(number)))
        relay.put({"kind": "run", "v": 1, "points": number}, [])
        time.sleep(0.01)
    sent = [at for at, *_ in page.received]
    relay.close(5)
    assert 3 <= len(sent) <= 7
    assert min(b - a for a, b in itertools.pairwise(sent)) >= 0.19
    assert page.values(0) == [float(number) for number in range(100)]


def test_a_slow_page_is_sent_less():
    """A send that takes long is followed by a long rest, so that the kernel's time stays the training's."""
    page = Page(seconds=0.1)
    relay = page.relay()
    for number in range(100):
        relay.put(*delta(0, float(number)))
        time.sleep(0.01)
    assert len(page.received) <= 2
    relay.close(5)


def test_sequence_numbers_have_no_gap(page):
    """The page takes a gap in the numbers for a lost message, so merged messages must leave none."""
    relay = page.relay()
    for number in range(20):
        relay.put(*delta(0, float(number)))
        time.sleep(0.03)
    relay.close(5)
    assert [header["seq"] for _, header, _ in page.received] == list(range(1, len(page.received) + 1))


def test_a_newer_run_message_replaces_an_older_one(page):
    """Run facts are a state, not a stream: the page gets the latest."""
    relay = page.relay()
    relay.put({"kind": "run", "v": 1, "points": 0}, [])
    assert page.first.wait(5)
    for points in range(1, 10):
        relay.put({"kind": "run", "v": 1, "points": points}, [])
    relay.close(5)
    assert [header["points"] for _, header, _ in page.received] == [0, 9]


def test_too_much_to_wait_is_dropped_for_a_snapshot(page):
    """A page that cannot keep up gets whole frames later, not an endless queue in the kernel's memory."""
    relay = page.relay()
    relay.put(*delta(0, 0.0))
    assert page.first.wait(5)
    big = bytes(5 << 20)
    for _ in range(2):
        relay.put({"kind": "snapshot", "v": 1, "series": []}, [big, b"", b""])
    relay.close(5)
    assert page.snapshots == 1
    assert len(page.received) == 1


def test_a_broken_page_is_reported_and_the_thread_lives():
    """A comm that fails costs the message, not the ones after it, and shows in %runcast status."""
    page = Page(error=RuntimeError("comm is gone"))
    relay = page.relay()
    relay.put(*delta(0, 1.0))
    relay.put({"kind": "run", "v": 1}, [])
    relay.close(5)
    assert len(page.received) == 2
    assert "comm is gone" in page.reports[0]
