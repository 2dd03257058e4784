"""The protobuf messages of event files, built at import from the schema below (see `descriptors.py`).

Fields that the schema does not name pass through untouched. One field is our own: `Value.exact_value`, see `writer.py`.
"""

from __future__ import annotations

from typing import Any

from runcast.events.descriptors import Messages

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
    bytes float8_val = 18
"""

_MESSAGES = Messages("runcast.events", _SCHEMA)

Event: Any = _MESSAGES["Event"]
Summary: Any = _MESSAGES["Summary"]
Value: Any = _MESSAGES["Value"]
Image: Any = _MESSAGES["Image"]
Audio: Any = _MESSAGES["Audio"]
HistogramProto: Any = _MESSAGES["HistogramProto"]
SummaryMetadata: Any = _MESSAGES["SummaryMetadata"]
TensorProto: Any = _MESSAGES["TensorProto"]
SessionLog: Any = _MESSAGES["SessionLog"]
TaggedRunMetadata: Any = _MESSAGES["TaggedRunMetadata"]
