"""Numbers come out as they were written: every type, every way of holding it, every bit."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from tensorboard.compat.proto.types_pb2 import DataType

from runcast.events import Decoder

# dtype: NumPy's name, the number of TensorProto's field
FLOATS = {"DT_FLOAT": ("<f4", 5), "DT_DOUBLE": ("<f8", 6), "DT_HALF": ("<f2", 13), "DT_BFLOAT16": ("<u2", 13)}
INTEGERS = {
    "DT_BOOL": ("?", 11),
    "DT_INT8": ("<i1", 7),
    "DT_INT16": ("<i2", 7),
    "DT_INT32": ("<i4", 7),
    "DT_INT64": ("<i8", 10),
    "DT_UINT8": ("<u1", 7),
    "DT_UINT16": ("<u2", 7),
    "DT_UINT32": ("<u4", 16),
    "DT_UINT64": ("<u8", 17),
}
VALUES = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 6e-8, 1e-45, 5e-324, 65504.0, 0.1]
BFLOAT16_VALUES = [0, 0x8000, 0x3F80, 0xC040, 0x7F80, 0xFF80, 0x7FC0, 1, 0x7F7F]
NAN32 = [0x7FC00000, 0xFFC00000, 0x7FC12345, 0xFFFFFFFF, 0x7F800001, 0xFF812345]
NAN64 = [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8123456789ABC, 0xFFFFFFFFFFFFFFFF, 0x7FF0000000000001]


def varint(number):
    encoded = bytearray()
    number %= 1 << 64
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def sized(data):
    return varint(len(data)) + data


def held(dtype, number, how, shape=b"\x12\x00"):
    """A TensorProto with one number: in `tensor_content`, or in its type's field, packed or not."""
    _, field = {**FLOATS, **INTEGERS}[dtype]
    if how == "content":
        value = b"\x22" + sized(number.tobytes())
    else:
        plain = {5: 5, 6: 1}.get(field, 0)
        element = number.tobytes() if plain else varint(int(number.view("<u2") if field == 13 else number))
        value = (
            varint(field << 3 | 2) + sized(element)
            if how == "packed"
            else varint(field << 3 | plain) + element
        )
    return b"\x08" + varint(DataType.Value(dtype)) + shape + value


def event(step, value):
    """An Event's payload, given what follows the tag in its only value."""
    value = b"\x0a\x01x" + value
    return b"\x09" + struct.pack("<d", 1.5) + b"\x10" + varint(step) + b"\x2a" + sized(b"\x0a" + sized(value))


def numbers_of(dtype):
    name, _ = {**FLOATS, **INTEGERS}[dtype]
    if dtype == "DT_BFLOAT16":
        bits = np.array(BFLOAT16_VALUES, "<u2")
        return bits, [struct.unpack("<f", b"\0\0" + bytes(number.tobytes()))[0] for number in bits]
    with np.errstate(over="ignore", under="ignore"):
        numbers = np.array(VALUES, name) if dtype in FLOATS else extremes(np.dtype(name))
    return numbers, numbers.astype(np.float64).tolist()


def extremes(dtype):
    if dtype == np.bool_:
        return np.array([False, True])
    limits = np.iinfo(dtype)
    return np.array([limits.min, limits.max, 0, 1, limits.max // 3], dtype)


@pytest.mark.parametrize(
    "shape", [b"\x12\x00", b"", b"\x12\x02\x18\x01"], ids=["shape", "no shape", "rank unknown"]
)
@pytest.mark.parametrize("how", ["content", "packed", "single"])
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_every_type_of_number(check, record, dtype, how, shape):
    """A 0-d number of any type is a point, whichever way its tensor holds it; one by one and among many."""
    numbers, expected = numbers_of(dtype)
    expected = np.array(expected, np.float64).view(np.int64).tolist()
    tensors = [b"\x42" + sized(held(dtype, number, how, shape)) for number in numbers]
    for value, tensor in zip(expected, tensors, strict=True):
        batch = check(record(event(3, tensor)))
        assert batch.scalars.value.view(np.int64).tolist() == [value]
    many = b"".join(record(event(1 + step, tensors[step % len(tensors)])) for step in range(700))
    found = check(many).scalars.value.view(np.int64).tolist()
    assert found == [expected[step % len(tensors)] for step in range(700)]


@pytest.mark.parametrize("count", [1, 700])
def test_the_bits_of_nan(record, count):
    """What kind of NaN it was stays to be seen: a float64's bits as they are, a float32's widened, as quiet ones."""
    for bits in NAN64:
        value = b"\x42" + sized(b"\x08\x02\x12\x00\x32\x08" + struct.pack("<Q", bits))
        batch = Decoder().decode(b"".join(record(event(1 + step, value)) for step in range(count)))
        assert set(batch.scalars.value.view(np.uint64).tolist()) == {bits}
    for bits in NAN32:
        value = b"\x15" + struct.pack("<I", bits)
        batch = Decoder().decode(b"".join(record(event(1 + step, value)) for step in range(count)))
        sign, fraction = bits >> 31, bits & 0x7FFFFF
        widened = sign << 63 | 0x7FF8 << 48 | fraction << 29
        assert set((batch.scalars.value.view(np.uint64) | np.uint64(1 << 51)).tolist()) == {widened}


@pytest.mark.parametrize("bits", NAN64)
def test_wall_times_that_are_no_number(check, record, bits):
    """They are kept as they are: whoever draws or sorts decides."""
    value = b"\x15" + struct.pack("<f", 2.0)
    payload = event(1, value)
    payload = payload[:1] + struct.pack("<Q", bits) + payload[9:]
    batch = check(record(payload) * 200)
    assert batch.scalars.wall_time.view(np.uint64).tolist() == [bits] * 200


@pytest.mark.parametrize(
    "tensor",
    [
        b"\x08\x01\x12\x04\x12\x02\x08\x01\x2a\x04\0\0\0\0",  # one dimension of size 1
        b"\x08\x01\x12\x00",  # no value
        b"\x08\x01\x12\x00\x2a\x08\0\0\0\0\0\0\0\0",  # two
        b"\x08\x01\x12\x00\x22\x08\0\0\0\0\0\0\0\0",  # content of another size
        b"\x08\x07\x12\x00\x42\x01x",  # a string
        b"\x08\x08\x12\x00\x4a\x08\0\0\0\0\0\0\0\0",  # a complex number
        b"\x08\x63\x12\x00\x2a\x04\0\0\0\0",  # a type that is not known yet
        b"\x12\x00\x2a\x04\0\0\0\0",  # no type
    ],
)
def test_what_is_no_single_number(check, record, tensor):
    """Vectors, strings, complex numbers and tensors that do not add up are pointed to as summaries."""
    batch = check(record(event(1, b"\x42" + sized(tensor))) * 100)
    assert len(batch.scalars.step) == 0
    assert [(summary.tag, summary.plugin) for summary in batch.summaries] == [("x", "")] * 100


@pytest.mark.parametrize("how", ["content", "packed"])
def test_references(check, record, how):
    """A number of one of TensorFlow's reference types is the number."""
    tensor = held("DT_INT32", np.array([7], "<i4")[0], how).replace(b"\x08\x03", b"\x08\x67", 1)
    assert check(record(event(1, b"\x42" + sized(tensor))) * 100).scalars.value.tolist() == [7.0] * 100
