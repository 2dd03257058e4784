"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import TEXT, VARCHAR, Float, String, Text
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

__all__ = ["NUL", "Real", "RunId", "Words"]

NUL = "\U0010ffff"
"""What stands for the character NUL, which PostgreSQL's texts cannot hold: no text has this one, which is none by definition."""


class Real(TypeDecorator[float]):
    """A float64, of which NaN is kept as NULL: SQLite has no NaN, and for PostgreSQL it is greater than all else."""

    impl = Float
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:  # noqa: ARG002
        """Return what is kept."""
        return None if value is None or value != value else float(value)  # noqa: PLR0124


class Words(TypeDecorator[str]):
    """Any text, compared and ordered by its characters' numbers, wherever the database runs."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that a database has for it."""
        return TEXT(collation="C") if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what is kept."""
        if value is not None and "\0" in value and dialect.name == "postgresql":
            return value.replace("\0", NUL)
        return value

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any] | None:  # noqa: ARG002
        """Return what turns what is kept into what was given: nothing, but on PostgreSQL."""
        return _with_nul if dialect.name == "postgresql" else None


def _with_nul(kept: str | None) -> str | None:
    return kept.replace(NUL, "\0") if kept is not None and NUL in kept else kept


class RunId(TypeDecorator[str]):
    """The id of a run; see `Words`."""

    impl = String(64)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that a database has for it."""
        return VARCHAR(64, collation="C") if dialect.name == "postgresql" else String(64)
