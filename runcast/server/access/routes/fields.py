"""The fields of a JSON body, one by one, as what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from runcast.server.access.errors import BadRequest, NotFound
from runcast.server.access.names import is_text
from runcast.server.body import read_json

if TYPE_CHECKING:
    from enum import IntEnum

    from starlette.requests import Request

__all__ = ["Fields", "number_in_path", "read_fields", "word"]

E = TypeVar("E", bound="IntEnum")


async def read_fields(request: Request) -> Fields:
    """Return the fields of the request's body. Raises what `read_json` raises, and `BadRequest` for what is no object."""
    body = await read_json(request, request.app.state.service.limits)
    if not isinstance(body, dict):
        raise BadRequest('the body must be a JSON object, such as {"name": "…"}')
    return Fields(body)


class Fields:
    """A JSON object that is being taken apart; every getter raises `BadRequest` for what is missing or of another type."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = dict(body)

    def has(self, name: str) -> bool:
        """Whether the field is there, be it null."""
        return name in self._body

    def text(self, name: str) -> str:
        """Take a text."""
        found = self.maybe_text(name)
        if found is None:
            raise BadRequest(f"{name!r} is missing; it is a text")
        return found

    def maybe_text(self, name: str) -> str | None:
        """Take a text that may be missing or null."""
        found = self._body.pop(name, None)
        if found is not None and not isinstance(found, str):
            raise BadRequest(f"{name!r} must be a text")
        if found is not None and not is_text(found):
            raise BadRequest(f"{name!r} has characters that cannot be kept (NUL, or half a character)")
        return found

    def maybe_number(self, name: str) -> float | None:
        """Take a number that may be missing or null."""
        found = self._body.pop(name, None)
        if found is not None and (isinstance(found, bool) or not isinstance(found, (int, float))):
            raise BadRequest(f"{name!r} must be a number")
        return found

    def choice(self, name: str, kind: type[E], default: E | None = None) -> E:
        """Take one of the words of an enumeration."""
        found = self._body.pop(name, None)
        if found is None and default is not None:
            return default
        for each in kind:
            if found == word(each):
                return each
        raise BadRequest(f"{name!r} must be one of {', '.join(word(each) for each in kind)}")

    def end(self) -> None:
        """Raise `BadRequest` if there are fields that nobody took."""
        if self._body:
            raise BadRequest(f"unknown fields: {', '.join(sorted(self._body))}")


def number_in_path(request: Request, name: str) -> int:
    """Return a number in the path. Raises `NotFound` for one that no row has."""
    number: int = request.path_params[name]
    if number >= 2**31:
        raise NotFound(f"there is no {name} {number}")
    return number


def word(value: IntEnum) -> str:
    """Return how JSON and the command line call a role, a standing or a scope."""
    return value.name.lower()
