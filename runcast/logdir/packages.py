"""Packages that are used where they are installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from runcast.errors import MissingPackage

__all__ = ["pandas", "pyarrow"]


def pandas() -> Any:
    """Return the module pandas. Raises `MissingPackage`."""
    return _imported("pandas", "pandas")


def pyarrow() -> Any:
    """Return the module pyarrow. Raises `MissingPackage`."""
    return _imported("pyarrow", "arrow")


def _imported(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackage(f'this needs {name}: pip install "runcast[{extra}]"') from error
