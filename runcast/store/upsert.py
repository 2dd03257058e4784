"""Inserting rows that may be there already, on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable, Table

__all__ = ["Upsert"]


class Upsert:
    """A statement that inserts rows, or gives those that are there the new values; with `keep`, leaves them as they are.

    SQLAlchemy has one statement for each database; both are made once, for making one takes longer than running it.
    """

    def __init__(self, table: Table, *, keep: bool = False, **values: Any) -> None:
        """`values` are expressions for columns that the rows do not give."""
        self._statements: dict[str, Executable] = {}
        for dialect in (sqlite, postgresql):
            statement = dialect.insert(table)
            if values:
                statement = statement.values(values)
            new = {
                column.name: statement.excluded[column.name] for column in table.c if not column.primary_key
            }
            self._statements[dialect.__name__.rpartition(".")[2]] = (
                statement.on_conflict_do_nothing().execution_options(preserve_rowcount=True)
                if keep  # SQLAlchemy counts inserted rows on request only
                else statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=new)
            )

    def on(self, connection: Connection) -> Executable:
        """Return the statement for the connection's database."""
        return self._statements[connection.dialect.name]
