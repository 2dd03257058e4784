"""`runcast users | token | share`: who may do what on the server that keeps its runs here, for whoever has the machine."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runcast.server.access import Access
    from runcast.store.local import LocalStore

__all__ = ["COMMANDS"]

STANDINGS = ("guest", "member", "admin")
SCOPES = ("read", "write", "admin")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
at_database = click.option(
    "--database", metavar="URL", envvar="RUNCAST_DATABASE", help="The server's database, if it is not in DIR."
)
at_url = click.option(
    "--url",
    metavar="URL",
    envvar="RUNCAST_URL",
    default="http://127.0.0.1:8765",
    show_default=True,
    help="Where people reach the server: links begin with it.",
)


class Served(NamedTuple):
    """What a command works on: the server's store, its access, and the address that links begin with."""

    store: LocalStore
    access: Access
    url: str


def _open(context: click.Context, database: str | None, url: str) -> None:
    """Keep what the group's commands open."""
    place: Path | None = context.obj

    def served() -> Served:
        try:
            from runcast.server.access import Access
        except ImportError as error:
            from runcast.errors import MissingPackage

            raise MissingPackage(
                f"a server's access needs {error.name}: pip install 'runcast[server]'"
            ) from error
        from runcast.cli.serve import open_served

        store = open_served(place, database, None)
        context.call_on_close(store.close)
        return Served(store, Access(store.database, url=url), url.rstrip("/"))

    context.obj = served


def moment(said: str) -> float:
    """Return the moment that is a length of time from now (`12h`, `30d`, `4w`, `1y`), in seconds since the epoch."""
    found = re.fullmatch(r"(\d{1,5})\s*(h|d|w|y)", said.strip().lower())
    if found is None:
        raise click.BadParameter(f"{said!r} is no length of time; write 12h, 30d, 4w or 1y")
    return time.time() + int(found[1]) * {"h": 3600, "d": 86400, "w": 604800, "y": 31536000}[found[2]]


expires = click.option("--expires", metavar="TIME", type=moment, help="It ends after this: 12h, 30d, 4w, 1y (default: never).")  # fmt: skip


# Users.


@click.group(short_help="Add, list and remove the users of a server.")
@at_database
@at_url
@click.pass_context
def users(context: click.Context, database: str | None, url: str) -> None:
    """Add, list and remove the users of the server that keeps its runs in DIR. Run it where the server runs."""
    _open(context, database, url)


@users.command("list")
@as_json
@click.pass_obj
def list_users(served: Callable[[], Served], as_json: bool) -> None:
    """List all users."""
    from runcast.server.access.routes.shapes import user_shape

    shapes = [user_shape(each) for each in served().access.users.all()]
    _show(
        shapes,
        {"user": "name", "standing": "standing", "added": "created", "": _invited},
        as_json,
        "no users yet: `runcast serve` prints the link for the first one",
    )


@users.command("add")
@click.argument("name")
@click.option("--admin", "standing", flag_value="admin", help="An admin sees and manages everything.")
@click.option("--guest", "standing", flag_value="guest", help="A guest sees only projects that it is made a member of, and makes none.")  # fmt: skip
@click.pass_obj
def add_user(served: Callable[[], Served], name: str, standing: str | None) -> None:
    """Add a user, and print the link by which it sets its password, once."""
    access = (here := served()).access
    user, secret = access.users.add(name, _standing(standing or "member"))
    _tell(f"{user.name} sets a password here, within a week:", f"{here.url}/setup#{secret}")


@users.command("remove")
@click.argument("name")
@click.pass_obj
def remove_user(served: Callable[[], Served], name: str) -> None:
    """Remove a user with its sessions, tokens and links; its runs and projects stay."""
    served().access.users.remove(name)
    click.echo(f"{name} was removed")


@users.command("set")
@click.argument("name")
@click.argument("standing", type=click.Choice(STANDINGS))
@click.pass_obj
def set_standing(served: Callable[[], Served], name: str, standing: str) -> None:
    """Make a user an admin, a member or a guest."""
    served().access.users.set_standing(name, _standing(standing))
    click.echo(f"{name} is {'an' if standing == 'admin' else 'a'} {standing} now")


@users.command("reset")
@click.argument("name")
@click.pass_obj
def reset_user(served: Callable[[], Served], name: str) -> None:
    """Print a link by which a user sets a new password, once; the old one holds until then."""
    access = (here := served()).access
    secret = access.users.link(name)
    _tell(f"{name} sets a new password here, within a week:", f"{here.url}/setup#{secret}")


@users.command("setup-link")
@click.pass_obj
def setup_link(served: Callable[[], Served]) -> None:
    """Print a new link by which the first account is made, while there is none; earlier ones are void."""
    access = (here := served()).access
    _tell("Make the first account here, within a day:", f"{here.url}/setup#{access.users.setup_link()}")


# Tokens.


@click.group(short_help="Make, list and revoke API tokens.")
@at_database
@at_url
@click.pass_context
def token(context: click.Context, database: str | None, url: str) -> None:
    """Make, list and revoke API tokens of the server that keeps its runs in DIR. Run it where the server runs."""
    _open(context, database, url)


@token.command("create")
@click.argument("name")
@click.option("--user", metavar="U", help="For whom it acts (default: the only user).")
@click.option("--scope", type=click.Choice(SCOPES), default="write", show_default=True, help="What of the user's power it has.")  # fmt: skip
@click.option("--project", metavar="P", help="Only in this project.")
@expires
@click.pass_obj
def create_token(
    served: Callable[[], Served],
    name: str,
    user: str | None,
    scope: str,
    project: str | None,
    expires: float | None,
) -> None:
    """Make a token called NAME, and print it, once: it goes to stdout, all else to stderr."""
    from runcast.server.access import Scope

    access = served().access
    owner = _only_user(access) if user is None else access.users.find(user)
    made, secret = access.tokens.create(
        owner.id, name, Scope[scope.upper()], project=project, expires=expires
    )
    where = "" if project is None else f" in project {project}"
    _tell(f"Token {made.id} may {scope}{where} for {owner.name}. It is not shown again:", secret)


@token.command("list")
@click.option("--user", metavar="U", help="Only this user's.")
@as_json
@click.pass_obj
def list_tokens(served: Callable[[], Served], user: str | None, as_json: bool) -> None:
    """List tokens, newest first; their secrets are not kept."""
    from runcast.server.access.routes.shapes import token_shape

    access = served().access
    owner = None if user is None else access.users.find(user).id
    columns: dict[str, Any] = {
        "token": "id",
        "name": "name",
        "user": "user",
        "may": "scope",
        "project": lambda shape: shape["project"] or "all",
        "made": "created",
        "used": "used",
        "expires": "expires",
    }
    _show([token_shape(each) for each in access.tokens.all(owner)], columns, as_json, "no tokens")


@token.command("revoke")
@click.argument("number", metavar="TOKEN", type=int)
@click.pass_obj
def revoke_token(served: Callable[[], Served], number: int) -> None:
    """Make a token worthless; TOKEN is its number in the list. A running server heeds it within 5 seconds."""
    served().access.tokens.revoke(number)
    click.echo(f"token {number} was revoked")


# Shares.


@click.group(short_help="Make, list and revoke links that need no account.")
@at_database
@at_url
@click.pass_context
def share(context: click.Context, database: str | None, url: str) -> None:
    """Make, list and revoke links to runs and projects of the server that keeps its runs in DIR. Run it where the server runs."""
    _open(context, database, url)


@share.command("create")
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--project", metavar="P", help="A project and all its runs, instead of a run.")
@click.option("--name", default="", metavar="N", help="What the list calls it.")
@expires
@click.pass_obj
def create_share(
    served: Callable[[], Served], run: str | None, project: str | None, name: str, expires: float | None
) -> None:
    """Make a link by which anyone may look at RUN, or at a project, and print it, once."""
    from runcast.cli.find import find_run
    from runcast.server.access import Project, Run

    if (run is None) == (project is None):
        raise click.UsageError("name a RUN, or a project with --project")
    here = served()
    target: Project | Run
    if run is not None:
        found = find_run(here.store, run)
        target, what = Run(found.id, found.project), f"run {found.name} ({found.id})"
    else:
        target, what = here.access.projects.known(project or ""), f"project {project}"
        if not target.known:
            raise click.ClickException(f"there is no project {project!r}")
    made, secret = here.access.shares.create(target, None, name, expires=expires)
    _tell(f"Link {made.id} shows {what}. It is not shown again:", f"{here.url}/share#{secret}")


@share.command("list")
@as_json
@click.pass_obj
def list_shares(served: Callable[[], Served], as_json: bool) -> None:
    """List links, newest first; their secrets are not kept."""
    from runcast.server.access.routes.shapes import share_shape

    columns: dict[str, Any] = {
        "link": "id",
        "name": "name",
        "project": "project",
        "run": lambda shape: shape["run"] or "all",
        "maker": lambda shape: shape["maker"] or "command line",
        "made": "created",
        "used": "used",
        "expires": "expires",
    }
    _show([share_shape(each) for each in served().access.shares.all()], columns, as_json, "no links")


@share.command("revoke")
@click.argument("number", metavar="LINK", type=int)
@click.pass_obj
def revoke_share(served: Callable[[], Served], number: int) -> None:
    """Make a link worthless; LINK is its number in the list. A running server heeds it within 5 seconds."""
    served().access.shares.revoke(number)
    click.echo(f"link {number} was revoked")


COMMANDS = (users, token, share)


def _standing(word: str) -> Any:
    from runcast.server.access import Standing

    return Standing[word.upper()]


def _only_user(access: Access) -> Any:
    found = access.users.all()
    if len(found) != 1:
        raise click.UsageError(
            "name a user with --user: " + (", ".join(each.name for each in found) or "there is none yet")
        )
    return found[0]


def _invited(shape: dict[str, Any]) -> str:
    return "invited" if shape["invited"] else ""


def _tell(words: str, secret: str) -> None:
    """Print a secret by itself, so that a script can take it."""
    click.echo(words, err=True)
    click.echo(secret)


def _show(shapes: Sequence[dict[str, Any]], columns: dict[str, Any], as_json: bool, nothing: str) -> None:
    """Print rows as JSON, or as a table whose columns are a field each, or what a function makes of the row."""
    if as_json:
        from runcast.store.shapes import dumps

        click.echo(dumps(list(shapes)))
        return
    if not shapes:
        click.echo(nothing)
        return
    from runcast.cli.tables import show_rows

    show_rows({head: [_cell(shape, of) for shape in shapes] for head, of in columns.items()})


def _cell(shape: dict[str, Any], of: Any) -> str:
    from runcast.cli.words import ago, duration

    if callable(of):
        return str(of(shape))
    value = shape[of]
    if of in {"created", "used"}:
        return "never" if value is None else ago(time.time() - value)
    if of == "expires":
        left = None if value is None else value - time.time()
        return "never" if left is None else f"in {duration(left)}" if left > 0 else "expired"
    return str(value)
