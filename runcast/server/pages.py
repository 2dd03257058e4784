"""The web pages: one small HTML shell for every address, and the bundles that draw in it.

The bundles are built from `widgets/js/src/pages`. Their addresses hold their digests, so browsers keep them for good and ask for
the shell alone. Nothing comes from elsewhere, and no script runs but these: the policy says so to browsers.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from runcast.server.access.guard import open_to_all
from runcast.server.errors import ErrorResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

__all__ = ["routes"]

FOLDER = Path(__file__).parent / "static"

TYPES = {
    "early.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "pages.css": "text/css; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
}

ADDRESSES = (
    "/",
    "/account",
    "/login",
    "/people",
    "/projects",
    "/projects/{rest:path}",
    "/runs/{rest:path}",
    "/setup",
    "/share",
    "/share/{rest:path}",
    "/tokens",
)
"""What the pages' own router (`main.ts`) knows; it tells which page each is."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

SHELL = """<!doctype html>
<html lang="en" data-base="{base}">
<head>
<meta charset="utf-8">
<title>runcast</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<link rel="icon" href="{icon}" type="image/svg+xml">
<link rel="stylesheet" href="{css}">
<script src="{early}"></script>
<script src="{js}" defer></script>
</head>
<body>
<div id="app"></div>
<noscript>The pages of runcast need JavaScript. Without it there is `runcast runs` in a terminal.</noscript>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class _Asset:
    """A file as it is sent, plain and compressed."""

    content: bytes
    gzipped: bytes
    digest: str
    media_type: str

    @classmethod
    def of(cls, content: bytes, media_type: str) -> _Asset:
        """Return an asset with this content."""
        digest = hashlib.sha256(content).hexdigest()[:20]
        return cls(content, gzip.compress(content, mtime=0), digest, media_type)

    def answer(self, request: Request, headers: Mapping[str, str]) -> Response:
        """Answer with the asset; to who has it already, that it is the same."""
        headers = {**headers, "ETag": f'"{self.digest}"', "Vary": "Accept-Encoding"}
        known = request.headers.get("if-none-match", "")
        if self.digest in known:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                self.gzipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=self.media_type
            )
        return Response(self.content, headers=headers, media_type=self.media_type)


@functools.cache
def _assets() -> dict[str, _Asset]:
    """Return the bundles by name. Raises `OSError` if they were not built."""
    return {name: _Asset.of((FOLDER / name).read_bytes(), kind) for name, kind in TYPES.items()}


@functools.lru_cache(8)
def _shell(base: str) -> _Asset:
    """Return the shell of a server that is reached below the path `base`. Raises `OSError`."""
    address = {name: f"{base}/static/{asset.digest}/{name}" for name, asset in _assets().items()}
    said = {"base": base, "icon": address["icon.svg"], "css": address["pages.css"]}
    said |= {"early": address["early.js"], "js": address["pages.js"]}
    text = SHELL.format_map({name: html.escape(value) for name, value in said.items()})
    return _Asset.of(text.encode(), "text/html; charset=utf-8")


@open_to_all
async def show_page(request: Request) -> Response:
    """Show a page: the same shell for all. What is in it is asked for by its script, and checked there."""
    try:
        shell = _shell(request.scope.get("root_path", "").rstrip("/"))
    except OSError as error:
        words = f"the pages were not built ({error.filename} is missing); the API works without them"
        return PlainTextResponse(words, 503)
    return shell.answer(request, {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY})


@open_to_all
async def show_asset(request: Request) -> Response:
    """Send a bundle, to be kept for good."""
    try:
        asset = _assets().get(request.path_params["name"])
    except OSError:
        asset = None
    if asset is None or asset.digest != request.path_params["digest"]:
        return ErrorResponse(404, "there is no such file of the pages; load the page again")
    return asset.answer(request, {"Cache-Control": "public, max-age=31536000, immutable"})


def routes() -> list[Route]:
    """Return the routes of the pages."""
    pages = [Route(address, show_page, methods=["GET"]) for address in ADDRESSES]
    return [*pages, Route("/static/{digest}/{name}", show_asset, methods=["GET"])]
