"""Files over HTTP: appended to, put, read in parts; and what somebody sends to break that."""

from __future__ import annotations

import gzip
import os
import socket
import time
import zlib
from urllib.parse import unquote

import pytest

from runcast.events.wire import sized
from runcast.events.writer import _record

LOG = "files/logs/console.jsonl"


def append(client, run, path, offset, data, **headers):
    headers = {
        "Upload-Offset": str(offset),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return client.patch(f"/runs/{run}/files/{path}", content=data, headers=headers)


def test_appends_go_on_from_the_size_that_is_recorded(ada, vera, new_run):
    """An append tells the new size; at any other offset it is refused with the true one, and nothing changes."""
    run = new_run(ada)
    first = append(ada, run, LOG, 0, b"one\n")
    assert (first.status_code, first.headers["upload-offset"], first.content) == (204, "4", b"")
    for offset in (0, 3, 9):
        refused = append(ada, run, LOG, offset, b"two\n")
        assert (refused.status_code, refused.json()["size"], refused.headers["upload-offset"]) == (
            409,
            4,
            "4",
        )
    packed = append(ada, run, LOG, 4, gzip.compress(b"two\n" * 100), Content_Encoding="gzip")
    assert packed.headers["upload-offset"] == "404"
    assert vera.get(f"/runs/{run}/files/{LOG}").content == b"one\n" + b"two\n" * 100
    (file,) = vera.get(f"/runs/{run}/files").json()["files"]
    assert (file["path"], file["size"]) == (LOG, 404)
    assert append(vera, run, LOG, 404, b"no").status_code == 403


def test_event_files_take_whole_records_only(ada, new_run, records):
    """Half a record at the end is not taken; the answer says where to go on, and the series are there at once."""
    run, path = new_run(ada), "files/logs/train/events.out.tfevents.1.host"
    data = records({"loss": [0.5, 0.25]})
    taken = int(append(ada, run, path, 0, data[:-5]).headers["upload-offset"])
    assert 0 < taken < len(data) - 5
    done = append(ada, run, path, taken, data[taken:], Upload_Complete="?1")
    assert done.headers["upload-offset"] == str(len(data))
    (series,) = ada.get(f"/runs/{run}/series").json()["series"]
    assert (series["tag"], series["source"], series["count"], series["last"]) == ("loss", "train", 2, 0.25)
    assert ada.get(f"/runs/{run}").json()["summary"] == {"train/loss": 0.25}


@pytest.mark.parametrize(
    ("wanted", "status", "first", "last"),
    [
        ("bytes=0-3", 206, 0, 3),
        ("bytes=5-", 206, 5, 9),
        ("bytes=-4", 206, 6, 9),
        ("bytes=-99", 206, 0, 9),
        ("bytes=8-99", 206, 8, 9),
        ("bytes=10-", 416, None, None),
        ("bytes=-0", 416, None, None),
        ("bytes=4-2", 200, 0, 9),
        ("bytes=0-1,4-5", 200, 0, 9),
        ("lines=1-2", 200, 0, 9),
    ],
)
def test_reading_a_part(ada, a_file, wanted, status, first, last):
    """A range of bytes is read as HTTP says; one that is behind the end tells the size, one that makes no sense is passed over."""
    answer = ada.get(a_file, headers={"Range": wanted})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"] == "bytes */10"
        assert answer.json()["error"]
    else:
        assert answer.content == b"0123456789"[first : last + 1]
        assert answer.headers["content-length"] == str(last + 1 - first)
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {first}-{last}/10"


def test_what_is_known_is_not_sent_again(ada, new_run):
    """A file that only grows has an ETag, for conditional requests; HEAD says its size and sends nothing."""
    run, path = new_run(ada), "files/logs/events.out.tfevents.1"
    append(ada, run, "own/console.jsonl", 0, b"0123456789")
    file = f"/runs/{run}/files/own/console.jsonl"
    etag = ada.get(file).headers["etag"]
    assert ada.get(file, headers={"If-None-Match": f'"x", {etag}'}).status_code == 304
    assert ada.get(file, headers={"If-Range": etag, "Range": "bytes=0-0"}).status_code == 206
    assert ada.get(file, headers={"If-Range": '"9"', "Range": "bytes=0-0"}).status_code == 200
    append(ada, run, "own/console.jsonl", 10, b"a")
    assert ada.get(file, headers={"If-None-Match": etag}).status_code == 200
    head = ada.head(file)
    assert (head.headers["upload-offset"], head.headers["content-length"], head.content) == ("11", "11", b"")
    missing = ada.head(f"/runs/{run}/files/{path}")
    assert missing.status_code == 404


def test_whole_files_are_streamed(ada, place, new_run):
    """A whole file is put at once, compressed or not, replaces the old one, and is read back byte for byte, in pieces."""
    run, data = new_run(ada), os.urandom(1_500_000)
    file = f"/runs/{run}/files/saved/model.bin"

    def pieces():
        for start in range(0, len(data), 99_999):
            yield data[start : start + 99_999]

    put = ada.put(file, content=pieces())
    assert (put.json(), put.headers["upload-offset"]) == ({"size": len(data)}, str(len(data)))
    assert ada.get(file).content == data
    assert ada.get(file, headers={"Range": "bytes=1048570-1200000"}).content == data[1048570:1200001]
    packed = ada.put(
        file, content=gzip.compress(b"small") + gzip.compress(b"er"), headers={"Content-Encoding": "gzip"}
    )
    assert packed.json() == {"size": 7}
    assert ada.get(file).content == b"smaller"
    assert not list(place.root.rglob("runcast-put-*"))


def test_a_file_that_is_replaced_while_it_is_read(place, ada, new_run):
    """What is read belongs together: the old file to its end; a reader that goes on later with its ETag gets the new one whole."""
    run, old, new = new_run(ada), b"old " * 1_000_000, b"new " * 450_000
    file = f"/runs/{run}/files/saved/model.bin"
    place.store.put(run, "saved/model.bin", old)
    etag = ada.get(file, headers={"Range": "bytes=0-3"}).headers["etag"]
    assert ada.get(file, headers={"If-None-Match": etag}).status_code == 304
    with ada.stream("GET", file) as response:
        pieces = response.iter_raw()
        read = next(pieces)
        for content in (b"new " * 2_000_000, new):
            ada.put(file, content=content[: 2 << 20])
            place.store.put(run, "saved/model.bin", content)
        assert (response.headers["etag"], read + b"".join(pieces)) == (etag, old)
    rest = {"Range": "bytes=1000000-", "If-Range": etag}
    answer = ada.get(file, headers=rest)
    assert (answer.status_code, answer.content) == (200, new)
    assert answer.headers["etag"] != etag
    rest["If-Range"] = answer.headers["etag"]
    assert ada.get(file, headers=rest).status_code == 206
    with ada.stream("GET", file) as response:  # nobody wants the rest
        next(response.iter_raw())


def test_a_record_longer_than_a_request(ada, new_run, records):
    """One record of an event file may be longer than what is appended at a time otherwise, up to a limit of its own."""
    run, path = new_run(ada), "files/logs/train/events.out.tfevents.1.host"
    data = records({"loss": [0.5]})
    for length, status in ((1_200_000, 204), (2_200_000, 413)):
        at = ada.head(f"/runs/{run}/files/{path}").headers.get("upload-offset", "0")
        long = data + _record(b"\x1a" + sized(b"brain.Event:2") + b"\xfa\x07" + sized(os.urandom(length)))
        for body, headers in ((long, {}), (gzip.compress(long, 1), {"Content_Encoding": "gzip"})):
            answer = append(ada, run, path, at, body, **headers)
            assert answer.status_code == status, answer.text
            if status == 204:
                assert answer.headers["upload-offset"] == str(int(at) + len(long))
                assert ada.get(f"/runs/{run}/files/{path}").content[-len(long) :] == long
                at = answer.headers["upload-offset"]
    (series,) = ada.get(f"/runs/{run}/series").json()["series"]
    assert series["tag"] == "loss"


@pytest.mark.parametrize(
    "path",
    [
        "files/../../../etc/passwd",
        "files/%2e%2e/%2e%2e/store.db",
        "..%2f..%2fstore.db",
        "files/logs/a%00b",
        "files/logs/a%5C..%5Cb",
        "files/logs//a",
        "%2Fetc%2Fpasswd",
        "run.jsonl",
        "recorder.lock",
        "store.jsonl",
        "files/x",
    ],
)
def test_no_path_leads_out_of_the_run(ada, place, new_run, path):
    """A name that would lead elsewhere, or to what is not a file of the run, is refused, for reading and writing alike."""
    run = new_run(ada)
    before = {each for each in place.root.rglob("*") if each.name != "store.db-wal"}
    for answer in (
        ada.get(f"/runs/{run}/files/{path}"),
        append(ada, run, path, 0, b"evil"),
        ada.put(f"/runs/{run}/files/{path}", content=b"evil"),
        ada.post(f"/runs/{run}/describe", json={"files": [{"path": unquote(path), "size": 0}]}),
    ):
        assert answer.status_code in {400, 404}, (answer.request.method, answer.text)
    assert {each for each in place.root.rglob("*") if each.name != "store.db-wal"} == before


def test_what_is_asked_wrongly_is_refused(ada, new_run):
    """Appending without an offset, appending to what is put, putting what is appended to: each says what to do instead."""
    run = new_run(ada)
    file = f"/runs/{run}/files/{LOG}"
    for headers in ({}, {"Upload-Offset": "-1"}, {"Upload-Offset": "1e3"}, {"Upload-Offset": "9" * 30}):
        assert ada.patch(file, content=b"x", headers=headers).status_code == 400
    assert append(ada, run, LOG, 0, b"x", Upload_Complete="yes").status_code == 400
    assert append(ada, run, LOG, 0, b"x", Content_Type="text/html").status_code == 415
    assert "PUT" in append(ada, run, "code/train.py", 0, b"x").json()["error"]
    assert (
        "PATCH" in ada.put(f"/runs/{run}/files/files/a/events.out.tfevents.1", content=b"x").json()["error"]
    )
    assert ada.get(file).status_code == 404


def test_bodies_that_are_too_large(ada, new_run):
    """A body beyond the limit is refused, whether it says its size, hides it, or grows in unpacking; nothing is kept of it."""
    run, file = new_run(ada), "saved/huge.bin"
    mega = 1 << 20
    bomb = zlib.compressobj(9, wbits=31)
    bomb = b"".join(bomb.compress(bytes(mega)) for _ in range(200)) + bomb.flush()
    assert len(bomb) < mega // 4
    squeezed = {"Content-Encoding": "gzip"}
    assert append(ada, run, LOG, 0, bytes(mega + 1)).status_code == 413
    assert append(ada, run, LOG, 0, iter([bytes(mega), b"x"])).status_code == 413
    assert append(ada, run, LOG, 0, bomb, Content_Encoding="gzip").status_code == 413
    assert ada.put(f"/runs/{run}/files/{file}", content=iter([bytes(mega)] * 3)).status_code == 413
    assert ada.put(f"/runs/{run}/files/{file}", content=bomb, headers=squeezed).status_code == 413
    for broken in (bomb[: len(bomb) // 400], gzip.compress(b"whole")[:-3], b"not gzip", b""):
        answer = append(ada, run, LOG, 0, broken, Content_Encoding="gzip")
        assert answer.status_code == (204 if broken == b"" else 400), broken[:10]
    assert ada.get(f"/runs/{run}/files").json()["files"] == []


def test_a_bomb_does_not_keep_others_waiting(ada, vera, place, new_run):
    """While a body unpacks to its limit, others are answered: unpacking is done in small pieces."""
    run = new_run(ada)
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = squeeze.compress(bytes(50 << 20)) + squeeze.flush()
    started = time.monotonic()
    assert append(ada, run, LOG, 0, bomb, Content_Encoding="gzip").status_code == 413
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("first", [b"", b"some"])
def test_slow_bodies_are_ended(place, ada, new_run, first):
    """A body that stalls is answered 408 and its connection closed: nobody holds a place by sending nothing."""
    run = new_run(ada)
    host, port = place.url.removeprefix("http://").split(":")
    head = f"PATCH /api/v1/runs/{run}/files/{LOG} HTTP/1.1\r\nHost: x\r\nAuthorization: {ada.headers['Authorization']}\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"{head}Upload-Offset: 0\r\nContent-Length: 1000\r\n\r\n".encode() + first)
        started = time.monotonic()
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408")
    assert 0.3 < time.monotonic() - started < 5
    assert ada.get(f"/runs/{run}/files").json()["files"] == []


def test_a_client_that_leaves_in_the_middle_leaves_nothing(place, ada, new_run):
    """A connection that breaks in a body appends nothing and puts nothing."""
    run = new_run(ada)
    host, port = place.url.removeprefix("http://").split(":")
    for method, path in (("PATCH", LOG), ("PUT", "saved/half.bin")):
        head = f"{method} /api/v1/runs/{run}/files/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {ada.headers['Authorization']}\r\n"
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"{head}Upload-Offset: 0\r\nContent-Length: 1000\r\n\r\nhalf".encode())
    deadline = time.monotonic() + 10
    while place.service.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert place.service.requests == 0
    assert place.service.committer.reserved == 0
    assert ada.get(f"/runs/{run}/files").json()["files"] == []


def test_describing_sources(ada, new_run):
    """What became of the sources of files is noted beside them."""
    run = new_run(ada)
    append(ada, run, LOG, 0, b"x")
    said = {
        "path": LOG,
        "size": 1,
        "source_path": "/home/ada/log",
        "source_size": 9,
        "state": "recording",
        "why": "slow",
    }
    assert ada.post(f"/runs/{run}/describe", json={"files": [said]}).status_code == 204
    (file,) = ada.get(f"/runs/{run}/files").json()["files"]
    assert (file["source_path"], file["source_size"], file["why"]) == ("/home/ada/log", 9, "slow")
    for wrong in ([], {"files": {}}, {"files": [{"path": LOG}]}, {"files": [1]}):
        assert ada.post(f"/runs/{run}/describe", json=wrong).status_code == 400


@pytest.fixture(scope="module")
def a_file(ada, new_run):
    """The address of a file of ten bytes."""
    run = new_run(ada)
    append(ada, run, LOG, 0, b"0123456789")
    return f"/runs/{run}/files/{LOG}"
