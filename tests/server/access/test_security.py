"""What an attacker would try, each tried."""

from __future__ import annotations

import logging
import socket
import statistics
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from runcast.run.record import new_run_id
from runcast.server.access import CSRF_HEADER, Access, Run, Scope, Standing
from runcast.server.access.passwords import verify
from runcast.server.access.throttle import LIMITS, Throttle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Place

PASSWORD = "correct horse battery"


@contextmanager
def served(app: Any, **config: Any) -> Iterator[int]:
    """A real server of an application, on a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None, **config))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield port
    server.should_exit = True
    thread.join(10)


def test_another_site_cannot_act_for_a_browser(team: Any) -> None:
    """A cookie alone changes nothing: a page of another site does not have the session's CSRF token, nor another session's."""
    place: Place = team.place
    ada = place.browser(team.ada)
    foreign = place.browser(team.otto).headers[CSRF_HEADER]
    mine = ada.headers[CSRF_HEADER]
    path = f"runs/{team.run}"
    for bad in ("", foreign, mine[:-1], mine + "0", "ü"):
        assert ada.patch(path, headers={CSRF_HEADER: bad.encode()}).status_code == 403, bad
    del ada.headers[CSRF_HEADER]
    assert ada.patch(path).status_code == 403
    assert ada.get(path).status_code == 200
    for header in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://runcast.test"},
        {"Origin": "null"},
    ):
        assert ada.patch(path, headers={CSRF_HEADER: mine, **header}).status_code == 403, header
    for header in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://runcast.test"}):
        assert ada.patch(path, headers={CSRF_HEADER: mine, **header}).status_code == 200, header


def test_another_site_cannot_log_a_browser_in(place: Place) -> None:
    """No form of another site can log a victim in as the attacker: it is no JSON, and its origin shows."""
    place.user("mallory", password=PASSWORD)
    body = {"name": "mallory", "password": PASSWORD}
    assert place.client().post("session", data=body).status_code == 415
    text = '{"name": "mallory", "password": "' + PASSWORD + '", "x": "="}'
    assert (
        place.client().post("session", content=text, headers={"Content-Type": "text/plain"}).status_code
        == 415
    )
    foreign = {"Origin": "https://evil.example"}
    assert place.client().post("session", json=body, headers=foreign).status_code == 403
    assert place.client().post("setup", json={"secret": "x"}, headers=foreign).status_code == 403


def test_a_planted_session_is_never_logged_in(place: Place) -> None:
    """Session fixation: the id that a browser came with, made up or stolen, is not the one after its login, and is void."""
    ada = place.user("ada", password=PASSWORD)
    planted = place.access.sessions.open(ada).secret  # the attacker's own, or an old one
    for cookie in (planted, "rcx_" + "a" * 43, "made-up"):
        client = place.client()
        client.cookies.set("runcast_session", cookie)
        answer = client.post("session", json={"name": "ada", "password": PASSWORD})
        assert answer.status_code == 200
        assert cookie not in answer.headers["set-cookie"]
        old = place.client()
        old.cookies.set("runcast_session", cookie)
        assert old.get("session").status_code == 401
        place.access.sessions._throttle._attempts.clear()


@pytest.mark.parametrize("base", ["http://runcast.test", "https://runcast.test"])
def test_the_cookie_is_out_of_reach(place: Place, base: str) -> None:
    """Scripts cannot read the cookie, other sites' forms do not send it, and over TLS it is sent over nothing else."""
    place.user("ada", password=PASSWORD)
    client = place.client(base=base)
    answer = client.post("session", json={"name": "ada", "password": PASSWORD})
    name, *flags = [part.strip().lower() for part in answer.headers["set-cookie"].split(";")]
    secure = base.startswith("https")
    assert name.startswith("__host-runcast_session=rcx_" if secure else "runcast_session=rcx_")
    assert {"httponly", "samesite=lax", "path=/"} <= set(flags)
    assert ("secure" in flags) is secure
    assert not any(flag.startswith("domain") for flag in flags)
    assert answer.headers["cache-control"] == "no-store"
    client.headers[CSRF_HEADER] = answer.json()["csrf"]
    gone = client.delete("session")
    assert gone.status_code == 204
    assert "max-age=0" in gone.headers["set-cookie"].lower()
    secret = name.partition("=")[2]
    replayed = place.client(base=base)
    replayed.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
    assert secret.startswith("rcx_")
    assert replayed.get("session").status_code == 401


def test_a_session_over_tls_is_not_taken_from_a_cookie_that_anyone_may_set(team: Any) -> None:
    """Another host of the domain, or a page without TLS, can set the plain cookie: over TLS it is not looked at."""
    place: Place = team.place
    client = place.client(base="https://runcast.test")
    client.cookies.set("runcast_session", place.access.sessions.open(team.ada).secret)
    assert client.get("session").status_code == 401


def test_guessing_passwords_ends_soon(place: Place) -> None:
    """After five wrong passwords from one address even the right one waits a minute; others still get in."""
    place.user("ada", password=PASSWORD)
    body = {"name": "ada", "password": "wrong password"}
    tries = [place.client().post("session", json=body) for _ in range(6)]
    assert [each.status_code for each in tries] == [401] * 5 + [429]
    assert 0 < int(tries[-1].headers["Retry-After"]) <= 60
    right = {"name": "ada", "password": PASSWORD}
    assert place.client().post("session", json=right).status_code == 429
    assert place.client(address="192.0.2.2").post("session", json=right).status_code == 200


def test_an_attacker_with_many_names_or_addresses_is_stopped_too() -> None:
    """One address may not try many accounts, nor many addresses one account; an IPv6 host is all of its network."""
    now = [0.0]
    throttle = Throttle(lambda: now[0])

    def tried(attempts: Any) -> int:
        count = 0
        for account, address in attempts:
            try:
                throttle.attempt(account, address)
            except Exception:
                return count
            count += 1
        return count

    many = 200
    assert tried((f"user{n}", "192.0.2.1") for n in range(many)) == LIMITS["address"][0]
    assert tried(("ada", f"198.51.{n}.1") for n in range(many)) == LIMITS["account"][0]
    assert tried((f"other{n}", f"2001:db8::{n:x}") for n in range(many)) == LIMITS["address"][0]
    now[0] = 3601
    assert tried([("ada", "192.0.2.1")]) == 1


def test_an_unknown_user_is_not_told_apart(place: Place) -> None:
    """A wrong name gets the answer of a wrong password, after as long a time."""
    place.user("ada", password=PASSWORD)
    place.user("invited")
    answers = {}
    for number, name in enumerate(["ada", "nobody", "invited", "x" * 10_000]):
        client = place.client(address=f"192.0.2.{number}")
        answer = client.post("session", json={"name": name, "password": "wrong password"})
        answers[name] = (answer.status_code, answer.text, sorted(answer.headers))
    assert len(set(map(str, answers.values()))) == 1
    with place.database.read() as connection:
        kept = connection.exec_driver_sql("select password from access_user where name = 'ada'").scalar()

    def seconds(hashed: str | None) -> float:
        started = time.process_time()
        assert verify(hashed, "wrong password")[0] is False
        return time.process_time() - started

    pairs = [(seconds(kept), seconds(None)) for _ in range(21)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.5 < known / unknown < 2


def test_an_old_hash_is_renewed_at_login(place: Place) -> None:
    """A password that was hashed with weaker parameters is hashed with today's when it is next typed."""
    from argon2 import PasswordHasher

    place.user("ada", password=PASSWORD)
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with place.database.write() as connection:
        connection.exec_driver_sql("update access_user set password = ?", (weak,))
    assert place.client().post("session", json={"name": "ada", "password": PASSWORD}).status_code == 200
    with place.database.read() as connection:
        kept = connection.exec_driver_sql("select password from access_user").scalar()
    assert kept != weak
    assert kept.startswith("$argon2id$")
    assert place.client().post("session", json={"name": "ada", "password": PASSWORD}).status_code == 200


def test_credentials_that_are_no_credentials(team: Any) -> None:
    """Whatever is in the headers, the answer is 401 with a challenge: never a failure, and never someone."""
    place: Place = team.place
    token = place.access.tokens.create(team.ada, "t", Scope.ADMIN)[1]
    share = place.access.shares.create(Run(team.run, "vision"), None)[1]
    session = place.access.sessions.open(team.ada).secret
    bad = [
        "", "Bearer", "Bearer ", "Bearer rc_", f"Basic {token}", f"Share {token}", f"Bearer {share}",
        f"Bearer {session}", f"Bearer {token[:-1]}", f"Bearer {token}x", f"Bearer {token.upper()}",
        "Bearer rc_" + "ü" * 43, "Bearer rc_" + "a" * 100_000, "Bearer rc_' or 1=1 --" + "a" * 32, f"Setup {token}",
    ]  # fmt: skip
    for each in bad:
        answer = place.client().get(f"runs/{team.run}", headers=[(b"Authorization", each.encode())])
        assert answer.status_code == 401, each[:40]
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="runcast"')
        assert answer.json()["error"]
    assert place.client().get(f"runs/{team.run}").status_code == 401
    # A bad token does not fall back to a good cookie.
    ada = place.browser(team.ada)
    assert ada.get("session", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert place.client(f"bEaReR   {token}").get("session").status_code == 200


def test_anonymous_callers_learn_nothing(team: Any) -> None:
    """Without credentials the answer is the same for what is there and for what is not."""
    place: Place = team.place
    client = place.client()
    for there, missing in (
        (f"runs/{team.run}", f"runs/{new_run_id()}"),
        ("projects/vision", "projects/nothing"),
        ("users/ada", "users/nobody"),
        (f"shares?run={team.run}", "shares?run=nothing"),
    ):
        one, other = client.get(there), client.get(missing)
        assert (one.status_code, one.text) == (401, other.text), there


def test_another_tenants_things_are_not_told_from_what_is_not_there(team: Any) -> None:
    """Knowing an id, a name or a number of others' helps nothing: the answer is that of one that nobody has."""
    place: Place = team.place
    otto = place.browser(team.otto)
    share = place.access.shares.create(Run(team.run, "vision"), team.ada)[0].id
    token = place.access.tokens.create(team.ada, "t", Scope.ADMIN)[0].id
    unknown = new_run_id()
    for method, there, missing in (
        ("GET", f"runs/{team.run}", f"runs/{unknown}"),
        ("PATCH", f"runs/{team.run}", f"runs/{unknown}"),
        ("GET", "projects/vision", "projects/nothing"),
        ("DELETE", "projects/vision", "projects/nothing"),
        ("PUT", "projects/vision/members/otto", "projects/nothing/members/otto"),
        ("GET", f"shares?run={team.run}", f"shares?run={unknown}"),
        ("DELETE", f"shares/{share}", f"shares/{share + 1}"),
        ("DELETE", f"tokens/{token}", f"tokens/{token + 1}"),
        ("GET", "users/ada", "users/nobody"),
        ("PUT", "users/ada/password", "users/nobody/password"),
    ):
        answers = [otto.request(method, path, json={"role": "owner"}) for path in (there, missing)]
        assert [each.status_code for each in answers] == [404, 404], (method, there)


def test_nobody_takes_over_a_run_by_naming_it(team: Any) -> None:
    """Making a run that others have, in a project of one's own, gives no access to it."""
    place: Place = team.place
    otto = place.token(team.otto)
    assert otto.post("runs", json={"id": team.run, "project": "ottos"}).status_code == 404
    assert otto.get(f"runs/{team.run}").status_code == 404
    vera = place.token(team.vera)
    assert vera.post("runs", json={"id": team.run, "project": "veras"}).status_code == 403


def test_forwarded_headers_count_only_from_a_trusted_proxy(place: Place) -> None:
    """`X-Forwarded-For` gives no fresh attempts, and `X-Forwarded-Proto` no other cookie, unless a trusted proxy says so."""
    place.user("ada", password=PASSWORD)
    body = {"name": "ada", "password": "wrong password"}

    def attempts(port: int) -> list[int]:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
            return [
                client.post("session", json=body, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code
                for n in range(6)
            ]

    with served(place.app, proxy_headers=False) as port:
        assert attempts(port) == [401] * 5 + [429]
        forwarded = {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "evil.example",
            "Forwarded": "proto=https",
        }
        place.access.sessions._throttle._attempts.clear()
        right = {"name": "ada", "password": PASSWORD}
        answer = httpx.post(f"http://127.0.0.1:{port}/api/v1/session", json=right, headers=forwarded)
        assert answer.headers["set-cookie"].startswith("runcast_session=")
    place.access.sessions._throttle._attempts.clear()
    with served(place.app, proxy_headers=True, forwarded_allow_ips="127.0.0.1") as port:
        assert attempts(port) == [401] * 6
        answer = httpx.post(f"http://127.0.0.1:{port}/api/v1/session", json=right, headers=forwarded)
        assert answer.headers["set-cookie"].startswith("__Host-runcast_session=")


def test_no_secret_reaches_a_log(team: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Tokens, passwords and links are in no log line and in no error, whatever is done with them."""
    place: Place = team.place
    place.user("zoe", password=PASSWORD)
    token = place.access.tokens.create(team.ada, "t", Scope.ADMIN)[1]
    share = place.access.shares.create(Run(team.run, "vision"), None)[1]
    link = place.access.users.link("wim")
    secrets = [token, share, link, PASSWORD]
    texts = []
    caplog.set_level(logging.DEBUG)
    with (
        served(place.app, log_level="debug", access_log=True) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1") as client,
    ):
        for kind, secret in (("Bearer", token), ("Share", share), ("Setup", link), ("Bearer", token[:-1])):
            headers = {"Authorization": f"{kind} {secret}"}
            paths = (f"runs/{team.run}", "setup", "runs/nothing")
            texts += [client.get(path, headers=headers).text for path in paths]
        login = client.post("session", json={"name": "zoe", "password": PASSWORD})
        secrets.append(login.headers["set-cookie"].partition("=")[2].partition(";")[0])
        texts += [login.text, client.post("session", json={"name": PASSWORD, "password": link}).text]
        texts.append(client.post("setup", json={"secret": link, "password": "short"}).text)
    logged = [each for each in caplog.records if not each.name.startswith("http")]  # but for our own client's
    said = "\n".join(each.getMessage() for each in logged) + "".join(texts)
    assert "/api/v1/session" in said
    for secret in secrets:
        assert secret[4:] not in said


def test_links_lead_to_the_servers_own_address(place: Place) -> None:
    """With `--url`, no `Host` header makes an invitation that leads elsewhere, and cookies are https's."""
    access = place.access = Access(place.database, url="https://runs.example.org/", clock=place.clock)
    place.app.state.access = access
    admin = place.browser(place.user("boss", Standing.ADMIN), base="https://runs.example.org")
    answer = admin.post("users", json={"name": "ada"}, headers={"Host": "evil.example"})
    assert answer.json()["link"].startswith("https://runs.example.org/setup#rcl_")
