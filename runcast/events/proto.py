"""The protobuf messages of event files, built at import from the schema below.

They live in a descriptor pool of their own: they need neither TensorBoard nor TensorFlow, clash with neither, and work with every
protobuf runtime from 4.21 on (generated code would be tied to one). Fields that the schema does not name pass through untouched.
Enumerations are int32, which is the same on the wire. One field is our own: `Value.exact_value`, see `writer.py`.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = [
    "Audio",
    "Event",
    "HistogramProto",
    "Image",
    "SessionLog",
    "Summary",
    "SummaryMetadata",
    "TaggedRunMetadata",
    "TensorProto",
    "Value",
]

_SCHEMA = """
message Event
    double wall_time = 1
    int64 step = 2
    what: string file_version = 3
    what: bytes graph_def = 4
    what: Summary summary = 5
    what: LogMessage log_message = 6
    what: SessionLog session_log = 7
    what: TaggedRunMetadata tagged_run_metadata = 8
    what: bytes meta_graph_def = 9
    SourceMetadata source_metadata = 10

message SourceMetadata
    string writer = 1

message LogMessage
    int32 level = 1
    string message = 2

message SessionLog
    int32 status = 1
    string checkpoint_path = 2
    string msg = 3

message TaggedRunMetadata
    string tag = 1
    bytes run_metadata = 2

message Summary
    repeated Value value = 1

message Value
    string tag = 1
    value: float simple_value = 2
    value: bytes obsolete_old_style_histogram = 3
    value: Image image = 4
    value: HistogramProto histo = 5
    value: Audio audio = 6
    string node_name = 7
    value: TensorProto tensor = 8
    SummaryMetadata metadata = 9
    exact: double exact_value = 1000

message Image
    int32 height = 1
    int32 width = 2
    int32 colorspace = 3
    bytes encoded_image_string = 4

message Audio
    float sample_rate = 1
    int64 num_channels = 2
    int64 length_frames = 3
    bytes encoded_audio_string = 4
    string content_type = 5

message HistogramProto
    double min = 1
    double max = 2
    double num = 3
    double sum = 4
    double sum_squares = 5
    repeated double bucket_limit = 6
    repeated double bucket = 7

message PluginData
    string plugin_name = 1
    bytes content = 2

message SummaryMetadata
    PluginData plugin_data = 1
    string display_name = 2
    string summary_description = 3
    int32 data_class = 4

message Dim
    int64 size = 1
    string name = 2

message TensorShapeProto
    repeated Dim dim = 2
    bool unknown_rank = 3

message TensorProto
    int32 dtype = 1
    TensorShapeProto tensor_shape = 2
    int32 version_number = 3
    bytes tensor_content = 4
    repeated float float_val = 5
    repeated double double_val = 6
    repeated int32 int_val = 7
    repeated bytes string_val = 8
    repeated float scomplex_val = 9
    repeated int64 int64_val = 10
    repeated bool bool_val = 11
    repeated double dcomplex_val = 12
    repeated int32 half_val = 13
    repeated uint32 uint32_val = 16
    repeated uint64 uint64_val = 17
"""

_PACKAGE = "runcast.events"
_FIELD = re.compile(
    r"(?:(?P<oneof>\w+): )?(?P<repeated>repeated )?(?P<type>\w+) (?P<name>\w+) = (?P<number>\d+)"
)


def _file_descriptor(schema: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="runcast/events.proto", package=_PACKAGE, syntax="proto3")
    for line in filter(None, map(str.strip, schema.splitlines())):
        if line.startswith("message "):
            message = file.message_type.add(name=line.removeprefix("message "))
            continue
        match = _FIELD.fullmatch(line)
        assert match, line
        field = message.field.add(name=match["name"], number=int(match["number"]))
        field.label = field.LABEL_REPEATED if match["repeated"] else field.LABEL_OPTIONAL
        if match["type"][0].isupper():
            field.type = field.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{match['type']}"
        else:
            field.type = getattr(field, "TYPE_" + match["type"].upper())
        if oneof := match["oneof"]:
            names = [declared.name for declared in message.oneof_decl]
            if oneof not in names:
                message.oneof_decl.add(name=oneof)
                names.append(oneof)
            field.oneof_index = names.index(oneof)
    return file


def _message_class(name: str) -> Any:
    descriptor = _POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    factory: Any = message_factory.MessageFactory(_POOL)
    return factory.GetPrototype(descriptor)  # protobuf 4.21


_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(_file_descriptor(_SCHEMA).SerializeToString())

Event: Any = _message_class("Event")
Summary: Any = _message_class("Summary")
Value: Any = _message_class("Value")
Image: Any = _message_class("Image")
Audio: Any = _message_class("Audio")
HistogramProto: Any = _message_class("HistogramProto")
SummaryMetadata: Any = _message_class("SummaryMetadata")
TensorProto: Any = _message_class("TensorProto")
SessionLog: Any = _message_class("SessionLog")
TaggedRunMetadata: Any = _message_class("TaggedRunMetadata")
