"""Every store that there is, each tried with the same tests."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest

from runcast.run.record import RunRecord, new_run_id
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from runcast.store.protocol import Store

STORES = ["sqlite", "postgresql", "postgresql+s3", "postgresql+azure", "postgresql+gcs", "remote+s3"]
if "RUNCAST_TEST_BUCKET" in os.environ:  # a real one, such as `tests/store/ceph/start.sh` starts
    STORES.append("postgresql+bucket")


@pytest.fixture(scope="session")
def bucket():
    """The bucket that somebody else has started; it is made if it is not there."""
    import boto3

    where, _, options = os.environ["RUNCAST_TEST_BUCKET"].partition("?")
    client = boto3.client("s3", endpoint_url=dict(parse_qsl(options))["endpoint"], region_name="us-east-1")
    client.create_bucket(Bucket=urlsplit(where).netloc)
    return SimpleNamespace(address=lambda: f"{where}/{new_run_id()}?{options}")


@dataclass
class Kept:
    """A store, and the one behind it where it is remote."""

    store: Store
    local: LocalStore

    def settle(self):
        """Make objects of what is in the tails, where files are in a bucket."""
        if self.local._sealer is not None:
            self.local._sealer.sweep(everything=True)


@pytest.fixture(scope="session", params=STORES)
def kept(request, tmp_path_factory):
    """One store of each kind for all tests, which use runs and projects of their own."""
    options = {}
    databases = None
    if request.param != "sqlite":
        databases = request.getfixturevalue("postgresql").database()
        options["database"] = databases.__enter__()
    if "+" in request.param:
        options["files"] = request.getfixturevalue(request.param.partition("+")[2]).address()
    place = tmp_path_factory.mktemp("store")
    with LocalStore(place, own_in_place=False, **options) as local:
        if request.param.startswith("remote"):
            with served(local) as remote:
                yield Kept(remote, local)
        else:
            yield Kept(local, local)
    if databases is not None:
        databases.__exit__(None, None, None)


class served:  # noqa: N801 - used like a function
    """Serve a store over HTTP, in a thread, and open it as a client does."""

    def __init__(self, local):
        self.local = local

    def __enter__(self):
        import uvicorn

        from runcast.server.access import Access, Scope, Standing
        from runcast.server.app import create_app
        from runcast.store.remote import RemoteStore

        access = Access(self.local.database)
        user, _ = access.users.add("ada", Standing.ADMIN)
        _, token = access.tokens.create(user.id, "tests", Scope.ADMIN)
        config = uvicorn.Config(create_app(self.local), port=0, log_level="error", access_log=False)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        deadline = time.monotonic() + 30
        while not self.server.started:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.remote = RemoteStore(f"http://127.0.0.1:{port}", token)
        return self.remote

    def __exit__(self, *_):
        self.remote.close()
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def store(kept):
    return kept.store


@pytest.fixture
def settle(kept):
    """Call it, and what was appended is where it stays."""
    return kept.settle


@pytest.fixture
def project():
    """A project of the test's own."""
    return f"project-{new_run_id()}"


@pytest.fixture
def new_run(store, project):
    """Make a run that the store knows, and return its id."""

    def make(**fields):
        fields = {"name": "first", "state": "running", "created": time.time(), "project": project, **fields}
        record = RunRecord(new_run_id(), **fields)
        store.create(record)
        return record.id

    return make


@pytest.fixture
def run(new_run):
    return new_run()
