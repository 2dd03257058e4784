"""Protobuf's wire format, as much as writing an event file takes."""

from __future__ import annotations

__all__ = ["sized", "varint"]


def sized(data: bytes) -> bytes:
    """Return bytes with their length before them, as a field of texts, bytes or a message has it after its key."""
    return varint(len(data)) + data


def varint(number: int) -> bytes:
    """Return a number, 0 or more, in groups of seven bits, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
