"""0-d numbers in TensorProto messages."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["number"]


def _unpacker(code: str) -> Callable[[bytes], float]:
    unpack = struct.Struct("<" + code).unpack
    return lambda content: float(unpack(content)[0])


def _bfloat16(content: bytes) -> float:
    return float(struct.unpack("<f", b"\0\0" + content)[0])


_half = _unpacker("e")

_REFERENCE = 100
"""What is added to a dtype's number for TensorFlow's references, which hold the same bytes."""

# dtype: (bytes of `tensor_content`, how to read them, the field that holds values otherwise, how to read one of those)
_NUMBERS: dict[int, tuple[int, Callable[[bytes], float], str, Callable[[Any], float]]] = {
    1: (4, _unpacker("f"), "float_val", float),
    2: (8, _unpacker("d"), "double_val", float),
    3: (4, _unpacker("i"), "int_val", float),
    4: (1, _unpacker("B"), "int_val", float),
    5: (2, _unpacker("h"), "int_val", float),
    6: (1, _unpacker("b"), "int_val", float),
    9: (8, _unpacker("q"), "int64_val", float),
    10: (1, _unpacker("?"), "bool_val", float),
    14: (2, _bfloat16, "half_val", lambda bits: _bfloat16(_bits(bits))),
    17: (2, _unpacker("H"), "int_val", float),
    19: (2, _half, "half_val", lambda bits: _half(_bits(bits))),
    22: (4, _unpacker("I"), "uint32_val", float),
    23: (8, _unpacker("Q"), "uint64_val", float),
}


def _bits(half: int) -> bytes:
    """Return the two bytes of a half-precision number, which `half_val` keeps as an integer."""
    return (half & 0xFFFF).to_bytes(2, "little")


def number(tensor: Any) -> float | None:
    """Return the value of a 0-d real number, None for any other tensor (also for one whose content does not fit its type).

    A shape that is missing, or says that the rank is unknown, means 0-d, as it does to TensorBoard.
    """
    known = _NUMBERS.get(tensor.dtype - _REFERENCE if tensor.dtype > _REFERENCE else tensor.dtype)
    if known is None or tensor.tensor_shape.dim:
        return None
    size, of_content, field, of_value = known
    if content := tensor.tensor_content:
        return of_content(content) if len(content) == size else None
    values = getattr(tensor, field)
    return of_value(values[0]) if len(values) == 1 else None
