"""Finding runs: by what they are, in any order, page by page."""

from __future__ import annotations

import itertools
import math
from contextlib import closing
from dataclasses import replace

import pytest

from runcast.errors import QueryError
from runcast.events.writer import EventWriter
from runcast.store import finding
from runcast.store.protocol import Facts, RunQuery
from runcast.store.query import Field, Filter, Order, parse_filters, parse_order

NOW = 1_760_000_000.0

CONFIGS = {
    "adam": {
        "lr": 0.01,
        "optimizer": {"name": "adam", "nesterov": False},
        "layers": [64, 10],
        "note": "50% of it_all",
    },
    "sgd": {"lr": 0.1, "optimizer": {"name": "SGD", "nesterov": True}, "layers": [640], "resume": None},
    "text": {"lr": "cosine", "optimizer": "none", "long": "x" * 300},
    "bare": {},
}
ACCURACY = {"adam": [0.2, 0.9, 0.8], "sgd": [0.5, 0.7], "text": [math.nan]}


@pytest.fixture
def found(database, store, new_run):
    """Ask for names of runs: four of one project, and one that has everything in another."""
    for number, (name, config) in enumerate([*CONFIGS.items(), ("elsewhere", CONFIGS["adam"])]):
        run = new_run(
            name=name,
            project="other" if name == "elsewhere" else "digits",
            created=NOW + number,
            state="finished" if name in {"sgd", "bare"} else "running",
            ended=NOW + 100 - number if name in {"sgd", "bare"} else None,
            config=config,
            facts={
                "tags": ["night", f"№ {number}"],
                "group": "sweep" if number % 2 else "",
                **({"host": f"node{9 - number}"} if name in {"adam", "text"} else {}),
                "notes": "Überraschend GUT" if name == "adam" else "",
                **({"summary": {"best": 3, "val/acc": 0.95, "verdict": "good"}} if name == "bare" else {}),
            },
        )
        store.create(run)
        val, system = f"files/logs/val/{name}.tfevents", "own/system/x.tfevents"
        for path, tag, values in ((val, "acc", ACCURACY.get(name, [])), (system, "cpu", [7.0])):
            with closing(EventWriter(store.path(run.id, path))) as writer:
                for step, value in enumerate(values):
                    writer.scalars({tag: value}, step, NOW + step)
            store.append(run.id, path, 0, writer.path.read_bytes())
        if name == "text":
            store.update(run.id, Facts(heartbeat=NOW))

    def ask(filters="", **query):
        query = {"project": "digits", **query}
        return [run.name for run in store.runs(RunQuery(filters=parse_filters(filters), **query))]

    return ask


@pytest.mark.parametrize("few", [0, 900])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_runs_are_found_by_what_they_are(found, monkeypatch, few):
    """Each kind of field with each kind of comparison, whichever way the database takes."""
    monkeypatch.setattr(finding, "FEW", few)
    for filters, names in {
        "config.lr >= 0.01": "sgd adam",
        "config.lr = 0.01 and state = running": "adam",
        "config.lr = cosine": "text",
        "config.lr != 0.1": "bare text adam",
        "config.lr in (0.1, cosine)": "text sgd",
        "config.lr exists": "text sgd adam",
        "config.resume exists": "sgd",
        "config.optimizer exists": "text sgd adam",
        "config.optimizer.name contains sgd": "sgd",
        "config.optimizer.nesterov = true": "sgd",
        "config.layers contains 64": "adam",
        'config.note contains "50% of it_"': "adam",
        'config.note contains "50_"': "",
        f"config.long = {'x' * 300}": "text",
        f"config.long = {'x' * 299}": "",
        "summary.val/acc > 0.75": "bare adam",
        "duration >= 94 and duration < 98": "bare",
        "host contains NODE": "text adam",
        "summary.val/acc.max >= 0.9": "bare adam",
        "summary.val/acc.min < 0.3": "adam",
        "summary.val/acc exists": "bare text sgd adam",
        "summary.best = 3 and summary.verdict = good": "bare",
        "summary.cpu exists": "",
        "state = crashed": "text",
        "state in (crashed, finished)": "bare text sgd",
        "state != running": "bare text sgd",
        "name contains D": "sgd adam",
        "name > b": "text sgd bare",
        "tags contains night": "bare text sgd adam",
        'tags = "№ 1"': "sgd",
        'tags in ("№ 1", "№ 3")': "bare sgd",
        "tags != night": "",
        "group = sweep": "bare sgd",
        "notes contains gut": "adam",
        f"created > {NOW + 1}": "bare text",
        "created < 2001-01-01": "",
        "ended exists": "bare sgd",
        f"ended != {NOW + 99}": "bare text adam",
        "project = digits": "bare text sgd adam",
    }.items():
        assert sorted(found(filters)) == sorted(names.split()), filters
    assert found("config.lr = 0.01", project=None) == ["elsewhere", "adam"]
    assert found("config.lr = 0.01", project=None, projects=frozenset({"other", "none"})) == ["elsewhere"]
    assert found(tags=("night", "№ 1"), group="sweep") == ["sgd"]


@pytest.mark.parametrize("few", [0, 900])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_runs_are_ordered_and_paged(store, found, monkeypatch, few):
    """By any field, up and down, those without it last; pages go on where they ended, whatever their size."""
    monkeypatch.setattr(finding, "FEW", few)
    for order, names in {
        None: "bare text sgd adam",
        "created": "adam sgd text bare",
        "name": "adam bare sgd text",
        "-name": "text sgd bare adam",
        "ended": "bare sgd text adam",
        "-summary.val/acc": "bare adam sgd text",
        "summary.val/acc.min": "adam sgd bare text",
        "-config.lr": "sgd adam text bare",
        "config.lr": "adam sgd text bare",
        "-config.missing": "bare text sgd adam",
        "host": "text adam bare sgd",
        "-host": "adam text bare sgd",
        "duration": "text bare sgd adam",
        "-duration": "adam sgd bare text",
    }.items():
        for limit in (1, 2, 3, None):
            listed = []
            after = None
            for _ in itertools.count():
                query = RunQuery("digits", order=order, limit=limit, after=after)
                page = store.page(replace(query, filters=parse_filters("tags = night")))
                assert store.runs(query) == list(page.runs)
                listed += [run.name for run in page.runs]
                after = page.next
                if after is None:
                    break
            assert listed == names.split(), (order, limit)
    with pytest.raises(QueryError, match="first page"):
        store.runs(RunQuery(order="name", after=store.page(RunQuery(limit=1)).next))
    for nonsense in ("", "x", "WzEsMiwz", "bm9uc2Vuc2U"):
        with pytest.raises(QueryError, match="first page"):
            store.runs(RunQuery(after=nonsense))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_what_runs_are_found_by_moves_on_with_them(store, found, tmp_path):
    """More points, a changed config, another project, a summary of the user's and its removal: all are found at once."""
    (adam,) = store.runs(RunQuery("digits", filters=parse_filters("name = adam")))
    store.update(adam.id, Facts(config={"lr": 0.5}, facts={"tags": ["day"]}))
    assert found("config.lr = 0.5 and tags = day") == ["adam"]
    assert found("tags = night and name = adam") == []
    writer = EventWriter(tmp_path / "more")
    writer.scalars({"acc": 0.1}, 0, NOW + 10)
    writer.close()
    store.append(adam.id, "files/logs/val/y.tfevents", 0, writer.path.read_bytes())
    assert store.series(adam.id)[0].max == pytest.approx(0.1)
    assert found("summary.val/acc.max <= 0.11") == ["adam"]
    store.update(adam.id, Facts(facts={"summary": {"val/acc": 99}}))
    assert found("summary.val/acc.min = 99") == ["adam"]
    store.update(adam.id, Facts(facts={"summary": None}, project="moved"))
    assert found("summary.val/acc.max <= 0.11", project="moved") == ["adam"]
    assert found("config.lr = 0.5") == []
    store.append(
        adam.id, "files/else/val/x.tfevents", 0, writer.path.read_bytes()
    )  # two series of one key: roots tell them apart
    assert found("summary.val/acc exists", project="moved") == []
    assert found("summary.else/val/acc > 0.09", project="moved") == ["adam"]


def test_a_filter_is_read_as_it_is_written():
    """Words, quotes, numbers, dates; what cannot be understood is said, with the place."""
    assert parse_filters('config.a.b>=1e-3 and summary."val acc".max<1 AND name = "x and \\"y\\""') == (
        Filter(Field("config", "a.b"), ">=", 0.001),
        Filter(Field("summary", "val acc", "max"), "<", 1.0),
        Filter(Field("name"), "=", 'x and "y"'),
    )
    assert parse_filters("summary.'loss.max' = 1")[0].field == Field("summary", "loss.max")
    assert parse_filters("created >= 2026-11-01T00:00:00Z")[0].value == 1793491200.0
    assert parse_filters("config.seed = '7'")[0].value == "7"
    assert parse_filters("") == ()
    assert parse_order("-summary.loss.min") == Order(Field("summary", "loss", "min"), descending=True)
    for wrong, why in {
        "config.lr >": r"expected a value at character 12",
        "config.lr 3": r"expected =, .* instead of '3' at character 11",
        "lr = 3": "no field 'lr': write config.<key>",
        "config.a = 1 or config.b = 2": r"expected `and` instead of 'or' at character 14",
        "config.a in 3": r"expected `\(`",
        "config.a = (1": r"expected a value",
        "tags > 3": "tags contains",
        "created > yesterday": "compared with times",
        'name = "open': "cannot read on at character 8",
    }.items():
        with pytest.raises(QueryError, match=why):
            parse_filters(wrong)
    with pytest.raises(QueryError, match="cannot be ordered by tags"):
        parse_order("tags")
