"""What tests of every room use."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
            except psycopg.OperationalError:
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
