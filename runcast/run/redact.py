"""Taking secrets out of what a run records: command lines, patches, code.

Known shapes of keys go wherever they stand; other values go for the name that they are given. Names of the field that look
like secrets (`pad_token`, `num_tokens`, `key`) lose their value only if it looks random. What is not told apart safely is
taken out: a run that lacks a word is a smaller harm than one that holds a password.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "REDACTED",
    "Redactor",
    "is_secret_name",
    "looks_random",
    "redact_url",
    "without_secrets",
]

REDACTED = "REDACTED"
"""What stands where a secret stood: a word, so that code and command lines stay well-formed."""

_SECRETS = {
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "credentials",
    "apikey",
}
_KEYS = {
    "api", "access", "secret", "private", "auth", "account", "encryption", "signing", "ssh", "master", "service",
    "subscription", "storage", "license", "shared", "client", "wandb", "openai", "admin", "hmac", "aes",
}  # fmt: skip
"""What makes a `key` a secret one: `api_key`, not `sort_key`."""

_FIELD_TOKENS = {
    "pad", "eos", "bos", "unk", "mask", "sep", "cls", "special", "max", "min", "num", "n", "trigger", "placeholder",
    "initializer", "init", "instance", "class", "start", "end", "stop", "begin", "first", "last", "next", "per", "new",
    "image", "audio", "video", "decoder", "encoder", "text", "prompt", "control", "newline", "modifier", "total", "lang",
    "language", "padding", "blank", "separator", "delimiter", "with", "by", "add", "skip", "time", "target",
}  # fmt: skip
"""What makes a `token` one of language models: `pad_token`, `max_token`."""

_SUSPECT = _SECRETS | {
    "key",
    "keys",
    "tokens",
    "secrets",
    "passwords",
    "auth",
    "signature",
    "sig",
    "sas",
    "bearer",
}
_PLAIN = {
    "",
    "true",
    "false",
    "none",
    "null",
    "yes",
    "no",
    "on",
    "off",
    "auto",
    "...",
    "***",
    REDACTED.lower(),
}

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?=[AESaeghnprswxyd])(?:
      (?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])           # AWS
    | gh[pousr]_[A-Za-z0-9]{20,255} | github_pat_\w{22,255}
    | glpat-[\w-]{20,}                                # GitLab
    | (?:hf|api_org)_[A-Za-z0-9]{20,}                 # Hugging Face
    | sk-[A-Za-z0-9_-]{20,}                           # OpenAI, Anthropic
    | [sr]k_(?:live|test)_[A-Za-z0-9]{16,}            # Stripe
    | xox[abeposr]-[A-Za-z0-9-]{10,}                  # Slack
    | AIza[\w-]{35} | ya29\.[\w-]{20,}                # Google
    | npm_[A-Za-z0-9]{36} | pypi-[\w-]{32,}
    | nvapi-[\w-]{20,} | r8_[A-Za-z0-9]{30,} | gsk_[A-Za-z0-9]{20,} | dop_v1_[0-9a-f]{32,}
    | SG\.[\w-]{16,}\.[\w-]{16,}                      # SendGrid
    | wandb_v\d_[\w-]{20,}
    | eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*              # JSON web tokens
    )""",
    re.VERBOSE,
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_PEM_LINE = re.compile(r"(?<![A-Za-z0-9+/=-])[A-Za-z0-9+/]{16,}={0,2}")
_URL = re.compile(
    r"""(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,30})://([^\s/?#@"'`<>]{1,512})@(?=[\w\[.-])"""
)
_WEBHOOK = re.compile(r"(https://(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/)[\w/-]+")
_BEARER = re.compile(r"""\b(Bearer|Basic)[ \t]+([A-Za-z0-9+/._~=-]{8,})""", re.IGNORECASE)
_HINT = re.compile("|".join(sorted(_SUSPECT | {"basic"})), re.IGNORECASE)
"""What a line must hold for anything in it to be called a secret."""

_NAME = r"[A-Za-z_][\w.-]{0,63}"
_QUOTED = re.compile(
    rf"""(?<!\w)(?P<name>{_NAME})(?P<between>\\?["']?\]?(?:[ \t]*:[ \t]*[A-Za-z_][\w.\[\]| ]{{0,60}}?)?[ \t]*(?:=|:|,|==)[ \t]*[rbuf]{{0,2}})"""
    r"""(?P<quote>\\?["'])(?P<value>(?:(?!(?P=quote))[^\n]){1,4096}?)(?P=quote)"""
)
_BARE = re.compile(
    rf"""(?<![\w$%{{(.-])(?P<name>{_NAME})(?P<between>=|[ \t]*:[ \t]+|[ \t]+=[ \t]+)"""
    r"""(?P<value>[^\s"'`,;&|)}\]\\({\[]{4,4096})"""
)
_FLAG = re.compile(
    rf"""(?<![\w-])(?P<name>--?{_NAME})(?P<between>=|[ \t]+)(?P<value>[^\s"'`;&|)}}\]\\-][^\s"'`;&|)}}\]\\]{{0,4096}})"""
)
_QUERY = re.compile(rf"""(?P<name>[?&]{_NAME})(?P<between>=)(?P<value>[^\s"'`&#<>\\]{{4,4096}})""")


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def is_secret_name(name: str) -> bool:
    """Whether whatever has this name is a secret: `--api-key`, `HF_TOKEN`, `db.password`; not `tokenizer`, `pad_token`."""
    words = _words(name)
    if not words:
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "token":
        return not _FIELD_TOKENS & set(words)
    if last == "key":
        return before in _KEYS
    return last in _SECRETS


def _is_suspect(name: str) -> bool:
    """Whether a value of this name that looks random is a secret."""
    return not _SUSPECT.isdisjoint(_words(name))


def looks_random(value: str) -> bool:
    """Whether a text looks made by a machine to be hard to guess: long, mixed, and neither words, a path nor a number."""
    if len(value) < 16 or re.search(r"\s", value) or value.count("/") > max(1, len(value) // 20):
        return False
    kinds = sum(bool(re.search(kind, value)) for kind in (r"[a-z]", r"[A-Z]", r"[0-9]"))
    if kinds < 2 or not re.search(r"[0-9]", value):
        return False
    if re.fullmatch(r"(?:[A-Za-z]+|[0-9.]+)(?:[-_.:][A-Za-z]+|[-_.:][0-9.]+)*", value):
        return False  # words and numbers: bert-base-uncased-2024
    length = len(value)
    entropy = -sum(n / length * math.log2(n / length) for n in Counter(value).values())
    return entropy >= 3.0


class Redactor:
    """Takes out secrets; also those values of an environment that its variables' names call secret. Immutable."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        values = {
            value
            for name, value in environment.items()
            if len(value) >= 8
            and value.lower() not in _PLAIN
            and not value.isdecimal()
            and "/" not in value[:3]
            and (is_secret_name(name) or (_is_suspect(name) and looks_random(value)))
        }
        longest_first = sorted(values, key=lambda value: (-len(value), value))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if values else None

    def command(self, arguments: Sequence[str]) -> str:
        """Return a command line, quoted for a shell."""
        return shlex.join(self.arguments(arguments))

    def arguments(self, arguments: Iterable[str]) -> list[str]:
        """Return a program's arguments: `--token X`, `--token=X`, `token=X` and secrets inside longer texts."""
        kept = []
        name = ""
        for argument in arguments:
            if name and not argument.startswith("-"):
                kept.append(self._value(name, argument))
                name = ""
                continue
            option = re.fullmatch(r"([-+~]{0,2}[A-Za-z_][\w.-]{0,63})=(.*)", argument, re.DOTALL)
            if option is not None:
                kept.append(f"{option[1]}={self._value(option[1], option[2])}")
            else:
                kept.append(self.text(argument))
            name = argument if re.fullmatch(rf"--?{_NAME}", argument) and _is_suspect(argument) else ""
        return kept

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return environment variables."""
        return {name: self._value(name, value) for name, value in environment.items()}

    def text(self, text: str) -> str:
        """Return code, a patch or any other text. It keeps its number of lines."""
        if "PRIVATE KEY-----" in text:
            text = _PEM.sub(lambda found: _PEM_LINE.sub(REDACTED, found[0]), text)
        return "".join(map(self._line, text.splitlines(keepends=True)))

    def _line(self, line: str) -> str:
        if self._known is not None:
            line = self._known.sub(REDACTED, line)
        line = _SHAPES.sub(REDACTED, line)
        if "://" in line:
            line = _WEBHOOK.sub(rf"\1{REDACTED}", redact_url(line))
        return _named(line) if _HINT.search(line) else line

    def _value(self, name: str, value: str) -> str:
        return REDACTED if _is_secret(name, value) else self.text(value)


def without_secrets(values: Any, name: str = "") -> Any:
    """Return what JSON can hold of a config, without the texts that their keys call secret, however deep they stand."""
    if isinstance(values, dict):
        return {key: without_secrets(value, str(key)) for key, value in values.items()}
    if isinstance(values, list):
        return [without_secrets(value, name) for value in values]
    return REDACTED if isinstance(values, str) and values and _is_secret(name, values) else values


def _named(line: str) -> str:
    """Return a line without the values that their names call secret."""
    line = _BEARER.sub(_bearer, line)
    line = _QUERY.sub(_query, line)
    line = _FLAG.sub(_flag, line)
    line = _QUOTED.sub(_quoted, line)
    return _BARE.sub(_bare, line)


def redact_url(text: str) -> str:
    """Return a text in which no address holds a password; user names without one stay, but for web addresses."""
    return _URL.sub(_credentials, text)


def _credentials(found: re.Match[str]) -> str:
    scheme, who = found[1], found[2]
    user, colon, _ = who.partition(":")
    if colon:
        keep = user and not _SHAPES.search(user) and not looks_random(user) and user != REDACTED
        return f"{scheme}://{user if keep else REDACTED}:{REDACTED}@"
    if scheme.lower().endswith(("http", "https")) or looks_random(who):
        return f"{scheme}://{REDACTED}@"
    return found[0]


def _is_secret(name: str, value: str) -> bool:
    if value.lower() in _PLAIN or value.startswith(("$", "<", "{")):
        return False  # a switch, a variable, or something to be filled in
    if value.isupper() and value.isidentifier() and is_secret_name(value):
        return False  # the name of a variable
    if is_secret_name(name):
        return True
    return _is_suspect(name) and looks_random(value)


def _quoted(found: re.Match[str]) -> str:
    value = found["value"]
    if "," in found["between"] and not re.search(r"""["']""", found["between"]):
        return found[0]  # a list of arguments: f(token, "text")
    if not _is_secret(found["name"], value):
        return found[0]
    return f"{found['name']}{found['between']}{found['quote']}{REDACTED}{found['quote']}"


def _bare(found: re.Match[str]) -> str:
    """Take out `API_KEY=value` of shells and `.env` files, and random values after `:` and `=`; code names its values."""
    name, value = found["name"], found["value"]
    shell = found["between"] == "=" and name.isupper()
    if (shell and _is_secret(name, value)) or (
        _is_suspect(name) and looks_random(value) and "(" not in value
    ):
        return f"{name}{found['between']}{REDACTED}"
    return found[0]


def _flag(found: re.Match[str]) -> str:
    if _is_secret(found["name"], found["value"]):
        return f"{found['name']}{found['between']}{REDACTED}"
    return found[0]


def _query(found: re.Match[str]) -> str:
    if is_secret_name(found["name"]) or (_is_suspect(found["name"]) and looks_random(found["value"])):
        return f"{found['name']}={REDACTED}"
    return found[0]


def _bearer(found: re.Match[str]) -> str:
    value = found[2]
    return f"{found[1]} {REDACTED}" if re.search(r"[0-9=_~+]", value) else found[0]
