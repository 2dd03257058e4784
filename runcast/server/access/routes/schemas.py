"""The JSON of users, tokens, projects and shares, as OpenAPI 3.1 says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.server.access.names import LABEL, PROJECT, USER
from runcast.server.access.passwords import LEAST, MOST
from runcast.server.access.policy import Role, Scope, Standing
from runcast.server.access.routes.fields import word
from runcast.server.api.operation import Body
from runcast.server.api.schemas import RUN_ID, TEXT, TIME, TIME_OR_NONE, listed, object_of

if TYPE_CHECKING:
    from enum import IntEnum

    from runcast.server.api.operation import Schema

__all__ = [
    "ACTOR",
    "CHANGED_PROJECT",
    "CHANGED_USER",
    "LEAST_AGE",
    "LINK",
    "LOGGED_IN",
    "LOGIN",
    "MADE_SHARE",
    "MADE_TOKEN",
    "MADE_USER",
    "MEMBER",
    "MEMBERS",
    "MOST_AGE",
    "NEW_PASSWORD",
    "NEW_PROJECT",
    "NEW_SHARE",
    "NEW_TOKEN",
    "NEW_USER",
    "PROJECTS",
    "PROJECT_SHAPE",
    "ROLE",
    "SETUP",
    "SETUP_STATE",
    "SHARES",
    "TOKENS",
    "USERS",
    "USER_SHAPE",
]


def _words(kind: type[IntEnum]) -> Schema:
    return {"enum": [word(each) for each in kind]}


def _or_none(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _closed(properties: dict[str, Schema], required: tuple[str, ...] | None = None) -> Body:
    """Return a body that may have these fields and no others."""
    return Body(object_of(properties, required, additionalProperties=False))


def _name(pattern: str, most: int, **more: Any) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$", "maxLength": most, **more}


USER_NAME = _name(USER, 64, description="In lower case, whatever is sent.")
PROJECT_NAME = _name(PROJECT, 200)
LABEL_NAME = _name(LABEL, 100)
SECRET: Schema = {"type": "string", "description": "Shown now, and never again."}
PASSWORD: Schema = {"type": "string", "minLength": LEAST, "maxLength": MOST}
VISIBILITY: Schema = {"enum": ["private", "server"], "description": "Who else may view it: nobody, or all but guests."}  # fmt: skip
EXPIRES: Schema = {"type": ["number", "null"], "description": "Seconds since the epoch, still to come; null: it lasts."}  # fmt: skip

# Logging in.

_ACTOR_USER = object_of({"name": TEXT, "standing": _words(Standing)})
ACTOR = Body(
    object_of(
        {
            "user": _ACTOR_USER,
            "csrf": {"type": "string", "description": "What a browser sends in X-Runcast-CSRF."},
            "token": object_of({"name": TEXT, "scope": _words(Scope), "project": _or_none(TEXT)}),
            "share": object_of({"run": _or_none(RUN_ID), "project": TEXT}),
        },
        (),
    )
)
LOGGED_IN = Body(
    object_of({"user": _ACTOR_USER, "csrf": TEXT}), headers={"Set-Cookie": "The session, for a browser."}
)
LOGIN = _closed({"name": TEXT, "password": TEXT})
NEW_PASSWORD = _closed({"old": TEXT, "new": PASSWORD})
SETUP = _closed(
    {"secret": TEXT, "password": PASSWORD, "name": {**USER_NAME, "description": "Of the first admin."}},
    ("secret", "password"),
)
SETUP_STATE = Body(
    object_of(
        {
            "needed": {"type": "boolean", "description": "Nobody can log in yet."},
            "kind": {"enum": ["setup", "invitation", "reset"]},
            "user": _or_none(TEXT),
            "expires": TIME,
        },
        (),
    )
)

# Users.

USER_SHAPE = Body(
    object_of({"name": TEXT, "standing": _words(Standing), "created": TIME, "invited": {"type": "boolean"}})
)
USERS = Body(object_of({"users": listed(USER_SHAPE.schema or {})}))
NEW_USER = _closed({"name": USER_NAME, "standing": _words(Standing)}, ("name",))
CHANGED_USER = _closed({"standing": _words(Standing)})
LINK = Body(object_of({"link": SECRET}))
MADE_USER = Body(object_of({"user": USER_SHAPE.schema or {}, "link": SECRET}))

# Tokens.

_TOKEN = object_of(
    {
        "id": {"type": "integer"},
        "user": TEXT,
        "name": TEXT,
        "scope": _words(Scope),
        "project": _or_none(TEXT),
        "created": TIME,
        "expires": TIME_OR_NONE,
        "used": TIME_OR_NONE,
    }
)
TOKENS = Body(object_of({"tokens": listed(_TOKEN)}))
NEW_TOKEN = _closed(
    {"name": LABEL_NAME, "scope": _words(Scope), "project": _or_none(PROJECT_NAME), "expires": EXPIRES},
    ("name", "scope"),
)
MADE_TOKEN = Body(object_of({"token": _TOKEN, "secret": SECRET}))

# Projects.

LEAST_AGE, MOST_AGE = 3600, 100 * 366 * 86_400
"""Seconds that a project may keep runs, if not for ever."""

PROJECT_SHAPE = Body(
    object_of(
        {
            "name": TEXT,
            "visibility": VISIBILITY,
            "created": TIME_OR_NONE,
            "runs": {"type": "integer"},
            "latest": TIME_OR_NONE,
            "keep_for": _or_none({"type": "number"}),
            "may": listed({"enum": ["write", "share", "manage"]}),
        }
    )
)
PROJECTS = Body(object_of({"projects": listed(PROJECT_SHAPE.schema or {})}))
NEW_PROJECT = _closed({"name": PROJECT_NAME, "visibility": VISIBILITY}, ("name",))
CHANGED_PROJECT = _closed(
    {
        "visibility": VISIBILITY,
        "keep_for": _or_none({"type": "number", "minimum": LEAST_AGE, "maximum": MOST_AGE}),
    },
    (),
)
_MEMBER = object_of({"user": TEXT, "role": _words(Role)})
MEMBERS = Body(object_of({"members": listed(_MEMBER)}))
MEMBER = Body(_MEMBER)
ROLE = _closed({"role": _words(Role)})

# Shares.

_SHARE = object_of(
    {
        "id": {"type": "integer"},
        "project": TEXT,
        "run": _or_none(RUN_ID),
        "name": TEXT,
        "maker": _or_none(TEXT),
        "created": TIME,
        "expires": TIME_OR_NONE,
        "used": TIME_OR_NONE,
    }
)
SHARES = Body(object_of({"shares": listed(_SHARE)}))
_NEW_SHARE = {"run": RUN_ID, "project": PROJECT_NAME, "name": _or_none(LABEL_NAME), "expires": EXPIRES}
_ONE_TARGET = [{"required": ["run"]}, {"required": ["project"]}]
NEW_SHARE = Body(object_of(_NEW_SHARE, (), additionalProperties=False, oneOf=_ONE_TARGET))
MADE_SHARE = Body(object_of({"share": _SHARE, "secret": SECRET, "link": SECRET}))
