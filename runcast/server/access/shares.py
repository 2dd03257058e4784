"""Share links: a run or a project, read-only, for whoever holds the link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from runcast.server.access import schema
from runcast.server.access.errors import NotFound
from runcast.server.access.names import check_label
from runcast.server.access.policy import Project, Run, ShareLink
from runcast.server.access.secrets import digest, new_secret
from runcast.server.access.tokens import check_expiry
from runcast.store import schema as store

if TYPE_CHECKING:
    from runcast.server.access.ground import Ground

__all__ = ["ShareRecord", "Shares"]

_share = schema.share.c
_run = store.run.c


@dataclass(frozen=True, slots=True)
class ShareRecord:
    """A link, but for its secret: to a run, or to a project. `project` is that of the run, too."""

    id: int
    project: str
    run: str | None
    name: str
    maker: str | None
    created: float
    expires: float | None
    used: float | None


class Shares:
    """Makes, lists and revokes links. A link opens only what its maker may still share (see `identify`)."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def create(
        self, target: Project | Run, maker: int | None, name: str = "", *, expires: float | None = None
    ) -> tuple[ShareRecord, str]:
        """Make a link; return it with its secret, which nobody can read again."""
        is_run = isinstance(target, Run)
        values = {
            "run": target.id if isinstance(target, Run) else None,
            "project": None if isinstance(target, Run) else target.name,
            "user": maker,
            "name": check_label(name or ("a run" if is_run else "a project"), "a share"),
            "created": self._ground.now(),
            "expires": check_expiry(expires, self._ground.now()),
        }
        secret = new_secret("rcs_")
        with self._ground.grant() as connection:
            made = connection.execute(schema.share.insert().values(digest=digest(secret), **values))
            (key,) = made.inserted_primary_key or (None,)
            row = connection.execute(_select().where(_share.id == key)).one()
        return _record(row), secret

    def all(self, target: Project | Run | None = None) -> list[ShareRecord]:
        """Return the links to a run, to a project and its runs, or to anything, newest first."""
        statement = _select().order_by(_share.id.desc())
        match target:
            case Run():
                statement = statement.where(_share.run == target.id)
            case Project():
                statement = statement.where(or_(_share.project == target.name, _run.project == target.name))
        with self._ground.read() as connection:
            return [_record(row) for row in connection.execute(statement)]

    def find(self, share: int) -> ShareLink:
        """Return a link as a resource. Raises `NotFound`."""
        with self._ground.read() as connection:
            row = connection.execute(_select().where(_share.id == share)).first()
        if row is None:
            raise NotFound(f"there is no share {share}")
        target = Project(row.project) if row.run is None else Run(row.run, row.run_project or "")
        return ShareLink(share, target, row.user)

    def revoke(self, share: int) -> None:
        """Make a link worthless. Raises `NotFound`."""
        with self._ground.change() as connection:
            if not connection.execute(schema.share.delete().where(_share.id == share)).rowcount:
                raise NotFound(f"there is no share {share}; `runcast share list` shows which there are")


def _select() -> Any:
    columns = (schema.share, schema.user.c.name.label("maker"), _run.project.label("run_project"))
    maker = schema.share.outerjoin(schema.user, schema.user.c.id == _share.user)
    return select(*columns).select_from(maker.outerjoin(store.run, _run.id == _share.run))


def _record(row: Any) -> ShareRecord:
    project = row.project if row.run is None else row.run_project or ""
    return ShareRecord(row.id, project, row.run, row.name, row.maker, row.created, row.expires, row.used)
