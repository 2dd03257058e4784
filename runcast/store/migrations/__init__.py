"""Changes of tables, by Alembic: one module in `versions` for each, which never changes once it has been released.

They run when a store is opened, all in one transaction. They are imported only where there is something to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["LOCATION", "upgrade"]

LOCATION = Path(__file__).parent
"""The folder of the store's own."""


def upgrade(connection: Connection, version_table: str, location: Path = LOCATION) -> None:
    """Bring tables up to date by the migrations in `location`/versions, in the connection's transaction.

    `version_table` says how far they are. Nobody else may change them meanwhile.
    """
    scripts = ScriptDirectory(str(location))

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 - as Alembic's own commands do

    options = {"version_table": version_table, "fn": steps, "script": scripts}
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context):
        context.run_migrations()
