"""A run of this machine is brought to a real server, in rounds."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from runcast.errors import StoreError
from runcast.events.wire import sized
from runcast.events.writer import _record
from runcast.recorder.replication import BATCH, Replication
from runcast.store.protocol import Facts, FileRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from runcast.store.remote import RemoteStore


@pytest.fixture
def replicate(local, server):
    """Start to bring a run to the server; what is sent is counted."""
    opened = []

    def start(run: str, *args: object) -> Replication:
        opened.append(Replication(local, lambda: counted(server.remote(patience=5.0)), run, *args))
        return opened[-1]

    yield start
    for replication in opened:
        replication.close()


SENT: list[tuple[str, int]] = []


def counted(remote: RemoteStore) -> RemoteStore:
    """Note what passes: path and bytes."""
    send, one, put = remote.append_all, remote.append, remote.put
    remote.append_all = lambda run, appends: (
        SENT.extend((a.path, len(a.data)) for a in appends) or send(run, appends)
    )
    remote.append = lambda run, path, at, data, **named: (
        SENT.append((path, len(data))) or one(run, path, at, data, **named)
    )
    remote.put = lambda run, path, data: SENT.append((path, data.stat().st_size)) or put(run, path, data)
    return remote


def until_there(replication: Replication, done: Callable[[], bool], rounds: int = 50) -> None:
    for _ in range(rounds):
        if not replication.round() and done():
            return
        if replication._large is not None:
            time.sleep(0.05)
    raise AssertionError("it never got there")


def test_a_run_is_on_the_server_as_it_is_here(new_run, replicate, server, local, is_same):
    """Event files, console, code, saved files and facts arrive while the run grows, each byte once, and its end last."""
    SENT.clear()
    run = new_run()
    replication = replicate(run.id)
    for step in range(30):
        run.log("train", step, loss=1 / (step + 1), acc=float("nan") if step == 3 else step)
        run.log("val", step, loss=2.0)
        if step % 10 == 0:
            run.print(f"epoch {step}")
            local.put(run.id, "code/train.py", f"print({step})\n".encode() * (step + 1))
            local.update(run.id, Facts(facts={"host": "node1", "error": "boom"}, heartbeat=time.time()))
            until_there(replication, lambda: replication.waiting == 0)
            with server.store() as there:
                assert there.run(run.id).state == "running"
    big = local.root / "model.pt"
    big.write_bytes(b"0123456789" * 1_000_000)
    local.put(run.id, "saved/model.pt", big)
    local.describe(
        run.id, FileRecord("saved/model.pt", 0, source_path=str(big), state="recorded", source_size=10**7)
    )
    local.update(run.id, Facts(name="renamed", facts={"error": None, "tags": ["a"]}))
    run.finish("failed")
    until_there(replication, lambda: replication.complete)
    is_same(run.id, server)
    sizes = {path: 0 for path, _ in SENT}
    for path, size in SENT:
        sizes[path] += size
    with server.store() as there:
        for file in there.files(run.id):
            if file.path != "code/train.py":  # it was written three times
                assert sizes[file.path] == file.size

    # Another process finds everything there, and sends nothing again.
    SENT.clear()
    again = replicate(run.id, replication.sent)
    until_there(again, lambda: again.complete)
    assert SENT == []
    # The run goes on: it runs again on the server, and ends again.
    local.update(run.id, Facts(state="running"))
    run.log("train", 30, loss=0.5)
    until_there(again, lambda: again.waiting == 0)
    with server.store() as there:
        assert there.run(run.id).state == "running"
    run.finish()
    until_there(again, lambda: again.complete)
    is_same(run.id, server)


def test_long_records_and_damage_arrive_as_they_are(new_run, replicate, server, is_same):
    """A record longer than what is sent at a time, and bytes that were passed over here, do not stop what follows."""

    run = new_run()
    run.log("train", 0, loss=1.0)
    (path,) = run.writers
    scalar = run.writers[path].path.read_bytes()
    long = _record(
        b"\x1a" + sized(b"brain.Event:2") + b"\xfa\x07" + sized(bytes(range(256)) * (BATCH // 100))
    )
    for _ in range(3):
        run.record(path, scalar)
        run.record(path, long)
        run.record(path, b"\xff" * 100 + scalar + b"\x00" * 50 + scalar, final=True)
    run.finish()
    replication = replicate(run.id)
    until_there(replication, lambda: replication.complete)
    is_same(run.id, server)


def test_a_record_longer_than_any_request_arrives(new_run, replicate, server, is_same):
    """A single record of 17 MiB, more than a request may append otherwise, is sent alone, and what comes after it too."""
    SENT.clear()
    run = new_run()
    run.log("train", 0, loss=1.0)
    (path,) = run.writers
    scalar = run.writers[path].path.read_bytes()
    record = _record(b"\x1a" + sized(b"brain.Event:2") + b"\xfa\x07" + sized(os.urandom(17 << 20)))
    run.record(path, record)
    run.record(path, scalar)
    run.finish()
    replication = replicate(run.id)
    until_there(replication, lambda: replication.complete)
    is_same(run.id, server)
    assert replication.sent.refused == {}
    assert sum(size for _, size in SENT) <= len(record) + 3 * BATCH


def test_a_file_that_the_server_refuses_does_not_hold_up_the_others(new_run, replicate, server, local):
    """What cannot be taken is said, and everything else is there."""
    run = new_run()
    run.log("train", 0, loss=1.0)
    local.put(run.id, "saved/x.txt", b"x")
    replication = replicate(run.id)
    put = type(server.remote()).put

    def refuse(self, run, path, data):
        if path == "saved/x.txt":
            raise StoreError("it is too large")
        return put(self, run, path, data)

    replication._open_remote = lambda: _with_put(server.remote(), refuse)
    run.finish()
    until_there(replication, lambda: replication.complete)
    assert replication.sent.refused == {"saved/x.txt": "it is too large"}
    with server.store() as there:
        assert there.run(run.id).state == "finished"


def _with_put(remote, put):
    remote.put = lambda *args: put(remote, *args)
    return remote
