"""Following one file: everything once, in order, however it grows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2

from runcast.events import Decoder, Tail


def scalar(step, tag="loss"):
    event = event_pb2.Event(wall_time=1e9 + step, step=step)
    event.summary.value.add(tag=tag, simple_value=step / 7)
    return event.SerializeToString()


def image(step, size):
    event = event_pb2.Event(step=step)
    event.summary.value.add(tag="image").image.encoded_image_string = os.urandom(size)
    return event.SerializeToString()


@pytest.fixture(scope="module")
def content(record):
    """Scalars, and images that are larger and smaller than a block."""
    sizes = [300, 5_000, 40_000, 700, 9_000]
    return b"".join(
        record(scalar(step)) + (record(image(step, sizes[step // 40])) if step % 40 == 7 else b"")
        for step in range(200)
    )


@pytest.fixture
def small_blocks(monkeypatch):
    """Read blocks of a few kilobytes, as if the file was large."""
    monkeypatch.setattr("runcast.events.tail._BLOCK", 4096)


def everything(batches, points):
    """Check that batches follow each other; all points and summaries that they hold."""
    found, summaries, stop = [], [], None
    for batch in batches:
        assert stop in {None, batch.start}
        assert batch.stop > batch.start
        stop = batch.stop
        found += points(batch)
        summaries += batch.summaries
    return found, summaries


@pytest.mark.usefixtures("small_blocks")
def test_a_file_in_blocks(tmp_path, content, points):
    """A file that is larger than a block reads as if it was one, also where a record is larger than a block."""
    path = tmp_path / "events"
    path.write_bytes(content)
    whole = Decoder().decode(content)
    following = Tail(path)
    batches = list(following.read())
    assert len(batches) > 3
    assert everything(batches, points) == (points(whole), list(whole.summaries))
    assert (following.offset, following.pending) == (len(content), "")
    assert list(following.read()) == []


@settings(max_examples=40)
@given(data=st.data())
def test_a_file_that_grows(tmp_path_factory, content, points, data):
    """Whenever it is looked at, what has come since is read, once; a record that is not whole yet waits."""
    path = tmp_path_factory.mktemp("growing") / "events"
    path.touch()
    whole = Decoder().decode(content)
    following = Tail(path, Decoder())
    batches = []
    for size in [*sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8))), len(content)]:
        path.write_bytes(content[:size])
        batches += following.read(skip=data.draw(st.booleans()))
        assert following.offset <= size
        assert following.pending == ("" if following.offset == size else "incomplete")
    assert everything(batches, points) == (points(whole), list(whole.summaries))


def test_reading_on_from_an_offset(tmp_path, content, points, boundaries):
    """A reader that knows where it was goes on from there; one that stopped half way loses nothing."""
    path = tmp_path / "events"
    path.write_bytes(content)
    middle = boundaries(content)[100]
    following = Tail(path, offset=middle)
    assert everything(following.read(), points)[0] == points(Decoder().decode(content[middle:], middle))


@pytest.mark.usefixtures("small_blocks")
def test_stopping_between_batches(tmp_path, content, points):
    """Who takes only the first batch gets the others the next time."""
    path = tmp_path / "events"
    path.write_bytes(content)
    following = Tail(path)
    batches = [next(following.read()), next(following.read()), *following.read()]
    assert everything(batches, points)[0] == points(Decoder().decode(content))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("damage", [40, 5_000, 30_000])
def test_damage_in_the_middle(tmp_path, content, points, boundaries, damage):
    """Damage smaller or larger than a block stops the reader, or is passed over alone, as it is asked."""
    path = tmp_path / "events"
    at = boundaries(content)[60]
    damaged = content[:at] + b"\x01" * damage + content[at:]
    path.write_bytes(damaged)
    following = Tail(path)
    assert len(everything(following.read(), points)[0]) == len(points(Decoder().decode(content[:at])))
    assert (following.offset, following.pending) == (at, "framing")
    assert list(following.read()) == []
    batches = list(following.read(skip=True))
    assert points(Decoder().decode(content[at:])) == everything(batches, points)[0]
    assert [(skip.offset, skip.length) for batch in batches for skip in batch.skipped] == [(at, damage)]


def test_a_header_that_lies(tmp_path, content, record):
    """A length beyond the end of the file waits for bytes, and no memory is taken for them."""
    length = (1 << 50).to_bytes(8, "little")
    path = tmp_path / "events"
    path.write_bytes(content + length + record(length)[-4:])
    following = Tail(path)
    for skip in (False, True):
        list(following.read(skip=skip))
        assert (following.offset, following.pending) == (len(content), "incomplete")


def test_a_file_that_is_shorter_or_not_there(tmp_path, content):
    """A shorter file has nothing new; one that is gone is an error of the file system."""
    path = tmp_path / "events"
    path.write_bytes(content)
    following = Tail(path)
    list(following.read())
    path.write_bytes(content[:100])
    assert list(following.read()) == []
    path.unlink()
    with pytest.raises(FileNotFoundError):
        list(following.read())


MEMORY = """
import sys
from runcast.events import Decoder, Tail
def most():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
tail = Tail(sys.argv[1], Decoder())
before = most()
records = sum(batch.records for batch in tail.read())
print(records, most() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc elsewhere")
def test_memory_does_not_grow_with_the_file(tmp_path, record):
    """A file of 100 MB is read with a small part of that."""
    path = tmp_path / "events"
    piece = b"".join(record(scalar(step, f"tag/{step % 20}")) for step in range(20_000))
    with path.open("wb") as file:
        for _ in range(100):
            file.write(piece)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True
    )
    records, kilobytes = map(int, done.stdout.split())
    assert records == 2_000_000
    assert kilobytes < 60_000
