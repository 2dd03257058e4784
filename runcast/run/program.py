"""What this process runs: the command line and the script, as far as they can be told without looking at a disk."""

from __future__ import annotations

import os
import sys
from typing import Any

from runcast.run.redact import Redactor

__all__ = ["program_facts"]


def program_facts() -> dict[str, Any]:
    """Return `command` (secrets taken out), `program` (`train.py`, `-m pkg.train`) and `script` (its absolute path).

    What is not known, as in an interactive session, is left out.
    """
    facts: dict[str, Any] = {"command": Redactor().command(sys.orig_argv)}
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    if spec is not None and spec.name:
        facts["program"] = f"-m {spec.name.removesuffix('.__main__')}"
        facts["module"] = spec.name
    elif file:
        facts["program"] = sys.argv[0] if sys.argv and sys.argv[0] else file
    if isinstance(file, str) and file:
        facts["script"] = os.path.abspath(file)  # noqa: PTH100  as the user knows it: links are not followed
    return facts
