"""Projects, their members, tokens and share links, as those see them who use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runcast.run.record import new_run_id
from runcast.server.access import Access, Project, Role, Run, Scope, Standing
from runcast.server.access.access import LOOK_EVERY

if TYPE_CHECKING:
    from conftest import Place


def names(answer: Any) -> list[str]:
    """The names of the projects that a list shows."""
    return [each["name"] for each in answer.json()["projects"]]


def test_the_first_run_makes_its_project_and_its_maker_the_owner(place: Place) -> None:
    """Naming a project is enough; after that it is private: others cannot record into it, nor learn of its runs."""
    ada = place.token(place.user("ada"), Scope.WRITE)
    otto = place.token(place.user("otto"), Scope.WRITE)
    body = {"id": new_run_id(), "project": "group/vision ü"}
    assert ada.post("runs", json=body).status_code == 201
    shown = ada.get("projects/group%2Fvision%20%C3%BC").json()
    assert (shown["name"], shown["visibility"], shown["may"]) == ("group/vision ü", "private", ["write"])
    assert ada.get("projects/group/vision ü/members").json() == {
        "members": [{"user": "ada", "role": "owner"}]
    }

    refused = otto.post("runs", json={"id": new_run_id(), "project": "group/vision ü"})
    assert refused.status_code == 403
    assert "choose another name" in refused.json()["error"]
    assert otto.get("projects/group/vision ü").status_code == 404
    assert names(otto.get("projects")) == []
    assert names(ada.get("projects")) == ["group/vision ü"]


def test_runs_that_nobody_made_a_project_for_are_the_admins(place: Place) -> None:
    """Runs that were in the store before it was served are not for whoever names their project first."""
    run = place.run("old")
    boss = place.token(place.user("boss", Standing.ADMIN))
    otto = place.token(place.user("otto"))
    assert otto.get(f"runs/{run}").status_code == 404
    assert otto.post("projects", json={"name": "old"}).status_code == 409
    assert otto.post("runs", json={"id": new_run_id(), "project": "old"}).status_code == 403
    assert otto.post("runs", json={"id": run, "project": "mine"}).status_code == 404
    assert boss.get(f"runs/{run}").status_code == 200
    assert [each["runs"] for each in boss.get("projects").json()["projects"]] == [1]
    assert boss.put("projects/old/members/otto", json={"role": "viewer"}).status_code == 200
    assert otto.get(f"runs/{run}").status_code == 200
    assert otto.patch(f"runs/{run}").status_code == 403


def test_members_and_visibility(team: Any) -> None:
    """Owners add and remove members; the last owner stays; a project can be opened to the server, but not to guests."""
    place: Place = team.place
    ada, otto = place.token(team.ada), place.token(team.otto)
    guest = place.token(place.user("gus", Standing.GUEST))
    run = f"runs/{team.run}"
    assert otto.get(run).status_code == 404
    assert ada.patch("projects/vision", json={"visibility": "server"}).status_code == 200
    assert [each.get(run).status_code for each in (otto, guest)] == [200, 404]
    assert otto.patch(run).status_code == 403
    assert names(otto.get("projects")) == ["vision"]
    assert ada.patch("projects/vision", json={"visibility": "private"}).status_code == 200
    assert otto.get(run).status_code == 404

    assert ada.put("projects/vision/members/otto", json={"role": "writer"}).status_code == 200
    assert otto.patch(run).status_code == 200
    assert otto.put("projects/vision/members/gus", json={"role": "viewer"}).status_code == 403
    assert (
        place.browser(team.otto).delete("projects/vision/members/otto").status_code == 204
    )  # leaves by himself
    assert otto.get(run).status_code == 404
    assert ada.put("projects/vision/members/ada", json={"role": "viewer"}).status_code == 409
    assert ada.delete("projects/vision/members/ada").status_code == 409
    assert ada.put("projects/vision/members/nobody", json={"role": "viewer"}).status_code == 404
    assert ada.delete("projects/vision").status_code == 409  # there is a run in it
    assert ada.put("projects/vision/members/otto", json={"role": "king"}).status_code == 400


def test_a_project_keeps_runs_for_a_while(team: Any) -> None:
    """Owners say how long runs are kept; what is older goes into the trash. A project of the same name later starts anew."""
    place: Place = team.place
    ada, otto = place.token(team.ada), place.token(team.otto)
    place.access.projects.set_role("vision", place.access.users.find("otto").id, Role.WRITER)
    assert ada.get("projects/vision").json()["keep_for"] is None
    kept = ada.patch("projects/vision", json={"keep_for": 86400 * 30})
    assert (kept.status_code, kept.json()["keep_for"], kept.json()["visibility"]) == (200, 2592000, "private")
    assert ada.patch("projects/vision", json={"visibility": "server"}).json()["keep_for"] == 2592000
    assert ada.patch("projects/vision", json={"keep_for": 5}).status_code == 400
    assert otto.patch("projects/vision", json={"keep_for": None}).status_code == 403
    assert place.store.expire(place.clock.now + 86400 * 31)[0] == [team.run]
    assert ada.delete("projects/vision").status_code == 409
    place.store.purge(team.run)
    assert ada.delete("projects/vision").status_code == 204
    assert ada.post("projects", json={"name": "vision"}).json()["keep_for"] is None


def test_guests_make_no_projects(place: Place) -> None:
    """A guest sees and records what it was invited into, and nothing of its own."""
    guest = place.token(place.user("gus", Standing.GUEST))
    assert guest.post("projects", json={"name": "mine"}).status_code == 403
    assert guest.post("runs", json={"id": new_run_id(), "project": "mine"}).status_code == 403
    place.run("theirs", owner=place.user("ada"))
    place.access.projects.set_role("theirs", place.access.users.find("gus").id, Role.WRITER)
    assert guest.post("runs", json={"id": new_run_id(), "project": "theirs"}).status_code == 201


def test_a_token_is_shown_once_and_does_what_its_scope_says(team: Any) -> None:
    """Tokens are made by who is logged in, not by tokens; they read, write or administer, and end when revoked."""
    place: Place = team.place
    ada = place.browser(team.ada)
    made = {}
    for scope in ("read", "write", "admin"):
        answer = ada.post("tokens", json={"name": f"my {scope}", "scope": scope})
        assert answer.status_code == 201
        made[scope] = answer.json()
        assert made[scope]["secret"].startswith("rc_")
    listed = ada.get("tokens")
    assert [each["name"] for each in listed.json()["tokens"]] == ["my admin", "my write", "my read"]
    assert not any(each["secret"] in listed.text for each in made.values())
    dumped = "\n".join(place.database.engine.raw_connection().driver_connection.iterdump())
    assert "my admin" in dumped
    assert not any(each["secret"][3:] in dumped for each in made.values())

    client = {scope: place.client(f"Bearer {each['secret']}") for scope, each in made.items()}
    run = f"runs/{team.run}"
    assert [client[scope].get(run).status_code for scope in client] == [200, 200, 200]
    assert [client[scope].patch(run).status_code for scope in client] == [403, 200, 200]
    assert [client[scope].get(f"shares?run={team.run}").status_code for scope in client] == [403, 403, 200]
    assert [client[scope].get("tokens").status_code for scope in client] == [403, 403, 403]
    assert client["write"].get("session").json()["token"]["name"] == "my write"
    assert all(each["used"] == place.clock.now for each in ada.get("tokens").json()["tokens"])

    otto = place.browser(team.otto)
    number = made["write"]["token"]["id"]
    assert otto.delete(f"tokens/{number}").status_code == 404
    assert otto.get("tokens?all=true").status_code == 403
    boss = place.browser(team.boss)
    assert len(boss.get("tokens?all=true").json()["tokens"]) == 3
    assert boss.delete(f"tokens/{number}").status_code == 204
    refused = client["write"].get(run)
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert ada.delete(f"tokens/{made['read']['token']['id']}").status_code == 204
    assert client["read"].get(run).status_code == 401


def test_a_token_for_one_project_sees_no_other(team: Any) -> None:
    """A token that a machine gets for its project opens nothing else of its user's, and makes no other project."""
    place: Place = team.place
    other = place.run("other", owner=team.ada)
    token = place.token(team.ada, project="vision")
    assert token.patch(f"runs/{team.run}").status_code == 200
    assert token.get(f"runs/{other}").status_code == 404
    assert names(token.get("projects")) == ["vision"]
    assert token.post("runs", json={"id": new_run_id(), "project": "third"}).status_code == 403
    assert token.post("projects", json={"name": "third"}).status_code == 403
    assert token.get("users/ada").status_code == 404
    new = place.token(team.ada, Scope.WRITE, project="new")
    assert new.post("runs", json={"id": new_run_id(), "project": "new"}).status_code == 201
    assert new.get("projects/new").status_code == 200
    # An admin's token for one project does not administer the server.
    assert place.token(team.boss, project="vision").get("users").status_code == 403


def test_a_token_expires(team: Any) -> None:
    """A token with an end is worth nothing after it, to the second, though it was just used."""
    place: Place = team.place
    token = place.token(team.ada, expires=place.clock.now + 60)
    place.clock.now += 59
    assert token.get("session").status_code == 200
    place.clock.now += 1
    assert token.get("session").status_code == 401
    past = {"name": "x", "scope": "read", "expires": place.clock.now - 1}
    assert place.browser(team.ada).post("tokens", json=past).status_code == 400


def test_share_links_open_what_they_name(team: Any) -> None:
    """Whoever holds a link reads its run, or its project's runs, and nothing else; revoked, it opens nothing."""
    place: Place = team.place
    ada = place.browser(team.ada)
    second, other = place.run("vision"), place.run("other", owner=team.ada)
    answer = ada.post("shares", json={"run": team.run, "name": "for the paper"})
    assert answer.status_code == 201
    assert answer.json()["link"] == f"http://runcast.test/share#{answer.json()['secret']}"
    of_run = place.client("Share " + answer.json()["secret"])
    of_project = place.client("Share " + ada.post("shares", json={"project": "vision"}).json()["secret"])
    runs = (team.run, second, other)
    assert [of_run.get(f"runs/{run}").status_code for run in runs] == [200, 404, 404]
    assert [of_project.get(f"runs/{run}").status_code for run in runs] == [200, 200, 404]
    for link in (of_run, of_project):
        assert link.patch(f"runs/{team.run}").status_code == 403
        assert link.get("projects/vision/members").status_code in {403, 404}
        assert link.post("runs", json={"id": new_run_id(), "project": "vision"}).status_code == 403
        assert link.get("tokens").status_code == 404
        assert link.get("users").status_code == 403
    assert names(of_project.get("projects")) == ["vision"]
    assert names(of_run.get("projects")) == []
    assert of_run.get("session").json() == {"share": {"run": team.run, "project": "vision"}}

    shares = ada.get("shares?project=vision").json()["shares"]
    assert [(each["run"], each["name"], each["maker"]) for each in shares] == [
        (None, "a project", "ada"),
        (team.run, "for the paper", "ada"),
    ]
    assert len(ada.get(f"shares?run={team.run}").json()["shares"]) == 1
    assert ada.delete(f"shares/{answer.json()['share']['id']}").status_code == 204
    assert of_run.get(f"runs/{team.run}").status_code == 401
    assert of_project.get(f"runs/{team.run}").status_code == 200


def test_who_may_share_what(team: Any) -> None:
    """Writers share runs and revoke their own links; the project and others' links are its owners' business."""
    place: Place = team.place
    ada, wim, vera, otto = (place.browser(user) for user in (team.ada, team.wim, team.vera, team.otto))
    body = {"run": team.run}
    assert [each.post("shares", json=body).status_code for each in (vera, otto)] == [403, 404]
    wims = wim.post("shares", json=body).json()["share"]["id"]
    adas = ada.post("shares", json=body).json()["share"]["id"]
    assert wim.post("shares", json={"project": "vision"}).status_code == 403
    assert wim.post("shares", json={"run": team.run, "project": "vision"}).status_code == 400
    assert [each.delete(f"shares/{adas}").status_code for each in (wim, vera, otto)] == [403, 404, 404]
    assert wim.delete(f"shares/{wims}").status_code == 204
    assert ada.delete(f"shares/{wims}").status_code == 404


@pytest.mark.parametrize("leaving", ["demoted", "removed", "gone", "moved"])
def test_a_link_opens_no_more_than_its_maker_may_share(team: Any, leaving: str) -> None:
    """A link does not outlive its maker's rights: who leaves the team keeps no door open, nor does a run that moved away."""
    place: Place = team.place
    link = place.share(Run(team.run, "vision"), team.wim)
    kept = place.share(Run(team.run, "vision"), None)  # by who has the machine
    assert link.get(f"runs/{team.run}").status_code == 200
    match leaving:
        case "demoted":
            place.access.projects.set_role("vision", team.wim, Role.VIEWER)
        case "removed":
            place.access.projects.set_role("vision", team.wim, None)
        case "gone":
            place.access.users.remove("wim")
        case "moved":
            from runcast.store.protocol import Facts

            place.store.update(team.run, Facts(project="other"))
            place.access._credentials.clear()  # five seconds later
            place.access.moved(team.run)
    assert link.get(f"runs/{team.run}").status_code == 401
    assert kept.get(f"runs/{team.run}").status_code == 200


def test_links_expire(team: Any) -> None:
    """A link with an end is worth nothing after it."""
    place: Place = team.place
    link = place.share(Project("vision"), team.ada, expires=place.clock.now + 60)
    assert link.get(f"runs/{team.run}").status_code == 200
    place.clock.now += 61
    assert link.get(f"runs/{team.run}").status_code == 401


def test_a_project_that_is_made_again_is_a_new_one(place: Place) -> None:
    """Who was a member of a removed project, or has a link to it, sees nothing of another one by its name."""
    ada, otto = place.user("ada"), place.user("otto")
    boss = place.token(place.user("boss", Standing.ADMIN))
    place.access.projects.make("vision", ada)
    link = place.share(Project("vision"), None)
    assert boss.delete("projects/vision").status_code == 204
    run = place.run("vision", owner=otto)
    assert place.token(ada).get(f"runs/{run}").status_code == 404
    assert link.get(f"runs/{run}").status_code == 401


def test_what_another_process_grants_holds_at_once_and_what_it_revokes_in_seconds(
    team: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas share a database: a grant on one is never refused by another, a revocation reaches it within 5 s."""
    place: Place = team.place
    elsewhere = Access(place.database, clock=place.clock)
    now = [0.0]
    here = Access(place.database, clock=place.clock, ticks=lambda: now[0])
    place.access = place.app.state.access = here
    otto, wim = place.token(team.otto), place.token(team.wim)
    assert otto.get(f"runs/{team.run}").status_code == 404
    assert wim.patch(f"runs/{team.run}").status_code == 200
    elsewhere.projects.set_role("vision", team.otto, Role.WRITER)
    assert otto.patch(f"runs/{team.run}").status_code == 200
    elsewhere.users.remove("wim")
    now[0] += LOOK_EVERY
    assert wim.patch(f"runs/{team.run}").status_code == 401


def test_asking_again_costs_no_database(team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that sends many requests a second is looked up once in a few seconds, its run too."""
    place: Place = team.place
    place.access = place.app.state.access = Access(place.database, clock=place.clock, ticks=lambda: 0.0)
    token = place.token(team.ada)
    assert token.get(f"runs/{team.run}").status_code == 200
    place.browser(team.wim)  # nor do others' logins make it ask again

    def fail(*_: Any) -> None:
        raise AssertionError("asked the database")

    monkeypatch.setattr(place.database, "read", fail)
    monkeypatch.setattr(place.database, "write", fail)
    assert [token.patch(f"runs/{team.run}").status_code for _ in range(3)] == [200] * 3


def test_a_run_in_the_trash_is_gone_for_all_who_cannot_take_it_out(team: Any) -> None:
    """Throwing a run away closes its links and hides it from viewers; taken out of the trash, it is as it was."""
    place: Place = team.place
    links = [place.share(Run(team.run, "vision"), team.ada), place.share(Project("vision"), team.ada)]
    vera, wim = place.token(team.vera), place.token(team.wim, Scope.READ)
    everyone = [*links, vera, wim]
    run = f"runs/{team.run}"
    assert [each.get(run).status_code for each in everyone] == [200] * 4
    place.store.trash(team.run)
    place.access.moved(team.run)
    place.access._credentials.clear()  # five seconds later
    assert [each.get(run).status_code for each in everyone] == [401, 404, 404, 200]
    assert vera.get("projects/vision").json()["runs"] == 0
    place.store.restore(team.run)
    place.access.moved(team.run)
    assert [each.get(run).status_code for each in everyone] == [200] * 4
