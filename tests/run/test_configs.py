"""Configs of the libraries that users have: what is recorded of each, and what of it is left as the user wrote it."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import json
from pathlib import Path
from typing import Any

import attrs
import pydantic
import pytest
from absl import flags
from ml_collections import config_dict
from omegaconf import MISSING, OmegaConf

import runcast
from runcast.run.config import as_mapping
from runcast.run.plain import plain
from runcast.run.redact import without_secrets


class Kind(enum.Enum):
    SGD = "sgd"


EXPECTED = {
    "lr": 0.1,
    "kind": "Kind.SGD",
    "data": "/data/x",
    "layers": [1, [2, 3], {"a": [4, 5]}],
    "api_key": "REDACTED",
    "inner": {"password": "REDACTED", "depth": 3},
}
LAYERS = [1, [2, 3], {"a": [4, 5]}]
INNER = {"password": "hunter2", "depth": 3}


@dataclasses.dataclass
class Options:
    lr: float = 0.1
    kind: Kind = Kind.SGD
    data: Path = Path("/data/x")
    layers: list[Any] = dataclasses.field(default_factory=lambda: LAYERS)
    api_key: str = "hunter2"
    inner: dict[str, Any] = dataclasses.field(default_factory=lambda: INNER)
    later: int = dataclasses.field(init=False)


@attrs.define
class AttrsInner:
    password: str = "hunter2"
    depth: int = 3


@attrs.define
class AttrsOptions:
    lr: float = 0.1
    kind: Kind = Kind.SGD
    data: Path = Path("/data/x")
    layers: list[Any] = attrs.field(factory=lambda: LAYERS)
    api_key: str = "hunter2"
    inner: AttrsInner = attrs.field(factory=AttrsInner)
    later: int = attrs.field(init=False)


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    lr: float = 0.1
    kind: Kind = Kind.SGD
    data: Path = Path("/data/x")
    layers: list[Any] = LAYERS
    api_key: pydantic.SecretStr = pydantic.SecretStr("hunter2")


class PlainClass:
    lr = 0.1
    kind = Kind.SGD
    data = Path("/data/x")
    layers = LAYERS
    api_key = "hunter2"
    inner = INNER
    _private = object()

    def method(self):
        """No value."""


class PlainObject(PlainClass):
    lr = 7.0

    def __init__(self):
        self.lr = 0.1


def absl_flags():
    values = flags.FlagValues()
    flags.DEFINE_float("lr", 0.1, "", flag_values=values)
    flags.DEFINE_enum_class("kind", Kind.SGD, Kind, "", flag_values=values)
    flags.DEFINE_string("data", "/data/x", "", flag_values=values)
    flags.DEFINE_string("api_key", "hunter2", "", flag_values=values)
    values(["train.py"])
    return values


CONFIGS = {
    "argparse": lambda: argparse.Namespace(
        lr=0.1,
        kind=Kind.SGD,
        data=Path("/data/x"),
        layers=LAYERS,
        api_key="hunter2",
        inner=argparse.Namespace(**INNER),
    ),
    "dataclass": Options,
    "attrs": AttrsOptions,
    "pydantic": lambda: Model(inner=INNER),
    "a class": lambda: PlainClass,
    "an object": PlainObject,
    "ml_collections": lambda: config_dict.ConfigDict({**vars(Options()), "data": "/data/x"}),
    "omegaconf": lambda: OmegaConf.create(
        {**vars(Options()), "inner": {"password": "hunter2", "depth": "${len}"}, "len": 3}
    ),
}


@pytest.mark.parametrize("library", CONFIGS)
def test_a_librarys_config(library):
    """Nested values, enums, paths and lists are recorded as they are; secrets are not, and what was never set is left out."""
    recorded = without_secrets(plain(as_mapping(CONFIGS[library]())))
    recorded.pop("len", None)
    assert json.loads(json.dumps(recorded)) == EXPECTED


def test_flags_of_absl():
    """absl's flags are a config by their names."""
    recorded = without_secrets(plain(as_mapping(absl_flags())))
    assert {name: recorded[name] for name in ("lr", "kind", "data", "api_key")} == {
        name: EXPECTED[name] for name in ("lr", "kind", "data", "api_key")
    }


def test_interpolations_and_missing_values_of_omegaconf():
    """What can be resolved is; one that leads nowhere, or to what is missing, stays as it was written, alone."""

    @dataclasses.dataclass
    class Structured:
        lr: float = 0.1
        twice: float = "${lr}"
        missing: int = MISSING
        of_missing: int = "${missing}"
        nowhere: str = "${oc.env:RUNCAST_NOT_THERE}"
        nested: Any = dataclasses.field(default_factory=lambda: ["${lr}", {"x": "${..nope}", "y": ["${lr}"]}])

    recorded = plain(as_mapping(OmegaConf.structured(Structured)))
    assert recorded == {
        "lr": 0.1,
        "twice": 0.1,
        "missing": "???",
        "of_missing": "${missing}",
        "nowhere": "${oc.env:RUNCAST_NOT_THERE}",
        "nested": [0.1, {"x": "${..nope}", "y": [0.1]}],
    }
    config = OmegaConf.create({"model": {"width": "${size}"}, "size": 3, "sizes": [1, "${size}"]})
    assert plain({"part": config.model, "list": config.sizes}) == {"part": {"width": 3}, "list": [1, 3]}


def test_placeholders_of_ml_collections():
    """A placeholder that is to be set is None, one that must be says so; references are their values."""
    config = config_dict.ConfigDict({"size": 3})
    config.twice = config.get_ref("size") * 2
    config.open = config_dict.placeholder(int)
    config.must = config_dict.required_placeholder(int)
    assert plain(as_mapping(config)) == {"size": 3, "twice": 6, "open": None, "must": "<RequiredValueError>"}


def test_what_cannot_be_recorded():
    """Objects that fail when they are asked, or say too much, cost their own entry only; a list is no config."""

    class Broken:
        def __repr__(self):
            raise RuntimeError

    class Verbose:
        def __repr__(self):
            return "x" * 100_000

    recorded = plain(
        {
            "broken": Broken(),
            "large": 10**5000,
            "verbose": Verbose(),
            "function": test_what_cannot_be_recorded,
            "ok": 1,
        }
    )
    assert recorded["broken"] == "<Broken: RuntimeError>"
    assert json.loads(json.dumps(recorded))["large"].startswith("0x")
    assert len(recorded["verbose"]) < 11_000
    assert recorded["ok"] == 1
    for config in ([1, 2], OmegaConf.create([1, 2]), 3, "text", object()):
        with pytest.raises(runcast.errors.SettingsError, match="it must be a mapping"):
            runcast.init(mode="disabled", config=config)
