"""Choosing among names, by pattern and by guess."""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["chosen", "near"]

_SHOWN = 5


def chosen(names: Iterable[str], wanted: str | Sequence[str] | None) -> list[str]:
    """Return the names that are wanted: all for None, else those that equal or match (`*`, `?`, `[…]`) one of what is given."""
    if wanted is None:
        return list(names)
    patterns = [wanted] if isinstance(wanted, str) else list(wanted)
    return [name for name in names if any(name == each or fnmatchcase(name, each) for each in patterns)]


def near(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that says what `name` may have meant."""
    there = sorted(set(names))
    alike = get_close_matches(name, there, _SHOWN, 0.5)
    alike += [each for each in there if name.lower() in each.lower() and each not in alike][
        : _SHOWN - len(alike)
    ]
    if alike:
        return "; did you mean " + " or ".join(map(repr, alike)) + "?"
    if not there:
        return "; there is none"
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    return "; there are " + ", ".join(map(repr, there[:_SHOWN])) + more
