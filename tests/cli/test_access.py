"""`runcast users`, `token` and `share`, on a server's own folder."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from runcast.cli import main
from runcast.run.record import RunRecord
from runcast.server.access import Access
from runcast.server.access.errors import Unauthorized
from runcast.server.access.identify import identify
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSWORD = "correct horse battery"


@pytest.fixture
def run_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run `runcast …` and return its exit code, and what it printed to stdout and stderr."""
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path))
    monkeypatch.setenv("RUNCAST_URL", "https://runs.example.org/")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    return run


@pytest.fixture
def access(tmp_path: Path) -> Access:
    """The same server's access, as the server itself sees it."""
    with LocalStore(tmp_path, own_in_place=False) as store:
        store.create(RunRecord("aaaaaaaaaaaaaaaa", "vision", "first", "running", 1e9))
        return Access(store.database)


def test_a_user_is_added_lets_itself_in_and_is_removed(run_command, access) -> None:
    """The link that `users add` prints sets a password; the last admin stays; who is removed is gone."""
    assert "no users yet" in run_command("users", "list")[1]
    assert run_command("users", "setup-link")[1].startswith("https://runs.example.org/setup#rcl_")
    code, link, words = run_command("users", "add", "Ada", "--admin")
    assert (code, words) == (0, "ada sets a password here, within a week:")
    access.users.take(link.partition("#")[2], PASSWORD)
    assert access.sessions.log_in("ada", PASSWORD, "")
    again = run_command("users", "reset", "ada")[1].partition("#")[2]
    access.users.take(again, PASSWORD + "!")

    run_command("users", "add", "gus", "--guest")
    shown = json.loads(run_command("users", "list", "--json")[1])
    assert [(each["name"], each["standing"], each["invited"]) for each in shown] == [
        ("ada", "admin", False),
        ("gus", "guest", True),
    ]
    assert re.search(r"gus +guest +just now +invited", run_command("users", "list")[1])
    assert run_command("users", "set", "gus", "member")[1] == "gus is a member now"
    code, _, words = run_command("users", "remove", "ada")
    assert (code, "only admin" in words) == (1, True)
    assert run_command("users", "remove", "gus")[0] == 0
    code, _, words = run_command("users", "remove", "gus")
    assert (code, "there is no user 'gus'" in words) == (1, True)
    assert run_command("users", "add", "not a name")[0] == 1
    code, _, words = run_command("users", "setup-link")
    assert (code, "is set up" in words) == (1, True)


def test_a_token_is_printed_once_for_scripts(run_command, access) -> None:
    """stdout has the token and nothing else; it works until it is revoked; the list never shows it."""
    run_command("users", "add", "ada")
    code, secret, words = run_command("token", "create", "gpu box", "--project", "vision", "--expires", "30d")
    assert (code, len(secret.split())) == (0, 1)
    assert "may write in project vision for ada" in words
    ground = access._ground
    actor = identify(ground, "rc_", secret).actor
    assert (actor.name, actor.project, actor.user.name) == ("gpu box", "vision", "ada")
    listed = run_command("token", "list")[1]
    assert re.search(r"1 +gpu box +ada +write +vision +just now +just now +in (29 d 23|30 d 0) h", listed)
    assert secret not in listed + run_command("token", "list", "--user", "ada", "--json")[1]
    assert run_command("token", "revoke", "1")[0] == 0
    with pytest.raises(Unauthorized):
        identify(ground, "rc_", secret)
    assert run_command("token", "revoke", "1")[0] == 1
    assert run_command("token", "list")[1] == "no tokens"
    for wrong in (["--expires", "soon"], ["--user", "nobody"], ["--scope", "all"]):
        assert run_command("token", "create", "x", *wrong)[0] in {1, 2}
    run_command("users", "add", "otto")
    code, _, words = run_command("token", "create", "x")
    assert (code, "--user: ada, otto" in words) == (2, True)


def test_a_link_is_printed_once(run_command, access) -> None:
    """A run or a project is shared without an account, until the link is revoked."""
    code, link, _ = run_command("share", "create", "latest", "--name", "for the paper")
    assert code == 0
    page, secret = link.split("#")
    assert page == "https://runs.example.org/share"
    assert identify(access._ground, "rcs_", secret).actor.target.id == "aaaaaaaaaaaaaaaa"
    assert run_command("share", "create", "--project", "vision")[0] == 0
    listed = run_command("share", "list")[1]
    assert re.search(r"for the paper +vision +aaaaaaaaaaaaaaaa +command line +just now", listed)
    assert secret not in listed
    assert run_command("share", "revoke", "1")[1] == "link 1 was revoked"
    with pytest.raises(Unauthorized):
        identify(access._ground, "rcs_", secret)
    assert run_command("share", "create")[0] == 2
    assert run_command("share", "create", "--project", "nothing")[0] == 1
    assert run_command("share", "create", "nothing")[0] == 1
