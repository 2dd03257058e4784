"""Users' values as the journal and the event files hold them: plain JSON values, and numbers."""

from __future__ import annotations

import dataclasses
import numbers
import os
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["flatten", "number", "plain"]

DEEPEST = 20
"""Levels of nesting that are kept; what lies below (a cycle, as a rule) becomes text."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON can hold it: NumPy scalars as numbers, mappings and dataclasses as objects, the rest as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth < DEEPEST:
        if isinstance(value, Mapping):
            return {str(key): plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [plain(item, depth + 1) for item in value]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return {name: plain(getattr(value, name), depth + 1) for name in names}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return plain(value.item(), depth + 1)
    return str(value)


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
