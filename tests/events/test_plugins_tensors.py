"""Tensors of every type and form, as TensorBoard and PyTorch read and write them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto import tensor_pb2, types_pb2
from tensorboard.util import tensor_util
from torch.utils.tensorboard.summary import tensor_proto

from runcast.errors import BadValue
from runcast.events.arrays import array_of
from runcast.events.proto import TensorProto

FIELDS = {
    "float16": "half_val",
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "int64": "int64_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
}
NUMBERS = {
    "float16": 19,
    "float32": 1,
    "float64": 2,
    "int8": 6,
    "int16": 5,
    "int32": 3,
    "int64": 9,
    "uint8": 4,
}
NUMBERS |= {"uint16": 17, "uint32": 22, "uint64": 23, "bool": 10, "complex64": 8, "complex128": 18}


def ours(tensor: tensor_pb2.TensorProto) -> np.ndarray:
    return array_of(TensorProto.FromString(tensor.SerializeToString()))


def shaped(dtype: int, shape: tuple[int, ...], **values) -> tensor_pb2.TensorProto:
    tensor = tensor_pb2.TensorProto(dtype=dtype, **values)
    tensor.tensor_shape.SetInParent()
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def extremes(dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return np.array([limits.min, limits.max, 0, 1, 2, 3], kind).reshape(2, 3)
    values = [0.5, -1.5, np.inf, -np.inf, np.nan, -0.0]
    return np.array(values if kind.kind != "b" else [1, 0, 1, 1, 0, 0], kind).reshape(2, 3)


def bits_of(array: np.ndarray) -> tuple[np.dtype, tuple[int, ...], bytes]:
    return array.dtype, array.shape, array.tobytes()


@pytest.mark.parametrize("dtype", sorted(NUMBERS))
def test_both_forms_of_every_type(dtype):
    """Values come back bit for bit, out of `tensor_content` and out of the field of their type."""
    values = extremes(dtype)
    content = shaped(NUMBERS[dtype], values.shape, tensor_content=values.tobytes())
    assert bits_of(ours(content)) == bits_of(values)
    listed = values.ravel().view(
        {"float16": np.uint16, "complex64": "f4", "complex128": "f8"}.get(dtype, dtype)
    )
    field = shaped(NUMBERS[dtype], values.shape, **{FIELDS[dtype]: listed.tolist()})
    assert bits_of(ours(field)) == bits_of(values)
    for tensor in (content, field) if not dtype.startswith("uint") or dtype in {"uint8", "uint16"} else ():
        theirs = tensor_util.make_ndarray(tensor)
        assert bits_of(theirs) == bits_of(values)


@pytest.mark.parametrize("dtype", sorted(NUMBERS))
def test_one_value_for_all(dtype):
    """One value stands for a whole shape, and none for zeros; neither takes the memory of all."""
    value = np.ones(1, dtype)
    listed = value.view(
        {"float16": np.uint16, "complex64": "f4", "complex128": "f8"}.get(dtype, dtype)
    ).tolist()
    one = shaped(NUMBERS[dtype], (2, 3), **{FIELDS[dtype]: listed})
    assert bits_of(ours(one)) == bits_of(np.ones((2, 3), dtype))
    if dtype not in {"float16", "uint32", "uint64"}:  # TensorBoard's own reader fails there
        assert bits_of(tensor_util.make_ndarray(one)) == bits_of(np.ones((2, 3), dtype))
    assert bits_of(ours(shaped(NUMBERS[dtype], (2,)))) == bits_of(np.zeros(2, dtype))
    large = shaped(NUMBERS[dtype], (10**6, 10**6), **{FIELDS[dtype]: listed})
    assert ours(large).strides == (0, 0)


def test_the_last_value_for_the_rest():
    """Where there are fewer values than elements, the last one is repeated, as TensorFlow does."""
    assert ours(shaped(1, (2, 2), float_val=[1, 2])).tolist() == [[1, 2], [2, 2]]


def test_tensorboards_own_tensors():
    """What `make_tensor_proto` makes, scalars and empty shapes and strings among it."""
    for content in (1.5, [], [[]], [[1, 2], [3, 4]], "text", ["a", "b"], [[b"\xff"]], True, np.zeros((0, 3))):
        tensor = tensor_util.make_tensor_proto(content)
        theirs = tensor_util.make_ndarray(tensor)
        read = ours(tensor)
        assert (read.dtype, read.shape, read.tolist()) == (theirs.dtype, theirs.shape, theirs.tolist())


@given(st.lists(st.floats(width=16), min_size=1))
def test_half_precision_of_torch(numbers):
    """PyTorch writes half-precision numbers as the bits of float32, and TensorBoard fails at that; we read what was meant."""
    for dtype, widened in ((torch.float16, np.float16), (torch.bfloat16, np.float32)):
        values = torch.tensor(numbers, dtype=dtype)
        read = array_of(TensorProto.FromString(tensor_proto("x", values).value[0].tensor.SerializeToString()))
        np.testing.assert_array_equal(read, values.float().numpy().astype(widened))


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int8", "int32", "int64", "uint8", "bool", "complex64", "complex128"]
)
def test_tensors_of_torch(dtype):
    """`add_tensor` of each type comes back."""
    values = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(torch, dtype))
    try:
        proto = tensor_proto("x", values).value[0].tensor
    except (ValueError, TypeError):
        pytest.skip("this PyTorch does not write it")
    read = array_of(TensorProto.FromString(proto.SerializeToString()))
    assert bits_of(read) == bits_of(values.numpy())


def test_bfloat16():
    """bfloat16 is widened to float32, out of either form."""
    values = torch.tensor([1.5, -3.25, float("inf")], dtype=torch.bfloat16)
    bits = values.view(torch.int16).numpy().view(np.uint16)
    for tensor in (
        shaped(types_pb2.DT_BFLOAT16, (3,), half_val=bits.tolist()),
        shaped(types_pb2.DT_BFLOAT16, (3,), tensor_content=bits.tobytes()),
    ):
        assert bits_of(ours(tensor)) == bits_of(np.array([1.5, -3.25, np.inf], np.float32))


@pytest.mark.parametrize(("number", "dtype"), [(24, torch.float8_e5m2), (25, torch.float8_e4m3fn)])
def test_float8(number, dtype):
    """All 256 numbers of eight bits are what PyTorch says they are."""
    bits = np.arange(256, dtype=np.uint8)
    expected = torch.from_numpy(bits.copy()).view(dtype).float().numpy()
    tensor = TensorProto(dtype=number, tensor_content=bits.tobytes())
    tensor.tensor_shape.dim.add(size=256)
    np.testing.assert_array_equal(array_of(tensor), expected)


def test_quantised_and_references():
    """Quantised integers are what is stored, a reference holds what its type holds."""
    assert ours(shaped(types_pb2.DT_QUINT8, (2,), int_val=[3, 255])).tolist() == [3, 255]
    assert ours(shaped(types_pb2.DT_FLOAT_REF, (1,), float_val=[2.5])).tolist() == [2.5]


@pytest.mark.parametrize(
    "tensor",
    [
        shaped(types_pb2.DT_VARIANT, ()),
        shaped(types_pb2.DT_INVALID, ()),
        shaped(1, (-1,), float_val=[1]),
        shaped(1, (2,), float_val=[1, 2, 3]),
        shaped(1, (2,), tensor_content=b"12345"),
        shaped(1, (10**12,), float_val=[1, 2]),
        shaped(1, (10**10, 10**10), float_val=[1]),
        shaped(1, (1,) * 70, float_val=[1]),
        shaped(7, (3,), string_val=[b"a", b"b", b"c", b"d"]),
        tensor_pb2.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}),
    ],
    ids=range(10),
)
def test_what_is_no_array(tensor):
    """Types without values, shapes that are impossible, and content that does not fit are one kind of error."""
    with pytest.raises(BadValue):
        ours(tensor)


def test_arrays_are_read_only():
    """Nobody changes what was logged by accident."""
    for tensor in (
        shaped(1, (2,), float_val=[1, 2]),
        shaped(1, (2,), tensor_content=bytes(8)),
        shaped(7, (1,)),
    ):
        with pytest.raises(ValueError, match="read-only"):
            ours(tensor)[0] = 1
