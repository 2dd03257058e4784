"""Where the wall time, step and value stand in the bytes of a plain scalar event.

Writers repeat themselves: all events of one tag are the same bytes but for these three. So once the layout of one event is known,
the events that share its other bytes can be read as columns (`scalars.py`), without parsing each.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["STEP_AT", "WALL_TIME_AT", "Layout", "layout_of"]

WALL_TIME_AT = 1
"""Where the wall time's eight bytes begin: it is the first field, behind its key."""

STEP_AT = 10
"""Where the step's varint begins, in events that have one: it is the second field."""

# Keys as they stand in the bytes: field number and wire type.
_WALL_TIME = 0x09
_STEP = 0x10
_SUMMARY = 0x2A
_VALUE = 0x0A
_TAG = 0x0A
_SIMPLE_VALUE = 0x15
_TENSOR = 0x42
_METADATA = 0x4A
_EXACT_VALUE = b"\xc1\x3e"

# What writers put in front of the number in a 0-d tensor of one float32 or float64: dtype, an empty shape, and the number's field
# (packed values, raw content, or a single unpacked value).
_TENSOR_HEADS = {
    b"\x08\x01\x12\x00\x2a\x04": "<f4",
    b"\x08\x01\x12\x00\x22\x04": "<f4",
    b"\x08\x01\x12\x00\x2d": "<f4",
    b"\x08\x02\x12\x00\x32\x08": "<f8",
    b"\x08\x02\x12\x00\x22\x08": "<f8",
    b"\x08\x02\x12\x00\x31": "<f8",
}


class Layout(NamedTuple):
    """`step_size` is the number of bytes of the step (0: no step field, which means step 0).

    `rounded_at` is where the same value stands rounded to a float32 (0: nowhere), as in the files of our own writer.
    """

    length: int
    step_size: int
    value_at: int
    value_type: str
    rounded_at: int = 0


class _OtherFormError(Exception):
    """The payload is not laid out as a plain scalar event."""


def layout_of(payload: bytes) -> Layout | None:
    """Return the layout of an event that is one tagged number and nothing else, None for any other form.

    Only the forms that writers really produce are known; whatever is not is left to protobuf. It is for the caller to make
    sure that the payload is a valid Event and means one scalar point.
    """
    try:
        return _layout_of(payload)
    except (_OtherFormError, IndexError):
        return None


def _layout_of(payload: bytes) -> Layout:
    _expect(payload[0] == _WALL_TIME)
    at = WALL_TIME_AT + 8
    step_size = 0
    if payload[at] == _STEP:
        _, at = _varint(payload, STEP_AT)
        step_size = at - STEP_AT
        _expect(step_size < 10 or payload[at - 1] == 1)  # a tenth byte has but one bit of the step
    for key in (_SUMMARY, _VALUE):
        size, at = _open(payload, at, key)
        _expect(at + size == len(payload))
    size, at = _open(payload, at, _TAG)
    at += size
    value_at, value_type, rounded_at = 0, "", 0
    seen = set()
    while at < len(payload):
        key = payload[at]
        _expect(key not in seen)
        seen.add(key)
        if key == _SIMPLE_VALUE:
            _expect(not value_at)
            value_at, value_type = at + 1, "<f4"
            at += 5
        elif key == _TENSOR:
            _expect(not value_at)
            size, at = _open(payload, at, _TENSOR)
            value_at, value_type = _number_in_tensor(payload, at, at + size)
            at += size
        elif payload[at : at + 2] == _EXACT_VALUE:
            _expect(value_type == "<f4" and payload[value_at - 1] == _SIMPLE_VALUE)
            value_at, value_type, rounded_at = at + 2, "<f8", value_at
            at += 10
        else:
            size, at = _open(payload, at, _METADATA)
            at += size
    _expect(bool(value_at) and at == len(payload))
    return Layout(len(payload), step_size, value_at, value_type, rounded_at)


def _number_in_tensor(payload: bytes, start: int, stop: int) -> tuple[int, str]:
    for number_size in (4, 8):
        value_type = _TENSOR_HEADS.get(payload[start : stop - number_size])
        if value_type == f"<f{number_size}":
            return stop - number_size, value_type
    raise _OtherFormError


def _expect(condition: bool) -> None:
    if not condition:
        raise _OtherFormError


def _open(payload: bytes, at: int, key: int) -> tuple[int, int]:
    """Return the size and the start of the length-delimited field that must begin at `at`."""
    _expect(payload[at] == key)
    return _varint(payload, at + 1)


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at` and where it ends."""
    number = 0
    for size in range(10):
        byte = payload[at + size]
        number |= (byte & 0x7F) << (7 * size)
        if byte < 0x80:
            return number, at + size + 1
    raise _OtherFormError
