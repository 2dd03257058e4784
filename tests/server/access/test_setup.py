"""From a new server to people who are logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast.server.access import CSRF_HEADER, Standing

if TYPE_CHECKING:
    from conftest import Place

PASSWORD = "correct horse battery"


def test_the_first_link_makes_the_first_admin_once(place: Place) -> None:
    """A new server has no password: who has the printed link becomes its admin, and the link is worthless after that."""
    client = place.client()
    assert client.get("setup").json() == {"needed": True}
    secret = place.access.users.setup_link()
    shown = client.get("setup", headers={"Authorization": f"Setup {secret}"}).json()
    assert (shown["kind"], shown["user"]) == ("setup", None)

    for wrong in ({"password": "short"}, {"password": "boss@example.org"}, {"name": "no spaces, please"}):
        body = {"secret": secret, "name": "boss@example.org", "password": PASSWORD, **wrong}
        assert client.post("setup", json=body).status_code == 400
    body = {"secret": secret, "name": "Boss@example.org", "password": PASSWORD}
    done = client.post("setup", json=body)
    assert done.status_code == 200
    assert done.json()["user"] == {"name": "boss@example.org", "standing": "admin"}
    assert client.get("session").json()["csrf"] == done.json()["csrf"]

    assert place.client().post("setup", json=body).status_code == 401
    assert client.get("setup").json() == {"needed": False}


def test_only_the_last_set_up_link_holds_and_for_a_day(place: Place) -> None:
    """A link that was printed before, or yesterday, sets nothing up."""
    first, second = place.access.users.setup_link(), place.access.users.setup_link()
    body = {"name": "boss", "password": PASSWORD}
    assert place.client().post("setup", json={"secret": first, **body}).status_code == 401
    place.clock.now += 86401
    assert place.client().post("setup", json={"secret": second, **body}).status_code == 401
    assert place.client().post("setup", json={"secret": "rcl_" + "a" * 43, **body}).status_code == 401


def test_an_invitation_lets_its_user_in(place: Place) -> None:
    """An admin adds a user and hands on a link; with it the user sets a password, and logs in with that later."""
    admin = place.browser(place.user("boss", Standing.ADMIN))
    added = admin.post("users", json={"name": "Ada", "standing": "guest"})
    assert added.status_code == 201
    page, secret = added.json()["link"].split("#")
    assert page == "http://runcast.test/setup"
    assert added.json()["user"]["invited"]

    new = place.client()
    assert new.get("setup", headers={"Authorization": f"Setup {secret}"}).json()["kind"] == "invitation"
    assert new.post("setup", json={"secret": secret, "password": PASSWORD}).status_code == 200
    assert new.get("session").json()["user"] == {"name": "ada", "standing": "guest"}
    assert new.post("setup", json={"secret": secret, "password": PASSWORD}).status_code == 401

    back = place.client()
    assert back.post("session", json={"name": "ADA", "password": PASSWORD}).status_code == 200
    assert admin.post("users", json={"name": "ada"}).status_code == 409
    assert admin.get("users/ada").json()["invited"] is False


def test_a_reset_ends_every_session(place: Place) -> None:
    """Who forgot a password gets a link from an admin; once it is used, whoever was logged in is out."""
    ada = place.user("ada", password=PASSWORD)
    before = place.browser(ada)
    admin = place.browser(place.user("boss", Standing.ADMIN))
    secret = admin.post("users/ada/link").json()["link"].split("#")[1]
    assert before.get("session").status_code == 200  # the link alone changes nothing
    after = place.client()
    assert after.get("setup", headers={"Authorization": f"Setup {secret}"}).json()["kind"] == "reset"
    assert after.post("setup", json={"secret": secret, "password": "a new password"}).status_code == 200
    assert before.get("session").status_code == 401
    assert after.get("session").status_code == 200
    for password, expected in ((PASSWORD, 401), ("a new password", 200)):
        answer = place.client().post("session", json={"name": "ada", "password": password})
        assert answer.status_code == expected


def test_a_changed_password_ends_every_other_session(place: Place) -> None:
    """Changing one's password needs the old one, and leaves this browser alone logged in."""
    ada = place.user("ada", password=PASSWORD)
    other, here = place.browser(ada), place.browser(ada)
    wrong = here.put("users/ada/password", json={"old": "not the one", "new": "a new password"})
    assert wrong.status_code == 401
    done = here.put("users/ada/password", json={"old": PASSWORD, "new": "a new password"})
    assert done.status_code == 200
    assert other.get("session").status_code == 401
    here.headers[CSRF_HEADER] = done.json()["csrf"]
    assert here.get("session").json()["csrf"] == done.json()["csrf"]
    assert here.delete("session", params={"everywhere": "true"}).status_code == 204
    assert here.get("session").status_code == 401


def test_sessions_end(place: Place) -> None:
    """A session ends when it is idle for a week, and after a month however busy it is."""
    ada = place.user("ada")
    idle, busy = place.browser(ada), place.browser(ada)
    for _ in range(5):
        place.clock.now += 6 * 86400 - 60
        place.access._credentials.clear()
        assert busy.get("session").status_code == 200
    assert idle.get("session").status_code == 401
    place.clock.now += 86400
    assert busy.get("session").status_code == 401


def test_the_last_admin_stays(place: Place) -> None:
    """A server cannot lose its only admin, by removing it or by making it something less."""
    admin = place.browser(place.user("boss", Standing.ADMIN))
    assert admin.delete("users/boss").status_code == 409
    assert admin.patch("users/boss", json={"standing": "member"}).status_code == 409
    place.user("deputy", Standing.ADMIN)
    assert admin.patch("users/boss", json={"standing": "member"}).status_code == 200
    assert admin.get("users").status_code == 403
