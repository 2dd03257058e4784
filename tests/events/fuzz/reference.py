"""An event-file reader that is slow and plain: what `Decoder` must answer, worked out record by record with TensorBoard's classes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from tensorboard.compat.proto import event_pb2, types_pb2
from tensorboard.util import tensor_util

_V1_PLUGINS = {
    "image": "images",
    "histo": "histograms",
    "obsolete_old_style_histogram": "histograms",
    "audio": "audio",
}
_UNKNOWN_TO_TENSORBOARD = {
    types_pb2.DT_BFLOAT16: "<u2",
    types_pb2.DT_UINT32: "<u4",
    types_pb2.DT_UINT64: "<u8",
}
_EXACT_VALUE = 1000


def _event_class() -> Any:
    """Return TensorBoard's Event, but for two fields of tensors (handles of resources, variants) that we do not look into."""
    pool = descriptor_pool.DescriptorPool()

    def add(file: Any) -> None:
        for imported in file.dependencies:
            add(imported)
        copy = descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb)
        for message in copy.message_type:
            if message.name == "TensorProto":
                kept = [each for each in message.field if each.number not in {14, 15}]
                del message.field[:]
                message.field.extend(kept)
        pool.Add(copy)

    add(event_pb2.DESCRIPTOR)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorboard.Event"))


_Event = _event_class()


@dataclass
class Answer:
    """Points are (tag, step, the wall time's bits, the value's bits), summaries (tag, plugin, step, bits, offset, length)."""

    stop: int = 0
    pending: str = ""
    records: int = 0
    points: list[tuple[str, int, bytes, bytes]] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    summaries: list[tuple[str, str, int, bytes, int, int]] = field(default_factory=list)
    skipped: list[tuple[int, int, str]] = field(default_factory=list)
    session_starts: list[tuple[int, bytes]] = field(default_factory=list)
    failed_bytes: int = 0
    """Bytes of payloads that were checked in vain while looking for the next record."""


def masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


def bits(number: float) -> bytes:
    """Return a number's bits; a NaN that was widened may have become a quiet one, so that bit is not compared."""
    packed = bytearray(struct.pack("<d", number))
    if number != number:  # noqa: PLR0124
        packed[6] |= 8
    return bytes(packed)


def header(data: bytes, position: int) -> int | None:
    """Return the payload length that a valid header gives."""
    if data[position + 8 : position + 12] != masked(data[position : position + 8]) or position + 12 > len(
        data
    ):
        return None
    return struct.unpack_from("<Q", data, position)[0]


def whole(data: bytes, position: int) -> bytes | None:
    """Return the payload and its checksum of a record that is all there, verified or not."""
    length = header(data, position)
    if length is None or position + 16 + length > len(data):
        return None
    return data[position + 12 : position + 16 + length]


def verified(data: bytes, position: int) -> bytes | None:
    """Return the payload of a whole, verified record."""
    record = whole(data, position)
    return None if record is None or masked(record[:-4]) != record[-4:] else record[:-4]


def read(data: bytes, *, skip: bool) -> Answer:
    """Answer what `Decoder.decode(data, skip=skip)` must answer."""
    answer = Answer()
    position = 0
    while position < len(data):
        payload = verified(data, position)
        if payload is not None:
            _read_event(answer, payload, position)
            position += 16 + len(payload)
            continue
        answer.pending = _why(data, position)
        skipped = _past(answer, data, position) if skip and answer.pending != "incomplete" else []
        if not skipped:
            break
        answer.skipped += skipped
        answer.pending = ""
        position = skipped[-1][0] + skipped[-1][1]
    answer.stop = position
    answer.skipped.sort()
    return answer


def _why(data: bytes, position: int) -> str:
    if whole(data, position) is not None:
        return "checksum"
    if len(data) - position < 12 or header(data, position) is not None or not any(data[position:]):
        return "incomplete"
    return "framing"


def _past(answer: Answer, data: bytes, position: int) -> list[tuple[int, int, str]]:
    """Return what is passed over before the next verified record, nothing if there is none."""
    skipped = []
    while (record := whole(data, position)) is not None and verified(data, position) is None:
        answer.failed_bytes += len(record)
        after = position + 12 + len(record)
        if header(data, after) is None:
            if after + 12 > len(data):
                return []
            break
        skipped.append((position, after - position, "the data checksum does not match"))
        position = after
    if verified(data, position) is not None:
        return skipped
    if header(data, position) is not None and record is None:
        return []
    for candidate in range(position + 1, len(data)):
        if verified(data, candidate) is not None:
            return [*skipped, (position, candidate - position, "no valid record header")]
        answer.failed_bytes += len(whole(data, candidate) or b"")
    return []


def _read_event(answer: Answer, payload: bytes, position: int) -> None:
    answer.records += 1
    place = (position, len(payload) + 16)
    try:
        event = _Event.FromString(payload)
    except DecodeError:
        answer.skipped.append((*place, "the record holds no Event"))
        return
    at = (event.step, bits(event.wall_time))
    what = event.WhichOneof("what")
    if what == "session_log" and event.session_log.status == event_pb2.SessionLog.START:
        answer.session_starts.append(at)
    if what == "graph_def":
        answer.summaries.append(("__run_graph__", "graphs", *at, *place))
    if what == "meta_graph_def":
        answer.summaries.append(("__meta_graph__", "graphs", *at, *place))
    if what == "tagged_run_metadata":
        answer.summaries.append((event.tagged_run_metadata.tag, "graph_tagged_run_metadata", *at, *place))
    held_points = len(answer.points)
    for value in event.summary.value:
        tag = value.tag or value.node_name
        number = _number(value)
        if number is None:
            plugin = _V1_PLUGINS.get(value.WhichOneof("value"), value.metadata.plugin_data.plugin_name)
            answer.summaries.append((tag, plugin, *at, *place))
        else:
            answer.points.append((tag, *at, bits(number)))
    if len(answer.points) > held_points:
        answer.spans.append(place)


def _number(value: Any) -> float | None:
    if value.WhichOneof("value") == "simple_value":
        exact = [f.data for f in UnknownFieldSet(value) if (f.field_number, f.wire_type) == (_EXACT_VALUE, 1)]
        return struct.unpack("<d", struct.pack("<Q", exact[-1]))[0] if exact else value.simple_value
    if value.WhichOneof("value") != "tensor" or value.metadata.plugin_data.plugin_name not in {"", "scalars"}:
        return None
    tensor = value.tensor
    if 100 < tensor.dtype < 200:  # TensorFlow's references hold the same bytes
        tensor = type(tensor).FromString(tensor.SerializeToString())
        tensor.dtype -= 100
    if tensor.dtype in _UNKNOWN_TO_TENSORBOARD:
        return None if tensor.tensor_shape.dim else _number_unknown_to_tensorboard(tensor)
    try:
        array = tensor_util.make_ndarray(tensor)
    except OverflowError:  # an integer that does not fit its type
        return float(tensor.int_val[0])
    except (KeyError, TypeError, ValueError):
        return None
    return float(array) if array.shape == () and array.dtype.kind in "fiub" else None


def _number_unknown_to_tensorboard(tensor: Any) -> float | None:
    """Return a 0-d number of a type that TensorBoard's own `make_ndarray` does not know, or (bfloat16) takes for another."""
    code = np.dtype(_UNKNOWN_TO_TENSORBOARD[tensor.dtype])
    values = {2: tensor.half_val, 4: tensor.uint32_val, 8: tensor.uint64_val}[code.itemsize]
    if tensor.tensor_content:
        if len(tensor.tensor_content) != code.itemsize:
            return None
        number = int(np.frombuffer(tensor.tensor_content, code)[0])
    elif len(values) == 1:
        number = values[0]
    else:
        return None
    if tensor.dtype == types_pb2.DT_BFLOAT16:
        return struct.unpack("<f", struct.pack("<I", (number & 0xFFFF) << 16))[0]
    return float(number)
