"""What tests of every room use."""

from __future__ import annotations

import base64
import copy
import email.utils
import hashlib
import hmac
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# Listing the installed packages takes each recorder longer than most tests last; tests of it start from a journal, which says more.
os.environ.setdefault("RUNCAST_SAVE_PACKAGES", "off")


@pytest.fixture
def close_folder(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Take away every permission on a folder until the test ends.

    Root may read everything, unless it gives that power up: `scripts/test` does (setpriv), so nothing is skipped there.
    """
    closed = []

    def close(folder: Path) -> None:
        folder.chmod(0)
        closed.append(folder)

    probe = tmp_path / "probe"
    probe.mkdir()
    close(probe)
    try:
        os.scandir(probe).close()
    except PermissionError:
        yield close
    else:
        pytest.skip("this user may read everything")
    finally:
        for folder in closed:
            folder.chmod(0o755)


class PostgreSQL:
    """A PostgreSQL server of the tests' own, in a new folder and on a free port; it ends with the process that started it.

    It never waits for the disk: its tables survive its own crashes, but not the machine's.
    """

    def __init__(self) -> None:
        self._bin = _postgresql_programs()
        # The server refuses to run as root: it becomes the user that the package made, and so does whoever touches its folder.
        self._as_user = []
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.folder = Path(tempfile.mkdtemp(prefix="runcast-postgresql-"))
        if self._as_user:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run(
            self._bin / "initdb", "--no-sync", "--auth=trust", "--username=runcast", "--encoding=UTF8", "--locale=C",
            "--pgdata", self.folder,
        )  # fmt: skip
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the server, and return when it answers."""
        import psycopg

        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 60,
            "log_min_messages": "fatal",
        }
        with_parent = ["setpriv", "--pdeathsig=QUIT"] if shutil.which("setpriv") else []
        self._process = subprocess.Popen(
            [*self._as_user, *with_parent, self._bin / "postgres", "-D", self.folder]
            + [f"--{name}={value}" for name, value in settings.items()],
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:  # noqa: PERF203 - a few rounds
                assert self._process.poll() is None, "PostgreSQL did not start"
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.02)
            else:
                return

    def stop(self, *, crash: bool = False) -> None:
        """End the server and its connections: in order, or as a crash would."""
        assert self._process is not None
        # It is another user's: root may signal it, and it is root that started it.
        self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        self._process.wait(30)
        self._process = None

    def url(self, database: str) -> str:
        """Return the address of one of its databases."""
        return f"postgresql://runcast@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make a new, empty database; it is dropped at the end."""
        import psycopg

        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name} template template0")
        yield self.url(name)
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")

    def close(self) -> None:
        """End the server and remove its folder."""
        if self._process is not None:
            self.stop(crash=True)
        self._run("rm", "-rf", self.folder)

    def _run(self, *command: str | Path) -> None:
        subprocess.run([*self._as_user, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


def _postgresql_programs() -> Path:
    """Return the folder of PostgreSQL's programs, which Debian keeps off PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if folders:
        return folders[-1]
    found = shutil.which("initdb")
    if found is None:
        pytest.skip("PostgreSQL is not installed (`scripts/test` does that)")
    return Path(found).resolve().parent


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running PostgreSQL server, for all tests of this process."""
    server = PostgreSQL()
    yield server
    server.close()


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of a new, empty PostgreSQL database."""
    with postgresql.database() as url:
        yield url


class Bucket:
    """A bucket of the tests' own, on a server that ends with the process that started it."""

    def __init__(self, command: list[str | Path], address: str, env: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._address = address.format(port=self.port)
        self.env = {name: value.format(port=self.port) for name, value in env.items()}
        with_parent = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
        self._process = subprocess.Popen(
            [*with_parent, *(str(part).format(port=self.port) for part in command)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, "the bucket's server did not start"
            assert time.monotonic() < deadline, "the bucket's server does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        return False

    def address(self, prefix: str | None = None) -> str:
        """Return what `--files` takes, for a prefix of its own."""
        where, _, options = self._address.partition("?")
        return f"{where}/{prefix or uuid.uuid4().hex[:12]}?{options}"

    def request(self, method: str, target: str, headers: dict[str, str] | None = None) -> None:
        """Send a request of the server's own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, target, headers=headers or {})
        answer = connection.getresponse()
        assert answer.status < 300, answer.read()
        connection.close()

    @contextmanager
    def failing(self, status: int) -> Iterator[None]:
        """Let the server answer only this status, or never (0); not for Azure's."""
        self.request("PUT", f"/-/fault?status={status}")
        try:
            yield
        finally:
            self.request("PUT", "/-/fault?status=200")

    def users_address(self, prefix: str) -> str:
        """Return the address of a prefix as a user writes it: Azure's account stands in the path."""
        parts = urlsplit(self.address(prefix))
        if parts.scheme != "az":
            return parts.geturl()
        query = "&".join(each for each in parts.query.split("&") if not each.startswith("account_name="))
        return f"az://{_AZURE_ACCOUNT}/{parts.netloc}{parts.path}?{query}"

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()


_DOUBLES = Path(__file__).parent / "doubles"
_AZURITE = Path(__file__).parent / "azurite"
_AZURE_ACCOUNT = "devstoreaccount1"
_AZURE_KEY = base64.b64encode(b"a key of the tests' own").decode()
_GOOGLE_KEY = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}


@pytest.fixture(scope="session")
def s3() -> Iterator[Bucket]:
    """A bucket on S3, as moto plays it; one on Google Cloud Storage is on the same server (`gcs`)."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed (`scripts/test` does that)")
    env = {
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1",  # nothing of ours asks the machine who it is
    }
    address = "s3://runcasttests?endpoint=http://127.0.0.1:{port}&region=us-east-1"
    bucket = Bucket([sys.executable, _DOUBLES / "buckets.py", "{port}"], address, env)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bucket.env.items():
            patch.setenv(name, value)
        bucket.request("PUT", "/runcasttests")
        yield bucket
    bucket.close()


@pytest.fixture(scope="session")
def gcs(s3: Bucket) -> Iterator[Bucket]:
    """A bucket on Google Cloud Storage, as far as our own double of its interface goes."""
    bucket = copy.copy(s3)
    bucket._address = "gs://runcasttests?allow_http=true"  # the same server
    with pytest.MonkeyPatch.context() as patch:
        key = {**_GOOGLE_KEY, "gcs_base_url": f"http://127.0.0.1:{s3.port}"}
        patch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(key))
        yield bucket


@pytest.fixture(scope="session")
def azure() -> Iterator[Bucket]:
    """A container on Azure's Blob Storage, as Azurite plays it."""
    program = _AZURITE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if not program.exists() or shutil.which("node") is None:
        pytest.skip("Azurite is not installed (`scripts/test` does that)")
    options = ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    address = (
        f"az://runcasttests?endpoint=http://127.0.0.1:{{port}}/{_AZURE_ACCOUNT}&account_name={_AZURE_ACCOUNT}"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZURITE_ACCOUNTS", f"{_AZURE_ACCOUNT}:{_AZURE_KEY}")
        patch.setenv("AZURE_STORAGE_ACCOUNT_KEY", _AZURE_KEY)
        bucket = Bucket(["node", program, *options, "--blobPort", "{port}"], address, {})
        bucket.request("PUT", "/devstoreaccount1/runcasttests?restype=container", _azure_headers())
        yield bucket
        bucket.close()


def _azure_headers() -> dict[str, str]:
    """Return what a request to make the container says to show that it may."""
    said = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in said.items())]
    lines += [f"/{_AZURE_ACCOUNT}/{_AZURE_ACCOUNT}/runcasttests", "restype:container"]
    digest = hmac.new(base64.b64decode(_AZURE_KEY), "\n".join(lines).encode(), hashlib.sha256).digest()
    return {
        **said,
        "Authorization": f"SharedKey {_AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}",
        "Content-Length": "0",
    }
