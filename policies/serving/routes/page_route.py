"""The page at /: a chat for trying the service, of a few files that are read once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, Request, Response

FOLDER = Path(__file__).parent.parent / "page"
FILES = {
    "/": (FOLDER / "index.html", "text/html"),
    "/page.css": (FOLDER / "page.css", "text/css"),
    "/page.js": (FOLDER / "page.js", "text/javascript"),
    "/events.js": (FOLDER / "events.js", "text/javascript"),
    "/question.html": (FOLDER / "question.html", "text/html"),
    "/question.js": (FOLDER / "question.js", "text/javascript"),
}
"""Path -> (file, its type)."""
PAGE_PATHS = tuple(FILES)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Nothing from anywhere else, nothing inline, no markup made of text."""
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


def page_router(files: Mapping[str, tuple[Path, str]]) -> APIRouter:
    """Return the routes of a page: path -> (file, its type), read once and served under `POLICY`."""
    router = APIRouter(include_in_schema=False)
    contents = {path: file.read_bytes() for path, (file, _) in files.items()}

    async def page_file(request: Request) -> Response:
        """Return the page, or one of its files."""
        path = request.url.path
        return Response(contents[path], media_type=files[path][1], headers=_HEADERS)

    for path in files:
        router.add_api_route(path, page_file, methods=["GET"])
    return router


router = page_router(FILES)
