"""The document describes the routes as they are: whatever is sent by it is answered by it."""

from __future__ import annotations

import contextlib
import warnings

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from starlette.routing import Route

from runcast.server.access import CSRF_HEADER
from runcast.server.access.cookies import COOKIE
from runcast.server.access.secrets import csrf_token

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


def test_every_route_is_described(place, ada):
    """No route of the API is left out of the document, with every method that it takes, and nothing else is in it."""
    document = ada.get("/openapi.json").json()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    described -= {("HEAD", path) for _, path in described}
    routed = {
        (method, route.path.replace(":path}", "}").replace(":int}", "}"))
        for route in place.app.routes
        if isinstance(route, Route)
        and (route.path.startswith("/api/") or hasattr(route.endpoint, "operation"))
        for method in route.methods - {"HEAD"}
    }
    assert described == routed
    assert document["openapi"] == "3.1.0"
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


EXAMPLES = settings(
    max_examples=5,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def exercise(operation, mode, who, known):
    """Send some of what the document allows (or, in the negative mode, does not), to things that exist if they are `known`."""

    @EXAMPLES
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case):
        for place in (case.path_parameters, case.query):
            place.update({name: known[name] for name in place if name in known})
        case.call_and_validate(**who, checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):
        send()


def test_the_api_is_what_its_document_says(own_place, new_run, records):
    """Whatever a client sends by the document, or just beside it, is answered as the document says, and never with a 500."""
    place = own_place
    ada = place.client(place.ada)
    run, path = new_run(ada), "files/logs/train/events.out.tfevents.1"
    ada.patch(
        f"/runs/{run}/files/{path}",
        content=records({"loss": [1.0, float("nan")]}),
        headers={"Upload-Offset": "0"},
    )
    known = {
        "id": run,
        "path": path,
        "name": "digits",
        "root": "logs",
        "source": "train",
        "tag": "loss",
        "user": "vera",
    }
    document = schemathesis.openapi.from_url(f"{place.url}/api/v1/openapi.json")
    document.config.generation.update(with_security_parameters=False)
    failed = []
    for found in document.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(("/events", "/frames")):  # they do not end
            continue
        for mode in GenerationMode:
            if operation.path.startswith(("/metrics", "/api/v1/users", "/api/v1/tokens", "/api/v1/session")):
                session = place.access.sessions.open(place.boss).secret
                who = {"headers": {CSRF_HEADER: csrf_token(session)}, "cookies": {COOKIE: session}}
            else:
                who = {"headers": {"Authorization": f"Bearer {place.secret(place.ada)}"}}
            try:
                exercise(operation, mode, who, known if mode is GenerationMode.POSITIVE else {})
            except FailureGroup as error:
                failed.append(f"{operation.label}, {mode.value}: {error}")
    assert not failed, "\n\n".join(failed)
