"""What TensorBoard's hparams plugin logs: an experiment's plan, and the start and end of a session (one training).

Nothing is in the values: a tag's metadata content holds it all, an `HParamsPluginData` of
tensorboard/plugins/hparams/{plugin_data,api}.proto. `torch.utils.tensorboard` and tensorboardX log all three in `add_hparams`; Keras
and `tensorboard.plugins.hparams` log a session's start and end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Union

from google.protobuf.message import DecodeError

from runcast.errors import BadValue
from runcast.events.descriptors import Messages

__all__ = [
    "PLUGIN",
    "Experiment",
    "Hparam",
    "HparamInfo",
    "MetricInfo",
    "SessionEnd",
    "SessionStart",
    "read",
]

PLUGIN = "hparams"

Hparam = Union[None, bool, float, str, "list[Hparam]", "dict[str, Hparam]"]
"""A hyperparameter's value. Numbers are floats: the format knows no integers. Lists and dicts are allowed by it, and rare."""

_VERSION = 0

_MESSAGES = Messages(
    "runcast.hparams",
    """
message HParamsPluginData
    int32 version = 1
    data: Experiment experiment = 2
    data: SessionStartInfo session_start_info = 3
    data: SessionEndInfo session_end_info = 4

message SessionStartInfo
    repeated Entry hparams = 1
    string model_uri = 2
    string monitor_url = 3
    string group_name = 4
    double start_time_secs = 5

message SessionEndInfo
    int32 status = 1
    double end_time_secs = 2

message Experiment
    string description = 1
    string user = 2
    double time_created_secs = 3
    repeated HParamInfo hparam_infos = 4
    repeated MetricInfo metric_infos = 5
    string name = 6

message HParamInfo
    string name = 1
    string display_name = 2
    string description = 3
    int32 type = 4
    domain: ListValue domain_discrete = 5
    domain: Interval domain_interval = 6

message Interval
    double min_value = 1
    double max_value = 2

message MetricInfo
    MetricName name = 1
    string display_name = 3
    string description = 4
    int32 dataset_type = 5

message MetricName
    string group = 1
    string tag = 2

message Entry
    string key = 1
    Value value = 2

message Struct
    repeated Entry fields = 1

message ListValue
    repeated Value values = 1

message Value
    kind: int32 null_value = 1
    kind: double number_value = 2
    kind: string string_value = 3
    kind: bool bool_value = 4
    kind: Struct struct_value = 5
    kind: ListValue list_value = 6
""",
)
_PluginData = _MESSAGES["HParamsPluginData"]

_Status = Literal["unknown", "success", "failure", "running"]
_STATUS: tuple[_Status, ...] = ("unknown", "success", "failure", "running")
_Type = Literal["", "string", "bool", "float"]
_TYPES: tuple[_Type, ...] = ("", "string", "bool", "float")
_Dataset = Literal["", "training", "validation"]
_DATASETS: tuple[_Dataset, ...] = ("", "training", "validation")


@dataclass(frozen=True, slots=True)
class SessionStart:
    """A training began: `config` holds its hyperparameters, `started` is in seconds since the epoch (0.0 if it was not said).

    `group` names the session group: trainings with the same hyperparameters that TensorBoard shows as one row.
    """

    config: dict[str, Hparam]
    started: float = 0.0
    group: str = ""
    model_uri: str = ""
    monitor_url: str = ""


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """A training ended, at `ended` seconds since the epoch (0.0 if it was not said)."""

    status: _Status
    ended: float = 0.0


@dataclass(frozen=True, slots=True)
class HparamInfo:
    """A hyperparameter as the experiment declares it: its values (`choices`) or their range (`low` to `high`), where given."""

    name: str
    display_name: str = ""
    description: str = ""
    type: _Type = ""
    choices: tuple[Hparam, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A metric as the experiment declares it: scalar `tag` of the source `group` below each session's own ("" is the session's)."""

    tag: str
    group: str = ""
    display_name: str = ""
    description: str = ""
    dataset: _Dataset = ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """What several sessions have in common; `created` is in seconds since the epoch (0.0 if it was not said)."""

    name: str = ""
    description: str = ""
    user: str = ""
    created: float = 0.0
    hparams: tuple[HparamInfo, ...] = field(default=())
    metrics: tuple[MetricInfo, ...] = field(default=())


def read(content: bytes) -> SessionStart | SessionEnd | Experiment:
    """Read the plugin content of a tag's metadata (`SummaryMetadata.plugin_data.content`), whatever the tag.

    Raises `BadValue` if it is none of the three, or of a version that did not exist when this was written.
    """
    try:
        data = _PluginData.FromString(content)
    except (DecodeError, ValueError) as error:
        raise BadValue(f"the hparams plugin's content is no HParamsPluginData: {error}") from error
    if data.version != _VERSION:
        raise BadValue(
            f"the hparams plugin's content has version {data.version}; this runcast knows {_VERSION}"
        )
    what = data.WhichOneof("data")
    if what == "session_start_info":
        return _session_start(data.session_start_info)
    if what == "session_end_info":
        end = data.session_end_info
        return SessionEnd(_named(_STATUS, end.status), end.end_time_secs)
    if what == "experiment":
        return _experiment(data.experiment)
    raise BadValue("the hparams plugin's content says neither an experiment, nor a session's start or end")


def _session_start(start: Any) -> SessionStart:
    config = {entry.key: _value(entry.value) for entry in start.hparams}
    return SessionStart(config, start.start_time_secs, start.group_name, start.model_uri, start.monitor_url)


def _experiment(experiment: Any) -> Experiment:
    return Experiment(
        experiment.name,
        experiment.description,
        experiment.user,
        experiment.time_created_secs,
        tuple(map(_hparam_info, experiment.hparam_infos)),
        tuple(
            MetricInfo(
                metric.name.tag,
                metric.name.group,
                metric.display_name,
                metric.description,
                _named(_DATASETS, metric.dataset_type),
            )
            for metric in experiment.metric_infos
        ),
    )


def _hparam_info(info: Any) -> HparamInfo:
    interval = info.domain_interval if info.WhichOneof("domain") == "domain_interval" else None
    return HparamInfo(
        info.name,
        info.display_name,
        info.description,
        _named(_TYPES, info.type),
        tuple(map(_value, info.domain_discrete.values)),
        None if interval is None else interval.min_value,
        None if interval is None else interval.max_value,
    )


def _value(value: Any) -> Hparam:
    """Return the Python value of a `google.protobuf.Value`."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_value(each) for each in value.list_value.values]
    if kind == "struct_value":
        return {entry.key: _value(entry.value) for entry in value.struct_value.fields}
    if kind in {None, "null_value"}:
        return None
    plain: bool | float | str = getattr(value, kind)
    return plain


def _named(names: Any, number: int) -> Any:
    """Return an enumeration's name; a number that is newer than this code counts as the first, unknown."""
    return names[number] if 0 <= number < len(names) else names[0]
