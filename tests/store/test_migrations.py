"""Stores of older versions, newer ones, and what the tables must look like."""

from __future__ import annotations

import math
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from runcast.errors import StoreError
from runcast.store import schema
from runcast.store.local import LocalStore
from runcast.store.migrations import LOCATION, upgrade
from runcast.store.protocol import RunQuery
from runcast.store.query import parse_filters

FIRST = Path(__file__).parent / "data" / "store-1"
"""A store that was recorded into before there were migrations, by the code of then, and its only event file."""

RUN, FILE = "aaaaaaaaaaaaaaaa", "files/logs/train/events.out.tfevents.1.lab"


@pytest.fixture
def old(tmp_path):
    """A folder of a user who upgrades."""
    place = tmp_path / "store"
    file = place / "runs" / RUN / FILE
    file.parent.mkdir(parents=True)
    shutil.copy(FIRST / file.name, file)
    with closing(sqlite3.connect(place / "store.db")) as connection:
        connection.executescript((FIRST / "store.sql").read_text())
    return place


def test_a_store_of_before_is_brought_up_to_date(old):
    """All that was recorded is there, can be searched for, and is gone on with."""
    with LocalStore(old, clock=lambda: 1_760_000_301.0) as store:
        assert [run.name for run in store.runs()] == ["second", "first"]
        first = store.run(RUN)
        assert (first.state, first.config["layers"], first.heartbeat) == (
            "running",
            [64, 10],
            1_760_000_300.0,
        )
        accuracy, loss = store.series(RUN)
        assert (loss.count, loss.last_step, loss.min) == (11, 10, 1 / 11)
        assert math.isnan(accuracy.last)
        found = store.points(RUN, "logs", "train", "loss")
        assert found.value.tolist()[:6] == [1, 1 / 2, 1 / 5, 1 / 6, 1 / 5, 1 / 6]
        (file,) = store.files(RUN)
        assert file.source_path == "/home/ana/logs"
        data = (FIRST / Path(FILE).name).read_bytes()
        assert 0 < file.size < len(data)
        for filters in (
            "config.optimizer.name = adam and tags contains night",
            "summary.best = 0.5",
            "summary.train/loss < 1",
        ):
            found = store.runs(RunQuery("digits", filters=parse_filters(filters)))
            assert [run.id for run in found] == [RUN], filters
        mark, changed = store.changes(0)
        assert len(changed) == 2
        assert store.append(RUN, FILE, file.size, data[file.size :]).size == len(data)
        assert store.changes(mark)[1] == [RUN]
    with LocalStore(old) as store:
        assert store.series(RUN)[0].max == 2.0


def test_a_store_of_before_is_brought_up_to_date_once(old):
    """Several processes may meet it at the same time."""
    program = "import sys, runcast.store; runcast.store.open(sys.argv[1]).close()"
    processes = [subprocess.Popen([sys.executable, "-c", program, old]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0] * 3
    with LocalStore(old) as store:
        assert len(store.runs()) == 2


def test_opening_a_store_imports_no_migrations(tmp_path):
    """The recorder's start does not pay for them, be the store new or up to date."""
    program = "import sys, runcast.store; runcast.store.open(sys.argv[1]).close(); assert 'alembic' not in sys.modules"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program, tmp_path / "store"], check=True)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_newer_schema_is_left_alone(place, database, store):
    """An older runcast says that the store needs a newer one, and touches nothing; what was only added is no obstacle."""
    version = sa.table("store_version", sa.column("version_num"))
    with store.database.write() as connection:
        connection.execute(version.update().values(version_num="0099"))
    LocalStore(place, database=database).close()
    with store.database.write() as connection:
        connection.execute(schema.store.update().values(schema=99))
    with pytest.raises(StoreError, match=r"newer runcast \(schema 99.*pip install --upgrade runcast"):
        LocalStore(place, database=database)


def differ(context, _reflected, _known, found, wanted):
    """Whether texts differ in their collation, which Alembic does not look at; None where it is to say."""
    sql = wanted.compile(context.dialect)
    return found.compile(context.dialect) != sql if "COLLATE" in sql else None


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_the_migrations_make_the_tables_that_the_code_knows(tmp_path, database, postgresql_url):
    """A store that was brought up to date is as a new one."""
    assert ScriptDirectory(str(LOCATION)).get_current_head() == schema.REVISION
    url = "sqlite://" if database is None else postgresql_url.replace("postgresql:", "postgresql+psycopg:")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, schema.VERSION_TABLE)
        options = {
            "version_table": schema.VERSION_TABLE,
            "compare_server_default": True,
            "compare_type": differ,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []
        assert connection.scalar(sa.select(schema.store.c.schema)) == schema.SCHEMA
    engine.dispose()
