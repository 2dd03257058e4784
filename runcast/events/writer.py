"""A small event-file writer for what the run itself logs: no protobuf, no NumPy, no thread.

Scalars are written as `simple_value`, a float32, which every reader shows: TensorBoard's Rust server shows no scalar of type
double, whatever its form. A value that float32 would round is written a second time as a double, in a field of our own
(`Value.exact_value` in `proto.py`): we read that one, and other readers pass over it, as protobuf's rules ask.
"""

from __future__ import annotations

import itertools
import math
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

from runcast.events.checksum import masked_crc32c
from runcast.events.wire import sized, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["EventWriter", "event_file_name"]

_pack_length = struct.Struct("<Q").pack
_pack_crc = struct.Struct("<I").pack
_pack_float = struct.Struct("<f").pack
_unpack_float = struct.Struct("<f").unpack
_pack_double = struct.Struct("<d").pack

_EXACT_VALUE = b"\xc1\x3e"  # the key of field 1000, eight bytes wide

_file_numbers = itertools.count()


def event_file_name(suffix: str = "") -> str:
    """Return a fresh name as TensorBoard's own writer makes them; no other call in this process returns the same."""
    host = socket.gethostname().replace("/", "_")
    return f"events.out.tfevents.{int(time.time()):010d}.{host}.{os.getpid()}.{next(_file_numbers)}{suffix}"


class EventWriter:
    """Writes scalars and other values to one event file, which it makes (and its folder) where it does not exist; thread-safe.

    Each call is one write of whole records that other processes can read when it returns; nothing is held back, so a process
    that is killed loses nothing. Raises `OSError` when the file cannot be made or written; a write that a full disk cuts short
    is taken back, so the file always ends at a whole record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._fd: int | None = os.open(path, flags, 0o644)
        if os.fstat(self._fd).st_size == 0:
            self._write(_record(b"\x09" + _pack_double(time.time()) + b"\x1a" + sized(b"brain.Event:2")))

    def scalars(self, values: Mapping[str, Any], step: int, wall_time: float | None = None) -> None:
        """Write one point a tag, at `step` and `wall_time` (now, unless given), in one write.

        Values may be whatever `float` takes. Does nothing after `close`.
        """
        wall_time = time.time() if wall_time is None else wall_time
        with self._lock:
            if values and self._fd is not None:
                self._write(
                    b"".join(
                        _scalar_record(tag, float(value), step, wall_time) for tag, value in values.items()
                    )
                )

    def values(self, values: Iterable[bytes], step: int, wall_time: float | None = None) -> None:
        """Write encoded values (see `runcast.events.media`), otherwise as `scalars`."""
        wall_time = time.time() if wall_time is None else wall_time
        with self._lock:
            if self._fd is not None and (
                records := b"".join(_value_record(value, step, wall_time) for value in values)
            ):
                self._write(records)

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _write(self, data: bytes) -> None:
        assert self._fd is not None
        written = os.write(self._fd, data)
        if written < len(data):
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise OSError(
                f"{self.path}: only {written} of {len(data)} bytes could be written; is the disk full?"
            )


def _scalar_record(tag: str, value: float, step: int, wall_time: float) -> bytes:
    return _value_record(
        b"\x0a" + sized(tag.encode(errors="replace")) + _value_fields(value), step, wall_time
    )


def _value_record(value: bytes, step: int, wall_time: float) -> bytes:
    step_field = b"\x10" + varint(step & 0xFFFFFFFFFFFFFFFF) if step else b""
    summary = b"\x0a" + sized(value)
    return _record(b"\x09" + _pack_double(wall_time) + step_field + b"\x2a" + sized(summary))


def _value_fields(value: float) -> bytes:
    try:
        rounded = _pack_float(value)
    except OverflowError:  # beyond float32
        rounded = _pack_float(math.copysign(math.inf, value))
    simple_value = b"\x15" + rounded
    if math.isnan(value) or _unpack_float(rounded)[0] == value:
        return simple_value
    return simple_value + _EXACT_VALUE + _pack_double(value)


def _record(payload: bytes) -> bytes:
    length = _pack_length(len(payload))
    return length + _pack_crc(masked_crc32c(length)) + payload + _pack_crc(masked_crc32c(payload))
