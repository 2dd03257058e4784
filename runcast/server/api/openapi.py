"""The OpenAPI 3.1 document, made of what the routes say of themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from runcast import __version__
from runcast.server.access.cookies import SECURE_COOKIE
from runcast.server.access.guard import requirement_of
from runcast.server.api import schemas
from runcast.server.api.operation import operation_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import BaseRoute

    from runcast.server.api.operation import Body, Operation, Schema

__all__ = ["document"]

_PLACES = re.compile(r"\{(\w+)(?::(\w+))?\}")
_INTEGERS = {"int"}

_ERRORS = {
    400: "The request cannot be understood; the error says why.",
    401: "There are no credentials, or they are not valid (any more).",
    403: "The actor may see this, but not do it.",
    404: "There is no such thing, as far as the actor may know.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body has a type or an encoding that is not taken.",
    503: "Not now: the server is busy or stopping, or its database cannot be reached. Retry-After says when to try again.",
}
_OF_BODIES = (400, 408, 413, 415)
_OF_PARAMETERS = (400,)


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """Return the document of those routes that declare an operation."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = operation_of(route)
        if isinstance(route, Route) and operation is not None:
            path = _PLACES.sub(r"{\1}", route.path)
            described = _describe(operation, route)
            paths.setdefault(path, {})[operation.method.lower()] = described
            if operation.method == "GET" and operation.path.endswith("/files/{path:path}"):
                paths[path]["head"] = {
                    **described,
                    "operationId": "check_file",
                    "summary": "Ask how large a file is",
                }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "runcast",
            "version": __version__,
            "description": "The store of runs, over HTTP. What an actor may not see does not exist for it (404).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {"Error": schemas.ERROR},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token."},
                "share": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Share SECRET`: a link to a run or a project.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": SECURE_COOKIE,
                    "description": "A browser's; what changes anything also needs the header X-Runcast-CSRF.",
                },
            },
        },
    }


def _describe(operation: Operation, route: Route) -> dict[str, Any]:
    places = [_place(name, kind) for name, kind in _PLACES.findall(operation.path)]
    described: dict[str, Any] = {
        "operationId": route.endpoint.__name__,
        "summary": operation.summary,
        "tags": [operation.group],
    }
    if operation.description:
        described["description"] = operation.description
    parameters = places + [
        {
            "name": each.name,
            "in": each.place,
            "required": each.required,
            "schema": each.schema,
            **({"description": each.description} if each.description else {}),
        }
        for each in operation.parameters
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content(operation.body)}
    requirement = requirement_of(route)
    errors: set[int] = {503}
    if requirement is not None and requirement.action is not None:
        errors |= {401, 403, 404}
        described["security"] = [{"token": []}, {"share": []}, {"session": []}]
    else:
        described["security"] = []
    errors |= set(_OF_BODIES if operation.body is not None else ())
    errors |= set(_OF_PARAMETERS if parameters else ())
    answers: dict[str, Any] = {str(status): _answer(body) for status, body in operation.answers.items()}
    words = {**{status: _ERRORS[status] for status in errors}, **operation.errors}
    for status, text in sorted(words.items()):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        answers[str(status)] = {"description": text, "content": content}
    described["responses"] = answers
    return described


def _place(name: str, kind: str) -> dict[str, Any]:
    schema: Schema = {"type": "string", "minLength": 1}
    if name == "id":
        schema = schemas.RUN_ID
    elif kind in _INTEGERS:
        schema = schemas.INTEGER
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _answer(body: Body) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    if body.types:
        answer["content"] = _content(body)
    if body.headers:
        answer["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in body.headers.items()
        }
    return answer


def _content(body: Body) -> dict[str, Any]:
    return {kind: {"schema": body.schema} if body.schema and "json" in kind else {} for kind in body.types}
