"""Projects and their members."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import func, select

from runcast.server.access import schema
from runcast.server.access.errors import Conflict, NotFound
from runcast.server.access.ground import insert_new
from runcast.server.access.names import check_project_name, is_text
from runcast.server.access.policy import Project, Role, Run
from runcast.settings import RUN_ID
from runcast.store import schema as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from runcast.server.access.ground import Ground

__all__ = ["Member", "ProjectRecord", "Projects", "Visibility"]

Visibility = Literal["private", "server"]
"""Who may view a project without being a member: nobody, or every user of the server but guests."""

_project = schema.project.c
_member = schema.member.c
_user = schema.user.c
_run = store.run.c
_kept = store.retention.c


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project. One without `created` was never made on the server: its runs were there before, and only admins see it."""

    name: str
    visibility: Visibility
    created: float | None
    runs: int = 0
    latest: float | None = None
    """When its newest run began."""
    keep_for: float | None = None
    """Seconds after its end when a run is put into the trash; None: never."""


@dataclass(frozen=True, slots=True)
class Member:
    """A user, and what it is in a project."""

    user: str
    role: Role


class Projects:
    """Who may see which runs. A run names its project; where nobody made that, its runs are the admins' alone."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def of_run(self, run: str) -> Run | None:
        """Return a run with its project, None if there is no such run."""
        if not RUN_ID.fullmatch(run):
            return None
        with self._ground.read() as connection:
            found = connection.execute(select(_run.project, _run.trashed).where(_run.id == run)).first()
        return None if found is None else Run(run, found.project, trashed=found.trashed is not None)

    def known(self, name: str) -> Project:
        """Return a project as a resource, saying whether anyone made it, or a run is in it."""
        if not is_text(name):
            return Project(name, known=False)
        with self._ground.read() as connection:
            found = connection.execute(select(_project.name).where(_project.name == name)).first()
            if found is None:
                found = connection.execute(select(_run.id).where(_run.project == name).limit(1)).first()
        return Project(name, known=found is not None)

    def all(self, names: frozenset[str] | None = None) -> list[ProjectRecord]:
        """Return the projects of these names, or all, by name."""
        made = select(schema.project)
        used = select(_run.project, func.count(), func.max(_run.created)).group_by(_run.project)
        used = used.where(_run.trashed.is_(None))
        if names is not None:
            made, used = made.where(_project.name.in_(names)), used.where(_run.project.in_(names))
        with self._ground.read() as connection:
            found = {row.name: _record(row) for row in connection.execute(made)}
            for name, runs, latest in connection.execute(used):
                project = found.get(name) or ProjectRecord(name, "private", None)
                found[name] = replace(project, runs=runs, latest=latest)
            for name, age in connection.execute(select(_kept.project, _kept.age)):
                if name in found:
                    found[name] = replace(found[name], keep_for=age)
        return [found[name] for name in sorted(found)]

    def make(self, name: str, owner: int, visibility: Visibility = "private") -> bool:
        """Make a project with its owner; say whether it is new. One that is there stays as it is."""
        values = {"name": check_project_name(name), "visibility": visibility, "created": self._ground.now()}
        with self._ground.grant() as connection:
            new = insert_new(connection, schema.project, values)
            if new:
                connection.execute(schema.member.insert().values(project=name, user=owner, role=Role.OWNER))
        return new

    def set_visibility(self, name: str, visibility: Visibility) -> None:
        """Let every user of the server view a project, or its members only."""
        with self._ground.change() as connection:
            self._adopt(connection, name)
            changed = schema.project.update().where(_project.name == name)
            connection.execute(changed.values(visibility=visibility))

    def keep_for(self, name: str, age: float | None) -> None:
        """Let runs be put into the trash so many seconds after they ended; None: never."""
        with self._ground.change() as connection:
            self._adopt(connection, name)
            connection.execute(store.retention.delete().where(_kept.project == name))
            if age is not None:
                connection.execute(store.retention.insert().values(project=name, age=age))

    def remove(self, name: str) -> None:
        """Remove a project, its members and its shares. Raises `Conflict` while there are runs in it, trash included."""
        with self._ground.change() as connection:
            if connection.execute(select(_run.id).where(_run.project == name).limit(1)).first() is not None:
                raise Conflict(f"there are runs in project {name!r}; delete them first")
            connection.execute(schema.member.delete().where(_member.project == name))
            connection.execute(schema.share.delete().where(schema.share.c.project == name))
            connection.execute(store.retention.delete().where(_kept.project == name))
            connection.execute(schema.project.delete().where(_project.name == name))

    # Members.

    def members(self, name: str) -> list[Member]:
        """Return a project's members, by name."""
        statement = select(_user.name, _member.role).join(schema.user, _user.id == _member.user)
        with self._ground.read() as connection:
            rows = connection.execute(statement.where(_member.project == name).order_by(_user.name))
            return [Member(row.name, Role(row.role)) for row in rows]

    def set_role(self, name: str, user: int, role: Role | None) -> None:
        """Make a user a member in a role, or no member (None).

        Raises `NotFound` if it is none anyway, and `Conflict` for the last owner.
        """
        with self._ground.change() as connection:
            self._adopt(connection, name)
            mine = (_member.project == name) & (_member.user == user)
            before = connection.scalar(select(_member.role).where(mine))
            if before is None and role is None:
                raise NotFound(f"this user is no member of project {name!r}")
            owners = select(func.count()).where(_member.project == name, _member.role == Role.OWNER)
            if before == Role.OWNER != role and connection.scalar(owners) == 1:
                raise Conflict(
                    f"this is the only owner of project {name!r}; make someone else an owner first"
                )
            connection.execute(schema.member.delete().where(mine))
            if role is not None:
                connection.execute(schema.member.insert().values(project=name, user=user, role=role))

    def _adopt(self, connection: Connection, name: str) -> None:
        """Make a project of one that has runs only, when an admin first decides about it."""
        values = {"name": name, "visibility": "private", "created": self._ground.now()}
        insert_new(connection, schema.project, values)


def _record(row: Any) -> ProjectRecord:
    return ProjectRecord(row.name, "server" if row.visibility == "server" else "private", row.created)
