"""One connection to a server: requests that are tried again, and errors that say what to do."""

from __future__ import annotations

import gzip
import random
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from runcast.errors import AccessDenied, RunNotFound, ServerUnreachable, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["PATIENCE", "Connection", "quoted"]

PATIENCE = 30.0
"""Seconds for which a request is tried again before it fails."""

CONNECT, ANSWER = 5.0, 60.0
"""Seconds that connecting, and each wait for the server's next bytes, may take."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a request is tried again, doubled each time; about half of it is left to chance."""

PASSING = frozenset({429, 500, 502, 503, 504, 507})
"""Statuses of a server that may well answer otherwise in a moment."""

SMALL = 1 << 10
"""Bytes up to which a body is not worth compressing."""

_LONGEST_TEXT = 500


class Connection:
    """Speaks HTTP with the server at `url`, over one connection that is kept alive. For one thread.

    A request whose connection fails, or that the server cannot answer just now, is tried again for `patience` seconds, with pauses
    that grow, or that the server asks for; so everything that is sent must be harmless when it arrives twice. Certificates are
    verified; `REQUESTS_CA_BUNDLE`, `HTTPS_PROXY` and `NO_PROXY` count. The token is sent to this server only, and is in no message.
    Every method raises `ServerUnreachable`, `AccessDenied` or another `StoreError`.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        patience: float = PATIENCE,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        from runcast import __version__

        self.url = url.rstrip("/")
        self.patience = patience
        self._sleep = sleep
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers["User-Agent"] = f"runcast/{__version__}"
        self._session.headers["Accept"] = "application/json"

    def close(self) -> None:
        """Close the connection; a later request opens another one."""
        self._session.close()

    def __repr__(self) -> str:
        return f"<Connection to {self.url}>"

    def json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return what the server answers as JSON; `body` is sent as JSON. The rest is as in `request`."""
        data = None
        if body is not None:
            more, data = packed(_dumped(body))
            headers = {**(headers or {}), **more, "Content-Type": "application/json"}
        response = self.request(method, path, params=params, data=data, headers=headers)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise StoreError(
                f"{self.url} answers something that is no JSON; is this the address of a runcast server?"
            ) from error

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: bytes | Callable[[], Iterable[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Iterable[int] = (),
        stream: bool = False,
    ) -> requests.Response:
        """Return the answer, if it is a success or its status is in `accept`; `path` is below `/api/v1`.

        A callable in `data` makes the body anew for each attempt. With `stream` the answer's body is yet to be read.
        """
        deadline = time.monotonic() + self.patience
        pause = FIRST_PAUSE
        while True:
            wait: float | None = None
            try:
                response = self._session.request(
                    method,
                    f"{self.url}/api/v1{path}",
                    params=params,
                    data=data() if callable(data) else data,
                    headers=headers,
                    timeout=(CONNECT, ANSWER),
                    allow_redirects=False,
                    stream=stream,
                )
            except requests.RequestException as error:
                failure = self._failure(error)
                if not isinstance(failure, ServerUnreachable):
                    raise failure from error
                cause: Exception | None = error
            else:
                if response.status_code < 300 or response.status_code in accept:
                    return response
                failure, cause = self._refusal(response), None
                wait = _retry_after(response)
                response.close()
                if response.status_code not in PASSING:
                    raise failure
            wait = pause * random.uniform(0.5, 1.0) if wait is None else wait  # noqa: S311 - no secret
            pause = min(2 * pause, LONGEST_PAUSE)
            if time.monotonic() + wait > deadline:
                raise failure from cause
            self._sleep(wait)

    def body(self, response: requests.Response, piece: int) -> Iterator[bytes]:
        """Yield the body of an answer that was asked for with `stream`. Raises `ServerUnreachable` when it breaks off."""
        try:
            yield from response.iter_content(piece)
        except requests.RequestException as error:
            raise self._failure(error) from error

    def _failure(self, error: requests.RequestException) -> StoreError:
        """Return what it means that a request came to nothing."""
        if isinstance(error, requests.exceptions.SSLError):
            return StoreError(
                f"{self.url}: its certificate cannot be verified ({_reason(error)}); if the server has a certificate of your "
                "own, let REQUESTS_CA_BUNDLE name the file with its authority"
            )
        if isinstance(error, requests.exceptions.ProxyError):
            return ServerUnreachable(
                f"{self.url}: the proxy that HTTPS_PROXY or HTTP_PROXY names does not get through ({_reason(error)})"
            )
        if isinstance(error, requests.Timeout):
            return ServerUnreachable(
                f"{self.url} does not answer; is the server running, and reachable from here?"
            )
        passing = (
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        )
        if isinstance(error, passing):
            return ServerUnreachable(
                f"{self.url} cannot be reached ({_reason(error)}); is the address right, and the server running?"
            )
        return StoreError(f"{self.url} cannot be used: {type(error).__name__}; check the address")

    def _refusal(self, response: requests.Response) -> StoreError:
        """Return what a status that is no success means."""
        status, said = response.status_code, _said(response)
        if status == 401:
            return AccessDenied(
                f"{self.url} does not accept the token, or there is none{said}; `runcast login {self.url}` stores one"
            )
        if status == 403:
            return AccessDenied(f"{self.url} does not allow this{said}")
        if status == 404:
            return RunNotFound(f"{self.url}: not found{said}")
        if status in PASSING:
            return ServerUnreachable(f"{self.url} cannot do this just now: {status} {response.reason}{said}")
        if 300 <= status < 400:
            there = response.headers.get("Location", "elsewhere")
            return StoreError(f"{self.url} sends on to {there}; use that server's own address")
        return StoreError(f"{self.url} refuses this: {status} {response.reason}{said}")


class _Bearer(AuthBase):
    """Sends the token; as the session's own way to log in, so that `.netrc` does not replace it."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def packed(data: bytes) -> tuple[dict[str, str], bytes]:
    """Return a body, compressed where that makes it smaller, and the headers that say so."""
    if len(data) > SMALL:
        small = gzip.compress(data, 1, mtime=0)
        if len(small) < 0.9 * len(data):
            return {"Content-Encoding": "gzip"}, small
    return {}, data


def quoted(path: str) -> str:
    """Return a file's path, or another text, as a part of an address."""
    return quote(path, safe="/")


def _dumped(value: Any) -> bytes:
    import json

    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _reason(error: BaseException) -> str:
    """Return the innermost cause, in its own words: what libraries wrap around it repeats the address."""
    seen: BaseException = error
    while True:
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in seen.args if isinstance(each, BaseException)), None)
        if inner is None:
            break
        seen = inner
    text = getattr(seen, "strerror", None) or str(seen)
    return text.rpartition("object at 0x")[2].partition(": ")[2] or text or type(seen).__name__


def _said(response: requests.Response) -> str:
    """Return the server's own words, after a colon; nothing for a page that is not a runcast server's."""
    try:
        text = response.json()["error"]
    except (ValueError, KeyError, TypeError, requests.RequestException):
        return ""
    return f": {text[:_LONGEST_TEXT]}" if isinstance(text, str) else ""


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds that the server asks to be left alone for; None if it does not."""
    said = response.headers.get("Retry-After", "")
    if said.isascii() and said.isdigit():
        return float(said)
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    return None
