"""Parameters of requests, read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast.server.errors import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["integer", "needed", "text"]


def text(request: Request, name: str) -> str | None:
    """Return a parameter of the query, None if it is not given. Raises `Problem` 400 if it is given more than once."""
    found = request.query_params.getlist(name)
    if len(found) > 1:
        raise Problem(400, f"the parameter {name!r} is given {len(found)} times; give it once")
    if found and "\x00" in found[0]:
        raise Problem(400, f"the parameter {name!r} has a null character; take it out")
    return found[0] if found else None


def needed(request: Request, name: str) -> str:
    """Return a parameter that has to be given. Raises `Problem` 400."""
    found = text(request, name)
    if found is None:
        raise Problem(400, f"the parameter {name!r} is missing")
    return found


def integer(request: Request, name: str, *, least: int, most: int) -> int | None:
    """Return a parameter that is a whole number, None if it is not given. Raises `Problem` 400."""
    found = text(request, name)
    return None if found is None else whole(found, f"the parameter {name!r}", least=least, most=most)


def whole(said: str, what: str, *, least: int, most: int) -> int:
    """Return the whole number that a text says. Raises `Problem` 400, about `what`."""
    digits = said[1:] if said[:1] == "-" else said
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and least <= int(said) <= most:
        return int(said)
    raise Problem(400, f"{what} is {said[:40]!r}; it must be a whole number from {least} to {most}")
