"""What a run keeps of a working tree that is in no commit: patches, and a list of the files that git does not know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runcast.run.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runcast.recorder.facts.git import Answer, Repository

__all__ = ["MOST_PATCH", "uncommitted"]

MOST_PATCH = 4 << 20
"""Bytes of one patch, at most."""

MOST_LIST = 256 << 10
"""Bytes of the list of untracked files, at most."""

_SECRET_FILE = re.compile(
    r"""(?:^|/)(?: \.env(?:\.[\w.-]+)? | [._]netrc | \.pypirc | \.npmrc | \.git-credentials | \.?htpasswd | id_(?:rsa|dsa|ecdsa|ed25519)
    | [^/]*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ovpn) | kaggle\.json | (?:client_)?secrets?(?:\.\w+)? | credentials(?:\.\w+)?
    | service[-_]?account[^/]*\.json )$""",
    re.VERBOSE | re.IGNORECASE,
)
_SECTION = re.compile(r"^(?=diff --git |Submodule )", re.MULTILINE)
_TARGET = re.compile(r"^diff --git (?:\"?a/.*?\"?) \"?b/(.*?)\"?$", re.MULTILINE)


def uncommitted(repository: Repository, *, most: int = MOST_PATCH) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of `diff.patch` (from HEAD), `upstream.patch` (from the last commit that is pushed) and
    `untracked.txt`, as far as there is anything to say.

    Patches are those that `git apply` takes, but for what was left out, which their first lines tell: the changes of files
    that are made to hold secrets, and binary ones, then whole files, where a patch would be larger than `most` bytes.
    Secrets in other files are taken out line by line, so that a patch which held one may not apply.
    """
    if repository.root is None:
        return
    yield from _patch("diff.patch", repository, repository.commit, most)
    if repository.upstream is not None and repository.upstream[1] != repository.commit:
        yield from _patch("upstream.patch", repository, repository.upstream[1], most)
    untracked = repository.untracked(MOST_LIST)
    if untracked is not None and untracked.data:
        yield "untracked.txt", _whole_lines(untracked)


def _patch(name: str, repository: Repository, base: str | None, most: int) -> Iterator[tuple[str, bytes]]:
    notes = []
    patch = repository.diff(base, binary=True, limit=most)
    if patch is not None and not patch.whole:
        notes.append("binary changes are left out: with them the patch is too large")
        patch = repository.diff(base, binary=False, limit=most)
    if patch is None or not patch.data:
        return
    sections = _SECTION.split(patch.data.decode("utf-8", "surrogateescape"))
    if not patch.whole:
        lost = _target(sections.pop()) if len(sections) > 1 else None
        notes.append(f"cut after {most} bytes{f', before {lost}' if lost else ''}: the patch is too large")
    redactor = Redactor()
    kept = []
    for section in sections:
        target = _target(section)
        if target is not None and _SECRET_FILE.search(target):
            notes.append(f"{target} is left out: such files hold secrets")
        elif "\nGIT binary patch\n" in section:
            kept.append(section)
        else:
            kept.append(redactor.text(section))
    text = "".join([*(f"# runcast: {note}\n" for note in notes), *kept])
    if text:
        yield name, text.encode("utf-8", "surrogateescape")


def _target(section: str) -> str | None:
    found = _TARGET.search(section)
    return found[1] if found is not None else None


def _whole_lines(listed: Answer) -> bytes:
    if listed.whole:
        return listed.data
    end = listed.data.rfind(b"\n") + 1
    return listed.data[:end] + b"# runcast: and more\n"
