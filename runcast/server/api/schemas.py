"""The JSON of requests and answers, as OpenAPI 3.1 says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runcast.server.api.operation import Schema

__all__ = [
    "APPEND_ANSWERS",
    "CHANGES",
    "ERROR",
    "FACTS",
    "FILES",
    "INTEGER",
    "NUMBER",
    "POINTS",
    "RUN",
    "RUNS",
    "RUN_ID",
    "SERIES",
    "SIZE",
    "STEP",
    "SUMMARIES",
    "TEXT",
    "listed",
    "object_of",
]


def object_of(
    properties: dict[str, Schema], required: tuple[str, ...] | None = None, **rest: object
) -> Schema:
    """Return an object, all of whose properties are required unless it says which; others are passed over."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
        **rest,
    }


def listed(items: Schema, **rest: object) -> Schema:
    """Return a list of these."""
    return {"type": "array", "items": items, **rest}


LONGEST_NAME = 1000
"""Characters of a run's name."""

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer", "minimum": 0, "maximum": 2**62}
STEP: Schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
TIME: Schema = {"type": "number", "description": "Seconds since the epoch."}
TIME_OR_NONE: Schema = {"type": ["number", "null"], "description": "Seconds since the epoch."}
NUMBER: Schema = {
    "oneOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}],
    "description": "A number; those that JSON cannot say are texts.",
}
ANYTHING: Schema = {"type": "object", "additionalProperties": True}
RUN_ID: Schema = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}
STATE: Schema = {"enum": ["running", "finished", "failed", "crashed", "synced"]}

ERROR = object_of({"error": {"type": "string", "description": "What, where, and what to do."}})

_RUN: dict[str, Schema] = {
    "id": RUN_ID,
    "project": NAME,
    "name": {"type": "string", "maxLength": LONGEST_NAME},
    "state": STATE,
    "created": TIME,
    "ended": TIME_OR_NONE,
    "heartbeat": TIME_OR_NONE,
    "config": ANYTHING,
    "facts": {**ANYTHING, "description": "Host, command, git, tags, notes and the like; any JSON values."},
}

NEW_RUN = object_of(_RUN, ("id", "project", "name", "state", "created"))

RUN = object_of(
    {
        **_RUN,
        "tags": listed(TEXT),
        "notes": TEXT,
        "group": TEXT,
        "job_type": TEXT,
        "summary": {
            **ANYTHING,
            "description": "The last value of each scalar series, and what the user says.",
        },
    }
)

RUNS = object_of(
    {
        "runs": listed(RUN),
        "next": {
            "type": ["string", "null"],
            "description": "`after` of the next page; null: this is the last.",
        },
    }
)

FACTS = object_of(
    {
        "name": {"type": ["string", "null"], "maxLength": LONGEST_NAME},
        "project": {"type": ["string", "null"], "minLength": 1, "maxLength": 200},
        "state": {"enum": ["running", "finished", "failed", "crashed", "synced", None]},
        "ended": TIME_OR_NONE,
        "heartbeat": TIME_OR_NONE,
        "config": {**ANYTHING, "description": "Merged key by key."},
        "facts": {**ANYTHING, "description": "Merged key by key; null takes one away."},
        "edit": {
            "type": "boolean",
            "description": "This is a person's word: what a recorder says of it later is passed over. From a browser it always is.",
        },
    },
    (),
)

_FILE = {
    "path": TEXT,
    "size": INTEGER,
    "records": INTEGER,
    "skipped": INTEGER,
    "source_path": TEXT,
    "source_size": INTEGER,
    "state": TEXT,
    "why": TEXT,
}

FILES = object_of({"files": listed(object_of(_FILE))})
DESCRIBED = object_of({"files": listed(object_of(_FILE, ("path", "size")), maxItems=10_000)})
SIZE = object_of({"size": INTEGER})

APPEND_ANSWERS = object_of(
    {
        "answers": listed(
            object_of(
                {
                    "size": {"type": ["integer", "null"], "description": "What the file holds now."},
                    "error": {
                        "type": "string",
                        "description": "Nothing was taken. `offset`: the file holds `size` bytes, go on there.",
                    },
                },
                (),
            )
        )
    }
)

SERIES = object_of(
    {
        "series": listed(
            object_of(
                {
                    "id": INTEGER,
                    "root": TEXT,
                    "source": TEXT,
                    "tag": TEXT,
                    "plugin": TEXT,
                    "count": INTEGER,
                    "first_step": STEP,
                    "last_step": STEP,
                    "last": NUMBER,
                    "min": NUMBER,
                    "max": NUMBER,
                    "last_wall_time": NUMBER,
                }
            )
        )
    }
)

POINTS = object_of({"step": listed(STEP), "wall_time": listed(NUMBER), "value": listed(NUMBER)})

SUMMARIES = object_of(
    {
        "summaries": listed(
            object_of({"step": STEP, "wall_time": NUMBER, "path": TEXT, "offset": INTEGER, "length": INTEGER})
        )
    }
)

CHANGES = object_of({"mark": INTEGER, "runs": listed(RUN_ID)})
