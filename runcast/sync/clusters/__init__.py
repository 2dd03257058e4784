"""Clusters that are there already, and whose workers bring runs. `Cluster` is the seam: Dask, Ray.

What is sent is the plan of a few runs and the store's address; what comes back says what became of them. A worker reads the logs and
writes to the store by itself, as whoever it is there.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, NamedTuple, Protocol

from runcast.errors import ServerUnreachable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable

__all__ = ["TIMEOUT", "Answer", "Cluster", "Look", "Lost", "carrier", "open_cluster", "reach", "said"]

TIMEOUT = 10.0
"""Seconds that a cluster has to answer."""

_ADDRESS = re.compile(r"(?P<scheme>[a-z]+)(://(?P<rest>.+))?")


class Answer(NamedTuple):
    """What a worker answers to a task: what `perform` returned, or why it was not even called."""

    worker: str
    host: str
    result: bytes | str


class Lost(NamedTuple):
    """A task that is not done, and will not be: its worker was killed, or it failed."""

    why: str


class Cluster(Protocol):
    """A cluster that somebody else has started, used by one thread. Every method raises `ServerUnreachable` when it is gone."""

    def __str__(self) -> str:
        """Return what the user is told of it."""

    def slots(self, without: Collection[str]) -> int:
        """Return how many tasks its workers can do at once now, not counting some of them."""

    def submit(self, payload: bytes, without: Collection[str]) -> Hashable:
        """Have a worker, none of some, perform a pickled `Task`, and return what it is called in `ended`."""

    def ended(self, timeout: float) -> Iterable[tuple[Hashable, Answer | Lost]]:
        """Wait for tasks to end, for so many seconds at most, and return those that did, once each."""

    def close(self) -> None:
        """Cancel what is not done, and let go of the cluster, which stays as it is."""


def open_cluster(address: str) -> Cluster:
    """Connect to a cluster, within seconds.

    `dask://HOST:PORT` is Dask's scheduler, and `dask` the one that Dask's own configuration names; `ray://HOST:PORT` is Ray's
    client server, and `ray` the cluster that this machine is part of, or `RAY_ADDRESS` names.

    Raises `SettingsError` for what is no address, `MissingPackage`, and `ServerUnreachable`.
    """
    found = _ADDRESS.fullmatch(address)
    scheme, rest = (found["scheme"], found["rest"]) if found is not None else ("", None)
    if scheme == "ray":
        from runcast.sync.clusters.on_ray import Ray

        return Ray(f"ray://{rest}" if rest and rest != "auto" else None)
    if scheme in {"dask", "tcp", "tls"} and (rest or scheme == "dask"):
        from runcast.sync.clusters.on_dask import Dask

        return Dask(f"{'tcp' if scheme == 'dask' else scheme}://{rest}" if rest else None)
    raise SettingsError(
        f"{address!r} is no cluster: write dask://HOST:PORT, ray://HOST:PORT, or ray for the one that this machine is part of"
    )


def reach(what: str, host: str | None, port: int | None, start: str) -> None:
    """Raise `ServerUnreachable` where nothing listens; `start` says how users start it."""
    try:
        socket.create_connection((host or "", port or 0), TIMEOUT).close()
    except (OSError, OverflowError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ServerUnreachable(
            f"{what} does not answer ({reason}): check the address, or {start}"
        ) from error


Look = "Callable[[], tuple[str, Callable[[], bool]]]"
"""Tells on a worker which one it is, and gives what says whether its task was cancelled."""


def carrier() -> Callable[..., tuple[str, str, bytes | str]]:
    """Return what workers call: with a `Look`, our version and a pickled `Task`. It returns the parts of an `Answer`.

    It is sent as code, since nobody finds it by its name. So a worker without runcast can call it too, and tell; and what it
    takes and returns means nothing to a scheduler, which needs no runcast.
    """

    def carry(
        look: Callable[[], tuple[str, Callable[[], bool]]], version: str, payload: bytes
    ) -> tuple[str, str, bytes | str]:
        import pickle
        import socket

        worker, is_cancelled = look()
        host = socket.gethostname()
        try:
            import runcast

            if runcast.__version__ != version:
                why = f"it has runcast {runcast.__version__}, and here is {version}: install the same version there"
                return worker, host, why
            from runcast.sync.clusters.work import perform
        except ImportError as error:
            if error.name == "runcast":
                return worker, host, f"it has no runcast: pip install 'runcast=={version}' there"
            return worker, host, f"its runcast cannot be used ({error}): install it anew there"
        return worker, host, perform(pickle.loads(payload), is_cancelled)  # noqa: S301 - made by who submitted it

    return carry


def said(error: BaseException) -> str:
    """Return an error of a task in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
