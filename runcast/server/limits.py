"""What one server takes on: sizes, times and numbers that no client may exceed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KIB", "MIB", "Limits"]

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are in bytes (of a body after decompression), times in seconds."""

    json: int = 4 * MIB
    """A body of JSON: facts of a run, what became of sources."""

    append: int = 16 * MIB
    """The body of a request that appends."""

    record: int = 1024 * MIB
    """The body of a request that appends to one event file, where a single record is longer than `append`: it is kept on the disk."""

    file: int = 4096 * MIB
    """A whole file."""

    answer: int = 16 * MIB
    """What a request may ask for at a time where it is made in memory."""

    requests: int = 512
    """Requests at work at once, streams left out; more are answered 503."""

    streams: int = 10_000
    """Live streams that are open at once."""

    queue: int = 64 * MIB
    """Bytes of appends that are received or wait for their commit; more are answered 503."""

    threads: int = 16
    """Threads that wait for the database and the disk."""

    stall: float = 30.0
    """Seconds that a body may take without a byte."""

    slowest: int = 1 * KIB
    """Bytes a second that a body must bring on average, after its first `stall` seconds."""

    headers: float = 30.0
    """Seconds that a connection may take until its first request is whole."""
