"""The objects under one prefix of a bucket (S3, Google Cloud Storage, Azure): all that we know of `obstore`, which is before 1.0."""

from __future__ import annotations

import io
import itertools
import os
import re
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from runcast.errors import LogdirError, MissingPackage, SettingsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

__all__ = [
    "SCHEMES",
    "Address",
    "Listed",
    "ObjectGone",
    "Objects",
    "check_address",
    "is_bucket",
    "users_objects",
]

SCHEMES = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure"}
"""What the address of a bucket begins with."""

TIMEOUT, CONNECT_TIMEOUT = timedelta(seconds=60), timedelta(seconds=5)
"""For one request."""

RETRIES, RETRY_TIMEOUT = 3, timedelta(seconds=20)
"""How often a request is repeated within a call, and for how long at most."""

PART = 8 << 20
"""Bytes of a part of a large file, of which a few are on their way at once."""

_CREDENTIALS = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_SKIP_SIGNATURE",
    ),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_SKIP_SIGNATURE"),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_TOKEN",
        "AZURE_CLIENT_ID",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_USE_AZURE_CLI",
        "AZURE_SKIP_SIGNATURE",
    ),
}  # fmt: skip
"""What says in the environment who we are. Without any of them obstore asks an address of the cloud's own machines."""

_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "S3_ENDPOINT"),
    "gs": (),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""What says in the environment where to find a cloud's interface somewhere else. `S3_ENDPOINT` is what the libraries heed that write
event files to a bucket."""

_STATUS = re.compile(r"status code: (\d{3})")

_TRIED = re.compile(r" in [\d.]+\w?s(, after \d+ retries, max_retries: \d+, retry_timeout: \d+s)?[ -]*")

_GOOGLE_LOGIN = Path(".config", "gcloud", "application_default_credentials.json")


_AZURE_LOGIN = Path("~", ".azure", "azureProfile.json")
"""What `az login` leaves."""


class Listed(NamedTuple):
    """An object as it is listed; its `version` is the bucket's (the ETag), and differs for other content."""

    name: str
    size: int
    changed: float
    version: str


class Address(NamedTuple):
    """A user's address, taken apart: the bucket (with Azure's account before the container), options, and what is in it, with `/`."""

    bucket: str
    options: str
    name: str

    @classmethod
    def of(cls, address: str) -> Address:
        """Take an address apart."""
        plain, _, options = address.partition("?")
        scheme, _, rest = plain.partition("://")
        bucket, _, name = rest.partition("/")
        if scheme == "az":
            container, _, name = name.strip("/").partition("/")
            bucket = f"{bucket}/{container}"
        return cls(f"{scheme}://{bucket}", options, name.strip("/"))

    def opened(self, *, timeout: timedelta | None = None, or_machine: bool = False) -> Objects:
        """Return the bucket's objects, all of them. See `Objects`, and what that raises."""
        address = f"{self.bucket}?{self.options}" if self.options else self.bucket
        return users_objects(address, timeout=timeout, or_machine=or_machine)


class ObjectGone(StoreError):
    """There is no such object."""


def is_bucket(address: str) -> bool:
    """Say whether an address is one of a bucket."""
    return urlsplit(address).scheme in SCHEMES


def check_address(address: str) -> None:
    """Raise `LogdirError` for what is no address of logs in a bucket, as users write it."""
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES or not parts.netloc:
        known = "s3://bucket/path, gs://bucket/path, az://account/container/path"
        raise LogdirError(
            f"{address}: logs cannot be read from there; write {known}, or a path on this machine"
        )
    if parts.scheme == "az" and not parts.path.strip("/"):
        raise LogdirError(f"{address}: an account alone is no place; write az://account/container/path")


def users_objects(address: str, *, timeout: timedelta | None = None, or_machine: bool = False) -> Objects:
    """Return the objects at an address as users write it: Azure's account stands in it. See `Objects`, and what that raises."""
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    where = f"{parts.netloc}{parts.path}"
    if parts.scheme == "az":
        options["account_name"], where = parts.netloc, parts.path.strip("/")
        if (key := os.environ.get("AZURE_STORAGE_KEY")) and "account_key" not in options:
            options["account_key"] = key
    given = f"{parts.scheme}://{where}" + (f"?{urlencode(options)}" if options else "")
    return Objects(given, timeout=timeout, or_machine=or_machine)


class Objects:
    """The objects whose names begin with a prefix; thread-safe. Names are relative to it, with `/`.

    The address is `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; `?name=value` adds options, such as
    `endpoint=http://127.0.0.1:9000` and `region=…` (what obstore calls its configuration). Who we are is in the environment, in
    the cloud's own variables; `?credentials=machine` says that the machine itself has a role in its cloud.

    Every method raises `StoreError` when the bucket cannot be used; a request that fails in passing is repeated first, for
    `RETRY_TIMEOUT` at most.
    """

    def __init__(self, address: str, *, timeout: timedelta | None = None, or_machine: bool = False) -> None:
        """`timeout` is for one request. With `or_machine`, the machine is asked for its role where nothing says who we are.

        Raises `SettingsError` for an address that cannot be one, or nobody to be, and `MissingPackage`.
        """
        parts = urlsplit(address)
        if parts.scheme not in SCHEMES or not parts.netloc:
            known = ", ".join(f"{scheme}://bucket/prefix" for scheme in SCHEMES)
            raise SettingsError(f"{address!r} is no address of a bucket: write {known}")
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
        self._obstore = _import_obstore()
        options = dict(parse_qsl(parts.query))
        on_machine = options.pop("credentials", "") == "machine"
        self._or_machine = or_machine
        self._prefix = parts.path.strip("/")
        self._timeout = TIMEOUT if timeout is None else timeout
        self._store = self._open(parts.scheme, parts.netloc, options, on_machine=on_machine)

    def create(self, name: str, data: bytes) -> bool:
        """Make an object, and say whether it was not there before; one that is there is left as it is."""
        with self._explained("write", name):
            try:
                self._obstore.put(self._store, self._key(name), data, mode="create")
            except self._obstore.exceptions.AlreadyExistsError:
                return False
            return True

    def put(self, name: str, data: bytes | Path) -> int:
        """Make an object of `data`, or of the file that it names, in parts where it is large, and return its size.

        Raises `OSError` when that file cannot be read.
        """
        source = _Pieces(data)
        with self._explained("write", name, source), source:
            first = source.take()
            if len(first) < PART:  # all of it
                self._obstore.put(self._store, self._key(name), first, use_multipart=False)
            else:
                pieces = itertools.chain([first], iter(source.take, b""))
                self._obstore.put(self._store, self._key(name), pieces, chunk_size=PART, max_concurrency=4)
        return source.size

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes [start, stop), which must be there. Raises `ObjectGone`."""
        if start >= stop:
            return b""
        with self._explained("read", name):
            return bytes(self._obstore.get_range(self._store, self._key(name), start=start, end=stop))

    def walk(self, folder: str) -> Iterator[tuple[str, int]]:
        """Yield the name and the size of every object in a folder and the folders below, in no order."""
        with self._explained("list", folder):
            for several in self._obstore.list(self._store, self._key(folder), chunk_size=1000):
                for each in several:
                    yield each["path"][len(self._prefix) :].lstrip("/"), each["size"]

    def listed(self, folder: str) -> Iterator[Listed]:
        """Yield what there is to say of every object in a folder and the folders below, in no order."""
        with self._explained("list", folder):
            for several in self._obstore.list(self._store, self._key(folder), chunk_size=1000):
                yield from map(self._listed, several)

    def within(self, folder: str) -> tuple[list[Listed], list[str]]:
        """Return the objects in a folder, without those in the folders below, and the names of these."""
        with self._explained("list", folder):
            found = self._obstore.list_with_delimiter(self._store, self._key(folder))
        below = [each.rstrip("/").rpartition("/")[2] for each in found["common_prefixes"]]
        return [self._listed(each) for each in found["objects"]], below

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders within a folder, sorted."""
        return sorted(self.within(folder)[1])

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are no error."""
        if not names:
            return
        with self._explained("delete", names[0]):
            try:
                self._obstore.delete(self._store, [self._key(name) for name in names])
            except (FileNotFoundError, self._obstore.exceptions.NotFoundError):
                if len(names) > 1:
                    for name in names:
                        self.delete([name])

    def _listed(self, meta: Any) -> Listed:
        changed = meta["last_modified"].timestamp()
        name = meta["path"][len(self._prefix) :].lstrip("/")
        return Listed(name, meta["size"], changed, meta.get("e_tag") or f"{changed:.3f}")

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _open(self, scheme: str, bucket: str, options: dict[str, str], *, on_machine: bool) -> Any:
        stores = self._obstore.store
        endpoint = options.get("endpoint") or next(filter(None, map(os.environ.get, _ENDPOINTS[scheme])), "")
        if endpoint and "://" not in endpoint:  # as TensorFlow takes it
            endpoint = f"{'http' if os.environ.get('S3_USE_HTTPS') == '0' else 'https'}://{endpoint}"
        if endpoint:
            options["endpoint"] = endpoint
        if endpoint.startswith("http://"):
            options["allow_http"] = "true"
        client: dict[str, Any] = {"timeout": self._timeout, "connect_timeout": CONNECT_TIMEOUT}
        if options.pop("allow_http", "false") == "true":
            client["allow_http"] = True
        retries = {"max_retries": RETRIES, "retry_timeout": RETRY_TIMEOUT}
        provider = None
        if not on_machine and not _knows_who(scheme, options):
            if scheme == "s3" and _has_profiles():
                provider = self._profile()
            elif scheme == "az" and _AZURE_LOGIN.expanduser().exists():
                options["use_azure_cli"] = "true"
            elif not self._or_machine:
                names = ", ".join(_CREDENTIALS[scheme][:2])
                raise SettingsError(
                    f"nothing says who opens {self.address}: set {names} or another of the cloud's variables, or add "
                    "?credentials=machine to the address where the machine has a role in its cloud"
                )
        make = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}[scheme]
        try:
            return make(
                bucket, client_options=client, retry_config=retries, credential_provider=provider, **options
            )
        except (self._obstore.exceptions.BaseError, ValueError, TypeError) as error:
            raise SettingsError(f"cannot open {self.address}: {_first_line(error)}") from error

    def _profile(self) -> Any:
        try:
            from obstore.auth.boto3 import Boto3CredentialProvider
        except ImportError as error:
            raise MissingPackage(
                f"AWS profiles are read with boto3, which is not installed: `pip install boto3` ({error})"
            ) from error
        return Boto3CredentialProvider()

    @contextmanager
    def _explained(self, verb: str, name: str, source: _Pieces | None = None) -> Iterator[None]:
        errors = self._obstore.exceptions
        try:
            yield
        except (errors.BaseError, OSError, ValueError) as error:
            if source is not None and source.error is not None:
                raise source.error from error
            what = f"cannot {verb} {self.address}/{name}"
            if verb == "read" and isinstance(error, (FileNotFoundError, errors.NotFoundError)):
                raise ObjectGone(f"{what}: there is no such object; somebody else has deleted it") from error
            advice = "check that the bucket is there and can be reached"
            status = _STATUS.search(str(error))
            denied = status is not None and status[1] in {"401", "403"}
            if denied or isinstance(error, (errors.UnauthenticatedError, errors.PermissionDeniedError)):
                advice = "check the credentials and what they may do"
            elif verb == "list" and (
                isinstance(error, errors.NotFoundError) or (status is not None and status[1] == "404")
            ):
                advice = "there is no such bucket: check its name, and the account or the endpoint"
            raise StoreError(f"{what} ({_first_line(error)}): {advice}") from error


class _Pieces:
    """Bytes, or a file's, in pieces to be sent: how many there were, and why they could not be read on."""

    def __init__(self, data: bytes | Path) -> None:
        self._data = data
        self._file: IO[bytes] | None = None
        self.size = 0
        self.error: OSError | None = None

    def __enter__(self) -> None:
        try:
            self._file = io.BytesIO(self._data) if isinstance(self._data, bytes) else self._data.open("rb")
        except OSError as error:
            self.error = error
            raise

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    def take(self) -> bytes:
        """Return the next piece, b"" at the end."""
        assert self._file is not None
        try:
            piece = self._file.read(PART)
        except OSError as error:
            self.error = error
            raise
        self.size += len(piece)
        return piece


def _import_obstore() -> ModuleType:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise MissingPackage(
            f"a bucket needs obstore, which is not installed: `pip install 'runcast[buckets]'` ({error})"
        ) from error
    return obstore


def _knows_who(scheme: str, options: dict[str, str]) -> bool:
    """Whether the environment, or the address, says who we are."""
    if any(os.environ.get(name) for name in _CREDENTIALS[scheme]):
        return True
    if scheme == "gs" and (Path.home() / _GOOGLE_LOGIN).exists():
        return True
    return any(
        name in options
        for name in ("access_key_id", "account_key", "sas_key", "skip_signature", "service_account")
    )


def _has_profiles() -> bool:
    """Whether there are AWS profiles, as `aws configure` leaves them."""
    if os.environ.get("AWS_PROFILE"):
        return True
    files = (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config"))
    return any(Path(os.environ.get(name) or Path.home() / ".aws" / file).exists() for name, file in files)


def _first_line(error: BaseException) -> str:
    """Return what an error of obstore says: the same for the same trouble, without an address's query, which may be a secret."""
    said = str(error).split("\n", 1)[0].partition(": <?xml")[0]
    return _TRIED.sub(": ", re.sub(r"(https?://[^\s?]*)\?\S*", r"\1", said)).strip(" :")
