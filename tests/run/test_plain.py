from __future__ import annotations

import argparse
import dataclasses
import enum
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from runcast.run.config import Config, as_mapping
from runcast.run.plain import flatten, number, plain


@dataclasses.dataclass
class Options:
    rate: float
    layers: tuple[int, ...]


class Kind(enum.Enum):
    SGD = "sgd"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1.0),
        (3, 3.0),
        (Fraction(1, 2), 0.5),
        (np.float32(0.5), 0.5),
        (np.array(0.5), 0.5),
        (np.array([0.5]), 0.5),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (torch.tensor([[0.5]]), 0.5),
        (math.inf, math.inf),
    ],
)
def test_numbers(value, expected):
    """run.log takes whatever is one number, NumPy's and torch's included."""
    assert number(value) == expected


@pytest.mark.parametrize(
    "value", [None, "0.5", [0.5], np.zeros(2), torch.zeros(2), 1j, object(), torch.zeros(0)]
)
def test_what_is_no_number(value):
    """A text, a list, an array of several: no number."""
    assert number(value) is None


def test_flatten():
    """Nested dicts become tags with slashes."""
    assert dict(flatten({"train": {"loss": 1, "by": {3: 2}}, "x": 0})) == {
        "train/loss": 1,
        "train/by/3": 2,
        "x": 0,
    }


def test_any_config_can_be_recorded():
    """Whatever users put into a config ends up as JSON: numbers as numbers, structures as structures, the rest as text."""
    value = {
        "options": Options(0.1, (1, 2)),
        "np": np.float32(0.5),
        "n": np.int64(3),
        "kind": Kind.SGD,
        "path": Path("data"),
        7: {"set": {1}},
        "none": None,
    }
    assert json.loads(json.dumps(plain(value))) == {
        "options": {"rate": 0.1, "layers": [1, 2]},
        "np": 0.5,
        "n": 3,
        "kind": "Kind.SGD",
        "path": "data",
        "7": {"set": [1]},
        "none": None,
    }


def test_a_config_that_contains_itself():
    """A cycle does not hang or crash the start of a training."""
    config = {"lr": 0.1}
    config["self"] = config
    assert json.dumps(plain(config))


def test_config_records_changes():
    """Changes of run.config are recorded, whichever way they are written; it reads as a dict and by attribute."""
    recorded = []
    config = Config({"lr": 0.1}, recorded.append)
    config["epochs"] = 3
    config.batch = np.int64(32)
    config.update({"a": 1}, b=2)
    assert recorded == [{"epochs": 3}, {"batch": 32}, {"a": 1, "b": 2}]
    assert (config.lr, config["epochs"], dict(config)["b"], len(config)) == (0.1, 3, 2, 5)
    with pytest.raises(AttributeError, match="the run's config has no 'rate'; it has: lr, epochs"):
        _ = config.rate


def test_configs_that_users_pass():
    """A config may be a mapping, an argparse.Namespace, or nothing."""
    assert as_mapping(argparse.Namespace(lr=0.1)) == {"lr": 0.1}
    assert as_mapping(None) == {}
    assert as_mapping([("lr", 0.1)]) == {"lr": 0.1}
