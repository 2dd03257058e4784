"""Users' values as the journal and the event files hold them: plain JSON values, and numbers.

Objects of libraries (OmegaConf, attrs, pydantic) are known by what they have; none of these libraries is ever imported.
"""

from __future__ import annotations

import dataclasses
import numbers
import os
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["fields_of", "flatten", "number", "plain"]

DEEPEST = 20
"""Levels of nesting that are kept; what lies below (a cycle, as a rule) becomes text."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON can hold it: NumPy scalars as numbers, mappings and dataclasses as objects, the rest as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth < DEEPEST:
        if (fields := fields_of(value)) is not None:
            return {str(key): plain(item, depth + 1) for key, item in fields.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [plain(item, depth + 1) for item in value]
        if (items := _list_of_omegaconf(value)) is not None:
            return [plain(item, depth + 1) for item in items]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return plain(value.item(), depth + 1)
    return str(value)


def fields_of(value: Any) -> Mapping[Any, Any] | None:
    """Return the names and values that an object is made of; None for one that is not known to be made of such.

    Known are mappings, dataclasses, `argparse.Namespace`, `SimpleNamespace`, OmegaConf's configs (their interpolations
    resolved), attrs classes, pydantic models, and whatever says itself what it is with `to_dict()`.
    """
    if isinstance(value, type):
        return None
    if (container := _container_of_omegaconf(value)) is not None:
        return container if isinstance(container, Mapping) else None
    if isinstance(value, Mapping):
        return value
    argparse = sys.modules.get("argparse")
    if isinstance(value, types.SimpleNamespace) or (argparse and isinstance(value, argparse.Namespace)):
        return vars(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    kind = type(value)
    if isinstance(attributes := getattr(kind, "__attrs_attrs__", None), tuple):
        return {attribute.name: getattr(value, attribute.name) for attribute in attributes}
    for declared in ("model_fields", "__fields__"):  # pydantic 2, pydantic 1
        if isinstance(names := getattr(kind, declared, None), Mapping):
            extra = getattr(value, "__pydantic_extra__", None) or {}
            return {**{name: getattr(value, name) for name in names}, **extra}
    for says in ("to_dict", "flag_values_dict"):
        if callable(says_itself := getattr(kind, says, None)) and not hasattr(kind, "shape"):  # no data frame
            said = says_itself(value)
            return said if isinstance(said, Mapping) else None
    return None


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


def _container_of_omegaconf(value: Any) -> Any:
    """Return what an OmegaConf config holds as a dict or list; None for anything else."""
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is None or not omegaconf.OmegaConf.is_config(value):
        return None
    try:
        return omegaconf.OmegaConf.to_container(value, resolve=True)
    except omegaconf.errors.OmegaConfBaseException:  # an interpolation that leads nowhere
        return omegaconf.OmegaConf.to_container(value, resolve=False)


def _list_of_omegaconf(value: Any) -> list[Any] | None:
    items = _container_of_omegaconf(value)
    return items if isinstance(items, list) else None
