"""`runcast serve`: the store over HTTP."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

    from runcast.server.access import Access
    from runcast.server.limits import Limits
    from runcast.store.local import LocalStore

__all__ = ["database_option", "files_option", "open_served", "serve"]

_LEVELS = ("debug", "info", "warning", "error")


def size(said: str) -> int:
    """Return a number of bytes that somebody said: `500000`, `64M` or `4G` (of 1024s)."""
    number, unit = said.strip().upper().removesuffix("IB").removesuffix("B"), 1
    if number[-1:] in {"K", "M", "G", "T"}:
        unit = 1024 ** ("KMGT".index(number[-1]) + 1)
        number = number[:-1]
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        raise click.BadParameter(f"{said!r} is no size; write 500000, 64M or 4G")
    return int(number) * unit


database_option = click.option(
    "--database",
    metavar="URL",
    envvar="RUNCAST_DATABASE",
    help="postgresql://…: keep the index there, not in DIR.",
)
files_option = click.option(
    "--files",
    metavar="URL",
    envvar="RUNCAST_FILES",
    help="s3://…, gs://… or az://…: keep the files there, not in DIR.",
)


@click.command()
@database_option
@files_option
@click.option(
    "--host",
    metavar="H",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at; 0.0.0.0 for all.",
)
@click.option(
    "--port",
    metavar="P",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port; 0 for any.",
)
@click.option(
    "--url",
    metavar="URL",
    envvar="RUNCAST_URL",
    help="Where people reach the server, for links, if it is behind a proxy.",
)
@click.option("--root-path", metavar="PATH", default="", help="The path below which a proxy serves it.")
@click.option(
    "--trusted-proxies",
    metavar="ADDRESSES",
    default="",
    help="Proxies whose X-Forwarded-* headers count: addresses or networks, with commas between them.",
)
@click.option("--max-append", metavar="SIZE", type=size, help="The largest body of appends (default: 16M).")
@click.option("--max-file", metavar="SIZE", type=size, help="The largest whole file (default: 4G).")
@click.option(
    "--max-queue",
    metavar="SIZE",
    type=size,
    help="The memory for appends that wait for their commit (default: 64M).",
)
@click.option(
    "--max-requests", metavar="N", type=click.IntRange(1), help="The most requests at once (default: 512)."
)
@click.option(
    "--max-streams",
    metavar="N",
    type=click.IntRange(1),
    help="The most live streams at once (default: 10000).",
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS),
    default="info",
    show_default=True,
    help="`debug` has each append, too.",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    help="auto: text for a terminal, else JSON lines.",
)
@click.pass_obj
def serve(
    place: Path | None,
    database: str | None,
    files: str | None,
    host: str,
    port: int,
    url: str | None,
    root_path: str,
    trusted_proxies: str,
    max_append: int | None,
    max_file: int | None,
    max_queue: int | None,
    max_requests: int | None,
    max_streams: int | None,
    log_level: str,
    log_format: str,
) -> None:  # fmt: skip
    """Serve runs to a team, over HTTP.

    Recorders send theirs with `%sync_tensorboard --to URL`; people look at them in a browser. The first start prints the link with
    which the first account is made.
    """
    try:
        from runcast.server.app import create_app
        from runcast.server.log import set_up_logging
        from runcast.server.serve import listen
        from runcast.server.serve import serve as serve_app
    except ImportError as error:
        from runcast.errors import MissingPackage

        raise MissingPackage(f"the server needs {error.name}: pip install 'runcast[server]'") from error
    from runcast.server.access import Access

    limits = _limits(
        append=max_append, file=max_file, queue=max_queue, requests=max_requests, streams=max_streams
    )
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    set_up_logging(getattr(logging, log_level.upper()), as_json=as_json)
    root_path = "/" + root_path.strip("/") if root_path.strip("/") else ""
    with listen(host, port) as listening, open_served(place, database, files) as store:
        access = Access(store.database, url=url)
        app = create_app(store, access, limits=limits)
        here = url or _address(host, listening.getsockname()[1], root_path)
        serve_app(
            app,
            listening,
            root_path=root_path,
            trusted_proxies=trusted_proxies,
            started=lambda: _welcome(here, _kept_in(store, database, files), access),
        )


def _limits(**given: int | None) -> Limits:
    from runcast.server.limits import Limits

    return Limits(**{name: value for name, value in given.items() if value is not None})


def open_served(place: Path | None, database: str | None, files: str | None) -> LocalStore:
    """Open the store that a server keeps its runs in."""
    from runcast.settings import runcast_dir
    from runcast.store.local import LocalStore

    folder = runcast_dir() if place is None else place.expanduser().absolute()
    more: dict[str, Any] = {} if database is None else {"database": database}
    return LocalStore(folder, files=files, own_in_place=False, **more)


def _address(host: str, port: int, root_path: str) -> str:
    """Return where the server can be reached, as far as it knows."""
    import socket

    name = socket.gethostname() if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - only compared
    return f"http://{f'[{name}]' if ':' in name else name}:{port}{root_path}"


def _kept_in(store: LocalStore, database: str | None, files: str | None) -> str:
    """Say where runs are kept, without the secrets that an address may have."""
    place = str(store.root) if files is None else files.partition("?")[0]
    return place if database is None else f"{place}, indexed in {store.database.backend.place},"


def _welcome(address: str, kept_in: str, access: Access) -> None:
    """Print where the server is, and how to make the first account where there is none."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble("runcast serves ", (kept_in, "dim"), " at ", (address, "bold cyan")))
    if not access.users.any():
        link = f"{address}/setup#{access.users.setup_link()}"
        console.print(
            Text.assemble("Make the first account here, within a day:\n  ", (link, "bold underline"))
        )
    else:
        console.print(
            Text(f"Record to it: runcast login {address}, then %sync_tensorboard --to {address}", "dim")
        )
