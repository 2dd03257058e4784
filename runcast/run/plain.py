"""Users' values as the journal and the event files hold them: plain JSON values, and numbers.

Objects of libraries (OmegaConf, attrs, pydantic) are known by what they have; none of these libraries is ever imported.
"""

from __future__ import annotations

import dataclasses
import numbers
import os
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["attributes_of", "fields_of", "flatten", "number", "plain"]

DEEPEST = 20
"""Levels of nesting that are kept; what lies below (a cycle, as a rule) becomes text."""

LARGEST_BITS = 1024
"""Bits of the largest integer that is written as such; Python itself refuses to write much larger ones."""

LONGEST_TEXT = 10_000
"""Letters that are kept of what an object says of itself; texts are kept whole."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON can hold it: NumPy scalars as numbers, mappings and dataclasses as objects, the rest as text.

    Never raises: what cannot be asked for its value is text that says so.
    """
    if value is None or isinstance(value, (bool, float, str)):
        return value
    try:
        if isinstance(value, int):
            return value if value.bit_length() <= LARGEST_BITS else f"{value:#x}"
        return _plain(value, depth)
    except Exception as error:  # noqa: BLE001  a user's object may do anything
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _plain(value: Any, depth: int) -> Any:
    if depth < DEEPEST:
        if (fields := fields_of(value)) is not None:
            return {str(key): plain(item, depth + 1) for key, item in fields.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [plain(item, depth + 1) for item in value]
        if _is_omegaconf(value):
            return plain(_resolved(value), depth + 1)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return plain(value.item(), depth + 1)
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def fields_of(value: Any) -> Mapping[Any, Any] | None:
    """Return the names and values that an object is made of; None for one that is not known to be made of such.

    Known are mappings, dataclasses, `argparse.Namespace`, `SimpleNamespace`, OmegaConf's configs (their interpolations
    resolved where that can be done), attrs classes, pydantic models, and whatever says itself what it is with `to_dict()`. Fields
    that were never set are left out.
    """
    if isinstance(value, type):
        return None
    if _is_omegaconf(value):
        resolved = _resolved(value)
        return resolved if isinstance(resolved, Mapping) else None
    if isinstance(value, Mapping):
        return value if isinstance(value, dict) else {key: _got(value, key) for key in value}
    argparse = sys.modules.get("argparse")
    if isinstance(value, types.SimpleNamespace) or (argparse and isinstance(value, argparse.Namespace)):
        return vars(value)
    if dataclasses.is_dataclass(value):
        return _set_ones(value, (field.name for field in dataclasses.fields(value)))
    kind = type(value)
    if isinstance(attributes := getattr(kind, "__attrs_attrs__", None), tuple):
        return _set_ones(value, (attribute.name for attribute in attributes))
    for declared in ("model_fields", "__fields__"):  # pydantic 2, pydantic 1
        if isinstance(names := getattr(kind, declared, None), Mapping):
            extra = getattr(value, "__pydantic_extra__", None) or {}
            return {**_set_ones(value, names), **extra}
    if hasattr(kind, "shape"):  # a data frame
        return None
    if callable(getattr(kind, "keys", None)) and hasattr(kind, "__getitem__"):
        return {key: _got(value, key) for key in value.keys()}  # noqa: SIM118  there may be no iterator, as in ml_collections
    for says in ("to_dict", "flag_values_dict"):
        if callable(says_itself := getattr(kind, says, None)):
            said = says_itself(value)
            return said if isinstance(said, Mapping) else None
    return None


def attributes_of(value: Any) -> dict[str, Any]:
    """Return the public attributes of a class or of an object, those of its class included, that are no methods: `class Config: lr = 0.1`."""
    kind = value if isinstance(value, type) else type(value)
    found = {name: each for base in reversed(kind.__mro__[:-1]) for name, each in vars(base).items()}
    if kind is not value:
        found.update(getattr(value, "__dict__", {}))
    return {
        name: each
        for name, each in found.items()
        if not name.startswith("_") and not callable(each) and not hasattr(type(each), "__get__")
    }


def number(value: Any) -> float | None:
    """Return a number, or an array or tensor of exactly one, as a float; None for what is neither."""
    if isinstance(value, numbers.Real):
        return float(value)
    item = getattr(value, "item", None)
    if callable(item):
        try:
            value = item()
        except (TypeError, ValueError, RuntimeError):  # more than one element, or none
            return None
        if isinstance(value, numbers.Real):
            return float(value)
    return None


def flatten(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings, their keys joined by `/`."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}/")
        else:
            yield name, value


def _set_ones(value: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _got(mapping: Mapping[Any, Any], key: Any) -> Any:
    try:
        return mapping[key]
    except Exception as error:  # noqa: BLE001  such as a placeholder of ml_collections that must be set first
        return f"<{type(error).__name__}>"


def _is_omegaconf(value: Any) -> bool:
    omegaconf = sys.modules.get("omegaconf")
    return omegaconf is not None and bool(omegaconf.OmegaConf.is_config(value))


def _resolved(config: Any) -> Any:
    """Return an OmegaConf config as dicts and lists; what is missing is `???`, and an interpolation that leads nowhere its text."""
    from omegaconf import OmegaConf  # it is there, if this is one of its
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:
        raw: Any = OmegaConf.to_container(config, resolve=False)
    keys = list(raw) if isinstance(raw, dict) else range(len(raw)) if isinstance(raw, list) else ()
    for key in keys:
        try:
            value = config[key]
        except OmegaConfBaseException:
            continue
        raw[key] = _resolved(value) if OmegaConf.is_config(value) else value
    return raw
