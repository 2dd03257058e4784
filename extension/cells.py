"""Cells as a notebook holds them (nbformat 4.5), made from what IPython remembers; secrets are taken out, and sizes kept in bounds."""

from __future__ import annotations

import base64
import json
import platform
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from runcast.run.redact import Redactor

    Output = dict[str, Any]
    Displayed = tuple[int, str, Mapping[str, Any]]
    """How many outputs IPython had remembered before, the display's id (or ""), and the message's content."""

__all__ = [
    "bounded",
    "cell_json",
    "error_output",
    "inputs",
    "is_ours",
    "notebook_json",
    "outputs",
    "size_of",
    "stream_output",
]

MOST_TEXT = 100_000
"""Characters of one text that is kept of an output: as much again of a stream, its beginning and its end."""

MOST_IMAGE = 1_000_000
"""Characters of one picture, which is base64, that are kept; a larger one is left out."""

MOST_OUTPUTS = 200
"""Outputs of one cell, the last ones."""

_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/svg+xml"})
_TEXTS = ("text/plain", "text/html", "text/markdown", "text/latex", "application/json", *sorted(_IMAGES))
_OURS = "runcast-"
_STREAMS = {"out_stream": "stdout", "err_stream": "stderr"}


def inputs(shell: InteractiveShell) -> list[str]:
    """Return the cells' sources as they were typed, by execution count; 0 is no cell."""
    return list(getattr(shell.history_manager, "input_hist_raw", ()) or [""])


def outputs(
    shell: InteractiveShell, n: int, displayed: Sequence[Displayed], error: Output | None
) -> list[Output]:
    """Return the outputs of cell `n` in order, raw.

    IPython remembers streams, results and errors from version 9 on, and results as text before; `displayed` is what was
    displayed (pictures), `error` how the cell failed where IPython does not know. Streams that it does not remember are missing.
    """
    history = shell.history_manager
    remembered = list(getattr(history, "outputs", {}).get(n, ()))
    found: list[tuple[int, Output]] = []
    for place, each in enumerate(remembered):
        if each.output_type in _STREAMS:
            found.append(
                (2 * place + 1, stream_output(_STREAMS[each.output_type], each.bundle.get("stream", ())))
            )
        elif each.output_type == "execute_result":
            data = {"data": dict(each.bundle), "metadata": {}}
            found.append((2 * place + 1, {"output_type": "execute_result", "execution_count": n, **data}))
    for place, _, content in displayed:
        found.append((2 * place, {"output_type": "display_data", "data": content["data"], "metadata": {}}))
    found.sort(key=lambda each: each[0])
    ordered = [output for _, output in found]
    text = getattr(history, "output_hist_reprs", {}).get(n)
    if text is not None and not any(output["output_type"] == "execute_result" for output in ordered):
        data = {"data": {"text/plain": text}, "metadata": {}}
        ordered.append({"output_type": "execute_result", "execution_count": n, **data})
    known = getattr(history, "exceptions", {}).get(n)
    if known is not None:
        ordered.append(
            {"output_type": "error", **{key: known[key] for key in ("ename", "evalue", "traceback")}}
        )
    elif error is not None:
        ordered.append(error)
    return ordered[-MOST_OUTPUTS:]


def error_output(error: BaseException) -> Output:
    """Return how a cell failed, in one line."""
    name, value = type(error).__name__, str(error)
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": [f"{name}: {value}"]}


def is_ours(content: Mapping[str, Any]) -> bool:
    """Whether a display is the panel or a static form: the run has its charts already."""
    return str((content.get("transient") or {}).get("display_id", "")).startswith(_OURS)


def bounded(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is displayed without the forms of it that would not be kept."""
    data = content.get("data") or {}
    return {"data": {kind: value if _fits(kind, value) else None for kind, value in data.items()}}


def size_of(displayed: Displayed) -> int:
    """Return about how many characters something that was displayed has."""
    return sum(len(value) if isinstance(value, str) else 100 for value in displayed[2]["data"].values())


def cell_json(n: int, source: str, found: Iterable[Output], redactor: Redactor) -> str:
    """Return a code cell that was executed as number `n`."""
    cell = {
        "cell_type": "code",
        "execution_count": n,
        "id": f"cell-{n}",
        "metadata": {},
        "outputs": [kept for output in found if (kept := _kept(output, redactor)) is not None],
        "source": redactor.text(source),
    }
    return json.dumps(cell, ensure_ascii=False, default=str)


def notebook_json(cells: Iterable[str]) -> str:
    """Return a whole notebook of cells that are JSON already."""
    version = {
        "name": "python",
        "version": platform.python_version(),
        "file_extension": ".py",
        "mimetype": "text/x-python",
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    head = json.dumps({"language_info": version, "kernelspec": kernel})
    body = ",\n".join(cells)
    return f'{{"nbformat": 4, "nbformat_minor": 5, "metadata": {head}, "cells": [\n{body}\n]}}\n'


def _fits(kind: str, value: Any) -> bool:
    most = MOST_IMAGE if kind in _IMAGES else MOST_TEXT
    return kind in _TEXTS and (not isinstance(value, str) or len(value) <= most)


def stream_output(name: str, pieces: Any) -> Output:
    """Return what was written to a stream, with its middle left out where it is long: a training may print for days."""
    if isinstance(pieces, str):
        pieces = [pieces]
    head, tail, size = [], [], 0
    rest = list(pieces)
    for piece in rest:
        if size > MOST_TEXT:
            break
        head.append(piece)
        size += len(piece)
    size = 0
    for piece in reversed(rest[len(head) :]):
        if size > MOST_TEXT:
            break
        tail.append(piece)
        size += len(piece)
    text = "".join(head)[: 2 * MOST_TEXT]
    if len(head) + len(tail) < len(rest):
        text += "\n[… runcast: left out …]\n"
    return {"output_type": "stream", "name": name, "text": text + "".join(reversed(tail))[-2 * MOST_TEXT :]}


def _drawn(text: str) -> str:
    """Return what stands in the end where lines were drawn over, as progress bars do."""
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _kept(output: Output, redactor: Redactor) -> Output | None:
    kind = output["output_type"]
    if kind == "stream":
        return {**output, "text": redactor.text(_drawn(output["text"]))}
    if kind == "error":
        traceback = [redactor.text(str(line)) for line in output["traceback"]]
        return {
            "output_type": "error",
            "ename": str(output["ename"]),
            "evalue": redactor.text(str(output["evalue"]))[:MOST_TEXT],
            "traceback": traceback[-100:],
        }
    data = {
        kind_: kept for kind_ in _TEXTS if (kept := _kept_data(kind_, output["data"].get(kind_), redactor))
    }
    left_out = [kind_ for kind_ in output["data"] if kind_ not in data]
    if left_out and "text/plain" not in data:
        data["text/plain"] = f"[runcast: {', '.join(map(str, left_out))} left out]"
    return {**output, "data": data, "metadata": {}} if data else None


def _kept_data(kind: str, value: Any, redactor: Redactor) -> Any:
    """Return what is kept of one form of an output; None for nothing."""
    if value is None:
        return None
    if kind == "application/json":
        text = json.dumps(value, default=str)
        return json.loads(redactor.text(text)) if len(text) <= MOST_TEXT else None
    if isinstance(value, (bytes, bytearray)):
        value = base64.b64encode(value).decode("ascii")
    text = "".join(value) if isinstance(value, (list, tuple)) else str(value)
    if kind in _IMAGES:
        return text if len(text) <= MOST_IMAGE else None
    return redactor.text(text) if len(text) <= MOST_TEXT else None
