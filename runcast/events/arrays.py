"""TensorProto messages as NumPy arrays, of every dtype (tensorflow/core/framework/{tensor,types}.proto)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runcast.errors import BadValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["array_of", "strings_of"]

_STRING = 7
_REFERENCE = 100
"""What is added to a dtype's number for TensorFlow's references, which hold the same bytes."""

_MOST_BYTES = 2 << 30
"""What no message can hold: a shape that asks for more, with fewer values, is damage or malice."""


class _Kind(NamedTuple):
    """`stored` is an element's type in `tensor_content`; `field` holds the values otherwise; `meant` widens what was stored."""

    stored: np.dtype[Any]
    field: str
    meant: Callable[[NDArray[Any]], NDArray[Any]] | None = None


def _bfloat16(bits: NDArray[Any]) -> NDArray[Any]:
    if _are_float32(bits):
        return bits.view(np.float32)
    widened: NDArray[Any] = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return widened


def _half(bits: NDArray[Any]) -> NDArray[Any]:
    if _are_float32(bits):
        return bits.view(np.float32).astype(np.float16)
    return bits.astype(np.uint16).view(np.float16)


def _are_float32(bits: NDArray[Any]) -> bool:
    """Say whether `half_val` holds the bits of float32 numbers, as PyTorch's `add_tensor` writes it, against the format.

    Half-precision bits fit in 16; of a half-precision number's float32 bits only those of 0 do, which are the same.
    """
    return bits.dtype == np.int32 and bool(((bits < 0) | (bits > 0xFFFF)).any())


def _float8_e5m2(bits: NDArray[Any]) -> NDArray[Any]:
    """Return the float16 that begins with the same eight bits, widened."""
    widened: NDArray[Any] = (bits.astype(np.uint16) << np.uint16(8)).view(np.float16).astype(np.float32)
    return widened


def _float8_e4m3(bits: NDArray[Any]) -> NDArray[Any]:
    """Return 1-4-3 bits with a bias of 7, where only all ones is NaN and nothing is infinite ("fn")."""
    exponent = (bits >> 3 & 0xF).astype(np.int32)
    mantissa = (bits & 7).astype(np.float32)
    magnitude = np.where(
        exponent == 0, np.ldexp(mantissa, -9), np.ldexp(mantissa + np.float32(8), exponent - 10)
    ).astype(np.float32)
    magnitude[(bits & 0x7F) == 0x7F] = np.nan
    return np.where(bits & 0x80, -magnitude, magnitude)


_KINDS = {
    1: _Kind(np.dtype("<f4"), "float_val"),
    2: _Kind(np.dtype("<f8"), "double_val"),
    3: _Kind(np.dtype("<i4"), "int_val"),
    4: _Kind(np.dtype("u1"), "int_val"),
    5: _Kind(np.dtype("<i2"), "int_val"),
    6: _Kind(np.dtype("i1"), "int_val"),
    8: _Kind(np.dtype("<c8"), "scomplex_val"),
    9: _Kind(np.dtype("<i8"), "int64_val"),
    10: _Kind(np.dtype("?"), "bool_val"),
    11: _Kind(np.dtype("i1"), "int_val"),  # the quantised integers, as they are stored
    12: _Kind(np.dtype("u1"), "int_val"),
    13: _Kind(np.dtype("<i4"), "int_val"),
    14: _Kind(np.dtype("<u2"), "half_val", _bfloat16),
    15: _Kind(np.dtype("<i2"), "int_val"),
    16: _Kind(np.dtype("<u2"), "int_val"),
    17: _Kind(np.dtype("<u2"), "int_val"),
    18: _Kind(np.dtype("<c16"), "dcomplex_val"),
    19: _Kind(np.dtype("<u2"), "half_val", _half),
    22: _Kind(np.dtype("<u4"), "uint32_val"),
    23: _Kind(np.dtype("<u8"), "uint64_val"),
    24: _Kind(np.dtype("u1"), "float8_val", _float8_e5m2),
    25: _Kind(np.dtype("u1"), "float8_val", _float8_e4m3),
    29: _Kind(np.dtype("i1"), "int_val"),  # four bits, a byte each
    30: _Kind(np.dtype("u1"), "int_val"),
}


def array_of(tensor: Any) -> NDArray[Any]:
    """Return a TensorProto as a read-only array of its shape and dtype.

    bfloat16 and float8, which NumPy does not have, are widened to float32 (exactly), quantised integers are what is stored, and
    strings are an object array of `bytes`. Where a message holds fewer values than its shape asks for, the last one stands for
    those that follow, and none at all means zeros, as in TensorFlow. Raises `BadValue` for a tensor that holds no such array.
    """
    shape = _shape(tensor)
    number = tensor.dtype % _REFERENCE
    if number == _STRING:
        values = np.empty(len(tensor.string_val), object)
        values[:] = list(tensor.string_val)
        return _shaped(values, shape, b"")
    kind = _KINDS.get(number)
    if kind is None:
        raise BadValue(f"a tensor of dtype {tensor.dtype} holds no values that NumPy knows")
    try:
        stored = _stored(tensor, kind)
    except (ValueError, OverflowError) as error:
        raise BadValue(f"a tensor's content does not fit its dtype {tensor.dtype}: {error}") from error
    with np.errstate(all="ignore"):  # a signaling NaN is a value like any other
        meant = stored if kind.meant is None else kind.meant(stored)
    return _shaped(meant.astype(meant.dtype.newbyteorder("="), copy=False), shape, 0)


def strings_of(tensor: Any) -> list[bytes]:
    """Return a string tensor's elements, whatever its shape. Raises `BadValue` for a tensor of another dtype."""
    if tensor.dtype % _REFERENCE != _STRING:
        raise BadValue(f"a tensor of strings was expected, not of dtype {tensor.dtype}")
    return list(tensor.string_val)


def _shape(tensor: Any) -> tuple[int, ...]:
    if tensor.tensor_shape.unknown_rank:
        raise BadValue("a tensor does not say its shape")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise BadValue(f"a tensor has the impossible shape {shape}")
    return shape


def _stored(tensor: Any, kind: _Kind) -> NDArray[Any]:
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, kind.stored)
    values = getattr(tensor, kind.field)
    if isinstance(values, bytes):
        return np.frombuffer(values, kind.stored)
    if kind.stored.kind == "c":  # real and imaginary parts take turns
        return np.array(values, kind.stored.type(0).real.dtype).view(kind.stored)
    if kind.field == "half_val":
        return np.array(values, np.int32)
    if kind.field == "int_val":  # 32 bits on the wire, of which the lower ones count
        if not values:  # PyTorch's `add_tensor` writes uint8 there, against the format
            return np.array(tensor.uint32_val, np.uint32).astype(kind.stored)
        return np.array(values, np.int32).astype(kind.stored)
    return np.array(values, kind.stored)


def _shaped(values: NDArray[Any], shape: tuple[int, ...], default: object) -> NDArray[Any]:
    count = math.prod(shape)
    try:
        if len(values) == count:
            shaped = values.reshape(shape)
        elif len(values) > count:
            raise BadValue(f"a tensor of shape {shape} holds {len(values)} values")
        elif len(values) <= 1:
            shaped = np.broadcast_to(values if len(values) else np.array([default], values.dtype), shape)
        elif count * values.itemsize > _MOST_BYTES:
            raise BadValue(f"a tensor of shape {shape} holds {len(values)} values only")
        else:
            shaped = np.concatenate([values, np.broadcast_to(values[-1:], count - len(values))]).reshape(
                shape
            )
    except ValueError as error:
        raise BadValue(f"a tensor has the impossible shape {shape}: {error}") from error
    shaped.flags.writeable = False
    return shaped
