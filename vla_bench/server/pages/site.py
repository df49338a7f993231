"""What every page shares: the templates' environment, the frame, the static files, ETags, and the page of an error."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

import vla_bench
from vla_bench.results.database import Database
from vla_bench.server.pages import words
from vla_bench.server.problems import Problem

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["address", "check_address", "database", "error_page", "link", "render", "router", "static_files"]

PACKAGE = "vla_bench.server.pages"
STATIC = ("board.css", "board.js", "icon.svg")
NAVIGATION = (
    ("Boards", "/"),
    ("Suites", "/suites"),
    ("Latency", "/latency"),
    ("Methodology", "/methodology"),
    ("Submit", "/submit"),
    ("Log", "/log"),
    ("Account", "/account"),
)
OF_SUBMITTERS = ("/submit", "/account")
"""What a board that takes no submissions leaves out."""
FORMS = {
    "home.html": ("csv", "json"),
    "suites.html": ("csv", "json"),
    "suite.html": ("csv", "json"),
    "latency.html": ("csv", "json"),
    "log.html": ("csv", "json"),
    "episodes.html": ("csv", "json"),
    "policy.html": ("csv", "json", "bib"),
    "run.html": ("csv", "json", "tex", "md", "bib"),
    "compare.html": ("csv", "json", "tex", "md"),
    "episode.html": ("json",),
    "submission.html": ("json",),
}
"""Template → what else the address of its page is written as, with the page's own query."""
_FORM_NAMES = {"csv": "CSV", "json": "JSON", "tex": "LaTeX", "md": "Markdown", "bib": "BibTeX"}
_A_YEAR = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@cache
def static_files() -> dict[str, tuple[bytes, str]]:
    """Name → bytes and digest of the files that pages load."""
    folder = files(PACKAGE).joinpath("static")
    found = {name: folder.joinpath(name).read_bytes() for name in STATIC}
    return {name: (data, hashlib.sha256(data).hexdigest()[:12]) for name, data in found.items()}


def static_url(name: str) -> str:
    """Address of a file, with its digest: browsers may keep it for ever."""
    return f"/static/{name}?v={static_files()[name][1]}"


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    """One of the files that pages load."""
    if name not in static_files():
        raise Problem(404)
    data, digest = static_files()[name]
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(data, media_type=kind, headers={"Cache-Control": _A_YEAR, "ETag": f'"{digest}"'})


def link(path: str, /, **query: Any) -> str:
    """An address of this site; what is empty is left out of its query."""
    asked = urlencode([(name, value) for name, value in query.items() if value not in ("", None)])
    return words.segment(path) + (f"?{asked}" if asked else "")


@cache
def environment() -> Environment:
    """Jinja: everything is escaped, and a missing value is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(PACKAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        auto_reload=False,
    )  # fmt: skip
    made.filters |= {name: getattr(words, name) for name in words.__all__}
    made.globals |= {"static": static_url, "link": link, "version": vla_bench.__version__}
    return made


@cache
def _look() -> str:
    """A digest of templates and static files: with an update every page is another."""
    found = hashlib.sha256(vla_bench.__version__.encode())
    for entry in sorted(files(PACKAGE).joinpath("templates").iterdir(), key=lambda entry: entry.name):
        found.update(entry.read_bytes())
    for _, digest in static_files().values():
        found.update(digest.encode())
    return found.hexdigest()[:12]


def render(request: Request, template: str, *, status: int = 200, etag: str = "", **context: Any) -> Response:
    """A page.

    Args:
        request: that asks for it.
        template: file in `templates`.
        status: HTTP status.
        etag: changes with what the page shows; empty for a page that is never kept.
        context: what the template names.
    """
    settings = request.app.state.settings
    headers = {"Cache-Control": "no-cache" if etag else "no-store"}
    if etag:
        frame = f"{settings.title}\0{settings.accepts_submissions}"
        asked = hashlib.sha256(f"{frame}\0{request.url.query}\0{etag}".encode()).hexdigest()[:16]
        headers["ETag"] = f'W/"{_look()}-{asked}"'
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
    path = "/boards" if request.url.path == "/" else request.url.path
    forms = [(_FORM_NAMES[form], link(f"{path}.{form}", **request.query_params)) for form in FORMS.get(template, ())]
    frame = {
        "forms": forms, "title_of_site": settings.title, "contact": settings.contact, "here": request.url.path,
        "navigation": [each for each in NAVIGATION if settings.accepts_submissions or each[1] not in OF_SUBMITTERS],
    }  # fmt: skip
    text = environment().get_template(template).render({**frame, **context})
    return HTMLResponse(text, status_code=status, headers=headers)


def database(request: Request) -> Database:
    """The results that pages read."""
    found: Database = request.app.state.store.database
    return found


def address(request: Request, path: str) -> str:
    """The whole address of a page, as others reach it."""
    base = request.app.state.settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return base.rstrip("/") + words.segment(path)


def check_address(request: Request) -> None:
    """Refuse control characters in an address: no name has them, and databases choke on some.

    Raises:
        Problem: 400.
    """
    asked = request.url.path + "".join(f"{name}{value}" for name, value in request.query_params.multi_items())
    if any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in asked):
        raise Problem(400, "an address has no control characters")


_ERRORS = {
    400: ("This address asks for something that does not exist", "A number or a filter in it is not understood."),
    401: ("Sign in first", "This page belongs to an account. Sign in with a token."),
    403: ("Not allowed", "The account or its token may not do this, or the form came from another site."),
    404: ("Nothing is here", "No board, policy, run or submission has this address."),
    405: ("Not in this way", "This address does not answer to that kind of request."),
    422: ("This address asks for something that does not exist", "A number or a filter in it is not understood."),
    429: ("Too many requests", "This address asked more often than the limit allows. Wait a minute and reload."),
    503: ("Not available just now", "The service is busy or cannot reach its database. Nothing was lost; try again."),
}
_PLAIN = {"Not Found", "Method Not Allowed", "Unauthorized", "Forbidden"}
"""What the framework says by itself: our own sentence says more."""


def error_page(request: Request, problem: Problem) -> Response:
    """The page of an error: what happened, what to do, and the id under which the log knows it."""
    status = problem.status
    fallback = (
        "Something broke on our side",
        "It is in the log under the id below. Nothing that you sent is kept half.",
    )
    title, said = _ERRORS.get(status, fallback if status >= 500 else (problem.title, "The request was refused."))
    return render(
        request, "error.html", status=status, code=status, title=title,
        said=problem.detail if problem.detail and problem.detail not in _PLAIN and status < 500 else said,
        request_id=request.scope.get("request_id", ""), path=request.url.path,
    )  # fmt: skip
