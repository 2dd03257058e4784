"""Runs over HTTP: made, listed, changed; and what a request that cannot be answered is told."""

from __future__ import annotations

import gzip
import time

import pytest

from runcast.run.record import new_run_id
from runcast.run.strict import strict
from runcast.store.shapes import run_shape


def test_a_run_is_made_once(ada, vera, new_run):
    """Making a run answers 201 the first time and 200 after that, and the second time changes nothing."""
    run = new_run(
        ada, config={"lr": 0.1, "bad": float("nan")} | {"bad": "NaN"}, facts={"tags": ["a"], "notes": "why"}
    )
    again = {"id": run, "project": "digits", "name": "other", "state": "running", "created": time.time()}
    answer = ada.post("/runs", json=again)
    assert (answer.status_code, answer.json()["name"]) == (200, "first")
    shown = vera.get(f"/runs/{run}").json()
    assert shown["tags"] == ["a"]
    assert shown["notes"] == "why"
    assert shown["config"] == {"lr": 0.1, "bad": "NaN"}
    assert shown["facts"]["tags"] == ["a"]
    assert shown["summary"] == {}


def test_a_new_project_comes_with_its_first_run(otto, ada, new_run):
    """Recording into a project that nobody has makes it, for its maker alone."""
    run = new_run(otto, project="otto's own")
    assert otto.get("/runs", params={"project": "otto's own"}).json()["runs"][0]["id"] == run
    assert ada.get(f"/runs/{run}").status_code == 404
    assert ada.get("/runs", params={"project": "otto's own"}).json() == {"runs": [], "next": None}


def test_lists_go_page_by_page(place, new_run):
    """A list is cut into pages, newest first, and filters hold on all of them; only what one may see is in it."""
    lea = place.client(place.user("lea"))
    runs = [
        new_run(
            lea,
            project="paged",
            created=float(n),
            facts={"tags": ["even"] if n % 2 == 0 else [], "group": "g"},
        )
        for n in range(7)
    ]
    seen, after = [], None
    while True:
        more = {"after": after} if after else {}
        page = lea.get("/runs", params={"limit": 3, "group": "g", **more}).json()
        seen += [run["id"] for run in page["runs"]]
        after = page["next"]
        if after is None:
            break
        assert len(page["runs"]) == 3
    assert seen == runs[::-1]
    even = lea.get("/runs", params={"tag": "even", "state": "crashed"}).json()["runs"]
    assert [run["id"] for run in even] == [runs[6], runs[4], runs[2], runs[0]]
    assert place.client(place.boss).get("/runs", params={"project": "paged"}).json()["runs"]
    assert place.client(place.user("nobody")).get("/runs").json()["runs"] == []


def test_a_page_says_of_each_run_what_the_run_says(place, ada, new_run, records, message):
    """Metrics as they are defined, a restart, NaN, what came just now, nothing at all: the summaries of a page are those of its runs."""
    defined = {"metrics": {"loss": {"summary": ["min", "mean", "first"]}, "val/*": {"summary": ["max"]}}}
    facts = {"plain": {}, "defined": defined, "empty": {}, "said": {"summary": {"train/loss": "mine"}}}
    runs = {name: new_run(ada, name=name, project="summed", facts=said) for name, said in facts.items()}
    first = records(
        {"loss": [4.0, float("nan"), 1.0], "val/acc": [0.5, 0.9, 0.8], "nothing": [float("nan")] * 3}
    )
    more = [
        records({"loss": [value], "val/acc": [value]}, start=3 + at) for at, value in enumerate((3.0, 2.0))
    ]
    again = records({"loss": [7.0]}, start=2)
    for name, pieces in {"plain": [first, *more], "defined": [first, *more], "said": [first]}.items():
        for path, data in (
            ("train/tfevents.1", pieces),
            ("tfevents.2", pieces),
            ("train/tfevents.3", [again]),
        ):
            at = 0
            for piece in data:
                answer = ada.post(
                    f"/runs/{runs[name]}/appends", content=message((f"files/logs/{path}", at, piece))
                )
                assert answer.json()["answers"] == [{"size": at + len(piece)}]
                at += len(piece)
    page = ada.get("/runs", params={"project": "summed", "order": "name"}).json()["runs"]
    for said in page:
        run = place.store.run(said["id"])
        whole = run_shape(run, place.store.series(run.id), place.store)["summary"]
        assert said["summary"] == ada.get(f"/runs/{run.id}").json()["summary"] == strict(whole), said["name"]
    found = {said["name"]: said["summary"] for said in page}
    assert found["defined"]["loss"] == {"min": 1.0, "mean": 2.5, "first": 4.0}
    assert found["defined"]["val/acc"] == {"max": 3.0}
    assert (found["plain"]["loss"], found["plain"]["train/loss"], found["plain"]["nothing"]) == (
        2.0,
        7.0,
        "NaN",
    )
    assert (found["said"]["train/loss"], found["empty"]) == ("mine", {})
    where = {"root": "logs", "source": ".", "tag": "loss"}
    points = ada.get(f"/runs/{runs['plain']}/points", params=where).json()
    assert (points["step"], points["value"]) == ([0, 1, 2, 3, 4], [4.0, "NaN", 1.0, 3.0, 2.0])


def test_facts_are_changed_by_those_who_may(ada, vera, otto, new_run):
    """A run's facts are changed key by key; a viewer may not, and for a stranger there is no such run."""
    run = new_run(ada, config={"lr": 1, "wd": 2})
    changed = ada.patch(
        f"/runs/{run}", json={"name": "better", "config": {"lr": 3}, "facts": {"notes": "n"}}
    ).json()
    assert (changed["name"], changed["config"], changed["notes"]) == ("better", {"lr": 3, "wd": 2}, "n")
    assert vera.patch(f"/runs/{run}", json={"name": "x"}).status_code == 403
    assert otto.patch(f"/runs/{run}", json={"name": "x"}).status_code == 404
    assert ada.get(f"/runs/{run}").json()["name"] == "better"


def test_a_run_moves_only_where_its_mover_may_record(ada, otto, vera, new_run):
    """Who moves a run into another project must be allowed to record there; then it belongs to that project at once."""
    new_run(otto, project="closed")
    run = new_run(ada)
    assert ada.patch(f"/runs/{run}", json={"project": "closed"}).status_code == 403
    assert vera.get(f"/runs/{run}").json()["project"] == "digits"
    assert ada.patch(f"/runs/{run}", json={"project": "moved here"}).json()["project"] == "moved here"
    assert vera.get(f"/runs/{run}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "/nothing", None, 404, "openapi.json"),
        ("PUT", "/runs", None, 405, "GET, HEAD, POST"),
        ("GET", "/runs/aaaaaaaaaaaaaaaa", None, 404, "not found"),
        ("GET", "/runs?limit=x", None, 400, "'limit'"),
        ("GET", "/runs?limit=0", None, 400, "from 1 to"),
        ("GET", "/runs?state=gone", None, 400, "crashed"),
        ("GET", "/runs?after=nonsense", None, 400, "after"),
        ("GET", "/runs?project=a&project=b", None, 400, "2 times"),
        ("GET", "/changes?since=-1", None, 400, "'since'"),
        ("POST", "/runs", b"{", 400, "not JSON"),
        ("POST", "/runs", b"[" * 100_000, 400, "not JSON"),
        ("POST", "/runs", b"[]", 400, "RunRecord"),
        ("POST", "/runs", b"{}", 400, "RunRecord"),
        ("POST", "/runs", b" " * 300_000, 413, "262,144"),
        ("POST", "/runs", b'{"id":"../x","project":"p","name":"n","state":"running","created":1}', 400, "../x"),
        ("POST", "/runs", b'{"id":"abc","project":"","name":"n","state":"running","created":1}', 400, "project"),
        ("POST", "/runs", b'{"id":"abc","project":"p","name":3,"state":"running","created":1}', 400, "no run"),
        ("POST", "/runs", b'{"id":"abc","project":"p","name":"n","state":"gone","created":1}', 400, "no run"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_says_why(ada, method, path, body, status, says):
    """Whatever is wrong with a request is told as JSON, with the status that fits."""
    answer = ada.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    if status == 405:
        assert answer.headers["allow"] == "GET, HEAD, POST"


def test_bodies_have_the_type_that_is_asked_for(ada, new_run):
    """A body of another type, or in a compression that is not known, is refused, with what would be taken."""
    answer = ada.post("/runs", content=b"id=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 415
    squeezed = {"Content-Type": "application/json", "Content-Encoding": "br"}
    answer = ada.post("/runs", content=b"x", headers=squeezed)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip")
    run = {"id": new_run_id(), "project": "digits", "name": "packed", "state": "running", "created": 1.0}
    body = gzip.compress(str(run).replace("'", '"').encode())
    squeezed["Content-Encoding"] = "gzip"
    assert ada.post("/runs", content=body, headers=squeezed).status_code == 201


def test_nobody_is_asked_to_say_who_they_are(place):
    """Without credentials, or with bad ones, everything of the store is 401."""
    for client in (
        place.client(),
        place.client(Authorization="Bearer rc_no"),
        place.client(Authorization="Basic eDp5"),
    ):
        answer = client.get("/runs")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["error"]
