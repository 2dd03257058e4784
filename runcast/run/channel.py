"""Messages between the training process and its recorder, over the recorder's stdin and stdout.

The channel carries life and wake-ups, never facts: whatever must not be lost is in the journal. A message is a JSON header
and any number of binary buffers:

    u32 header length | header JSON (with "buffers": [length, …]) | buffer bytes …        (little-endian)

To the recorder:

    {"kind": "wake"}                                look at the files and the journal now
    {"kind": "environment", "set": {name: value}}   use these variables for buckets from now on; secrets may be among them
    {"kind": "drain", "token": T, "files": {path: size}}   reply `drained` once these sizes are recorded (or cannot be)
    {"kind": "show", "uid": U, "bundle": PATH}      send frames for the panel U from now on; PATH is the static form's script
    {"kind": "snapshot"}                            send whole frames again (a page was reloaded)
    {"kind": "static", "token": T}                  reply `static` with a fresh static form
    {"kind": "status", "token": T}                  reply `status` now

From the recorder:

    {"kind": "ready", "pid": P, "tensorboard": PORT | null}
    {"kind": "drained", "token": T, "recorded": {path: size}}
    {"kind": "snapshot" | "delta", "v": 1, "uid": U, "seq": N, "series": [{"id", "n", …}]}   three buffers: all steps, all wall
                                                    times, all values (float64), each the series' points one after the other.
                                                    A snapshot replaces the series that it lists and describes each with
                                                    "root", "source", "tag", "plugin", "total"; a delta appends.
    {"kind": "run", "v": 1, "uid": U, "seq": N, "run": {…}, "points": N, "updated": T, "files": […], "tensorboard": PORT | null}
    {"kind": "static", "token": T, "title": S}      two buffers: PNG bytes, HTML (UTF-8). Comes with token null, unasked, before
                                                    `finished` if a panel was shown
    {"kind": "status", "token": T, "run": {…}, "files": [{"path", "source", "size", "recorded", "lag", "skipped", "state", "why"}]}
    {"kind": "finished", "state": S}                everything is recorded; the recorder ends
    {"kind": "warning", "text": S}                  something that the user should see once
"""

from __future__ import annotations

import json
import struct
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["EXIT_LOCKED", "Message", "pack", "read_messages"]

EXIT_LOCKED = 75
"""The exit status of a recorder that found another one recording its run: it is not started again."""

Message = tuple[dict[str, Any], list[bytes]]

_LENGTH = struct.Struct("<I")


def pack(header: dict[str, Any], buffers: Iterable[bytes | memoryview] = ()) -> bytes:
    """Return the bytes of one message."""
    parts = [bytes(buffer) for buffer in buffers]
    head = json.dumps({**header, "buffers": [len(part) for part in parts]}, separators=(",", ":")).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *parts])


def read_messages(stream: IO[bytes]) -> Iterator[Message]:
    """Yield messages until the stream ends; a message that is cut short by the end is dropped."""
    while True:
        prefix = _read_exactly(stream, _LENGTH.size)
        if prefix is None:
            return
        head = _read_exactly(stream, _LENGTH.unpack(prefix)[0])
        if head is None:
            return
        header = json.loads(head)
        buffers = []
        for length in header.pop("buffers"):
            buffer = _read_exactly(stream, length)
            if buffer is None:
                return
            buffers.append(buffer)
        yield header, buffers


def _read_exactly(stream: IO[bytes], length: int) -> bytes | None:
    parts = []
    while length:
        part = stream.read(length)
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
