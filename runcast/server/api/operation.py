"""What a route says of itself: the one place for its method, address, words and shapes.

    @operation("GET", "/runs/{id}", "Show one run", answers={200: Body(schemas.RUN)})
    @requires(Action.VIEW, run_in_path)
    async def show_run(request: Request) -> Response: ...

`routes` makes Starlette's routes of such endpoints, and `openapi.document` the page that describes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.routing import BaseRoute

__all__ = [
    "NOTHING",
    "Body",
    "Operation",
    "Parameter",
    "Schema",
    "header",
    "operation",
    "operation_of",
    "query",
    "routes",
]

Schema = dict[str, Any]
E_ = TypeVar("E_", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the query or a header; those in the path are known from it."""

    name: str
    place: str
    schema: Schema
    description: str = ""
    required: bool = False


def query(name: str, schema: Schema, description: str = "", *, required: bool = False) -> Parameter:
    """Return a parameter in the query."""
    return Parameter(name, "query", schema, description, required)


def header(name: str, schema: Schema, description: str = "", *, required: bool = False) -> Parameter:
    """Return a parameter in a header."""
    return Parameter(name, "header", schema, description, required)


@dataclass(frozen=True, slots=True)
class Body:
    """A body that is sent or answered: a schema of its JSON, or bytes of another type (schema None)."""

    schema: Schema | None = None
    types: tuple[str, ...] = ("application/json",)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that come with the answer, and what they say."""


NOTHING = Body(None, ())
"""An answer without a body."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one address below `/api/v1`."""

    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: Mapping[int, Body] = field(default_factory=dict)
    """The successes; errors follow from the rest."""

    errors: Mapping[int, str] = field(default_factory=dict)
    """Errors that this operation has beside those that every one has, and what they mean."""

    group: str = ""
    description: str = ""


def operation(method: str, path: str, summary: str, **rest: Any) -> Callable[[E_], E_]:
    """Declare what an endpoint is; the outermost of its decorators. The arguments are those of `Operation`."""

    def declare(endpoint: E_) -> E_:
        endpoint.operation = Operation(method, path, summary, **rest)  # type: ignore[attr-defined]
        return endpoint

    return declare


def operation_of(route: BaseRoute) -> Operation | None:
    """Return what a route's endpoint declares, None if nothing."""
    found = getattr(getattr(route, "endpoint", None), "operation", None)
    return found if isinstance(found, Operation) else None


def routes(endpoints: Iterable[Callable[..., Any]]) -> list[Route]:
    """Return the routes of endpoints that declare an operation."""
    return [
        Route(each.operation.path, each, methods=[each.operation.method])  # type: ignore[attr-defined]
        for each in endpoints
    ]
