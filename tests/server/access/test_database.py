"""Access on the databases that a store may have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from runcast.run.record import RunRecord
from runcast.server.access import Access, Project, Role, Run, Scope, Standing, schema
from runcast.server.access.errors import Conflict, Unauthorized
from runcast.server.access.identify import identify
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "correct horse battery"
RUN = "aaaaaaaaaaaaaaaa"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalStore]:
    """A store on each database, with a run."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    with LocalStore(tmp_path, database=url, own_in_place=False) as made:
        made.create(RunRecord(RUN, "group/vision", "first", "running", 1e9))
        yield made


def test_the_migrations_make_the_tables_that_the_code_knows(store: LocalStore) -> None:
    """A server that was brought up to date is as a new one, and starting it again changes nothing."""
    assert ScriptDirectory(str(schema.LOCATION)).get_current_head() == schema.REVISION
    with ThreadPoolExecutor(4) as starts:
        list(starts.map(lambda _: Access(store.database), range(4)))  # replicas that start at once
    ours = {table.name for table in schema.metadata.sorted_tables}
    engine = sa.create_engine(store.database.engine.url)
    with engine.connect() as connection:
        options = {
            "version_table": schema.VERSION_TABLE,
            "compare_type": True,
            "include_object": lambda thing, name, kind, *_: kind != "table" or name in ours,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []
        assert sa.inspect(connection).has_table(schema.VERSION_TABLE)
    engine.dispose()


def test_users_tokens_projects_and_links(store: LocalStore) -> None:
    """Whoever may do what is kept in the store's own database, whichever that is."""
    access = Access(store.database)
    boss = access.users.take(access.users.setup_link(), PASSWORD, "boss")
    ada, link = access.users.add("ada")
    with pytest.raises(Conflict):
        access.users.add("Ada")
    assert access.users.take(link, PASSWORD) == ada.id
    with pytest.raises(Unauthorized):
        access.users.take(link, PASSWORD)
    login = access.sessions.log_in("ada", PASSWORD, "192.0.2.1")
    ground = access._ground
    assert identify(ground, "rcx_", login.secret).actor.id == ada.id

    assert [(each.name, each.created, each.runs) for each in access.projects.all()] == [
        ("group/vision", None, 1)
    ]
    assert access.projects.known("group/vision") == Project("group/vision", known=True)
    assert access.projects.known("nul\0") == Project("nul\0", known=False)
    assert access.projects.of_run(RUN) == Run(RUN, "group/vision")
    assert access.projects.of_run("no\0thing") is None
    access.projects.set_role("group/vision", ada.id, Role.OWNER)
    assert access.projects.make("group/vision", boss) is False
    access.projects.set_visibility("group/vision", "server")
    with pytest.raises(Conflict):
        access.projects.remove("group/vision")

    token, secret = access.tokens.create(ada.id, "gpu box", Scope.WRITE, project="group/vision", expires=4e9)
    actor = identify(ground, "rc_", secret).actor
    assert (actor.user.roles, actor.project) == ({"group/vision": Role.OWNER}, "group/vision")
    assert access.tokens.all(ada.id)[0].used is not None
    share, secret = access.shares.create(Run(RUN, "group/vision"), ada.id)
    assert identify(ground, "rcs_", secret).actor.target == Run(RUN, "group/vision")
    assert [each.run for each in access.shares.all(Project("group/vision"))] == [RUN]
    assert access.shares.find(share.id).maker == ada.id
    access.shares.revoke(share.id)
    access.tokens.revoke(token.id)
    access.users.set_standing("ada", Standing.GUEST)
    access.users.remove("ada")
    assert [each.name for each in access.users.all()] == ["boss"]
    with pytest.raises(Unauthorized):
        identify(ground, "rcx_", login.secret)


def test_what_happens_at_once_happens_once(store: LocalStore) -> None:
    """Of many who name a new project, take a link or make the first account at the same moment, one succeeds."""
    access = Access(store.database)
    secret = access.users.setup_link()

    def tried(function: object, *arguments: object) -> bool:
        try:
            return function(*arguments) is not False
        except (Unauthorized, Conflict):
            return False

    with ThreadPoolExecutor(8) as together:
        done = together.map(lambda n: tried(access.users.take, secret, PASSWORD, f"boss{n}"), range(8))
        assert sum(done) == 1
        done = together.map(lambda _: tried(access.users.add, "ada"), range(8))
        assert sum(done) == 1
        ada = access.users.find("ada").id
        done = together.map(lambda _: tried(access.projects.make, "new", ada), range(8))
        assert sum(done) == 1
    assert len(access.users.all()) == 2
    assert [each.user for each in access.projects.members("new")] == ["ada"]
