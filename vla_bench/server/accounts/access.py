"""`require(scope)`, the dependency of every route that writes: who asks, by bearer token or by the cookie made of one.

A cookie names a token and is signed, not secret: what it may do is read from the database at every request, so that a
revoked token ends its sessions too. Only requests that come with a cookie can be forged by another site, and those that
change something must say that they come from this one: by `Sec-Fetch-Site`, or by `Origin` in older browsers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from vla_bench.results.store import Store
from vla_bench.server.accounts.limits import RateLimits
from vla_bench.server.accounts.people import Principal, Scope, authenticate, principal_of_token, touch_token
from vla_bench.server.accounts.tokens import parse_token
from vla_bench.server.problems import Problem
from vla_bench.server.settings import Settings, is_loopback

__all__ = [
    "SAFE", "address_of", "check_same_origin", "is_from_here", "limits_of", "principal_or_none", "require", "sign_in",
    "sign_in_with", "sign_out",
]  # fmt: skip

COOKIE_DAYS = 14
_SALT = "vla-bench/sign-in/1"
_KNOWN = "vla_bench.principal"
SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""


def require(scope: Scope | None = None) -> Callable[[Request], Principal]:
    """A dependency that gives who asks, and refuses everybody whose token has not the scope.

    Args:
        scope: that is wanted; None for any token.

    Returns:
        A dependency that raises `Problem` 401 without a valid token, 403 for one that may not do this or for a request
        that another site has made, 429 after too many wrong tokens.
    """

    def dependency(request: Request) -> Principal:
        principal = principal_or_none(request)
        if principal is None:
            headers = {"WWW-Authenticate": 'Bearer realm="vla-bench"'}
            raise Problem(401, "sign in, or send a token: Authorization: Bearer vlab_…", headers=headers)
        if scope is not None and scope not in principal.scopes:
            raise Problem(403, f"this token may not do that: it wants the scope {scope}", kind="missing-scope")
        return principal

    return dependency


def principal_or_none(request: Request) -> Principal | None:
    """Who asks; None for a reader without a token. For routes that everybody may see.

    Found once a request, whoever asks first: a wrong token is one guess.

    Raises:
        Problem: a token was sent and is worth nothing (401), too often (429), or another site made the request (403).
    """
    if _KNOWN not in request.scope:
        try:
            request.scope[_KNOWN] = _find_principal(request)
        except Problem as problem:
            request.scope[_KNOWN] = problem
    found: Principal | Problem | None = request.scope[_KNOWN]
    if isinstance(found, Problem):
        raise found
    return found


def _find_principal(request: Request) -> Principal | None:
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    # Other kinds are for whoever stands before the board: a proxy that asks for a password is no guess of a token.
    if kind.lower() == "bearer":
        return _of_token(request, text)
    cookie = request.cookies.get(_cookie_name(_settings(request)), "")
    if not cookie:
        return None
    if request.method not in SAFE:
        check_same_origin(request)
    return _of_cookie(request, cookie)


def check_same_origin(request: Request) -> None:
    """Refuse a request that changes something and does not come from a page of this board.

    Raises:
        Problem: 403.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site in ("same-origin", "none"):
            return
        raise Problem(403, "this form was sent from another site", kind="cross-site")
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc not in _own_hosts(request):
        raise Problem(403, "this form does not say which site it was sent from", kind="cross-site")


def sign_in(request: Request, response: Response, token: str) -> Principal:
    """Exchange a token for a cookie.

    Raises:
        Problem: 401 for a token that is worth nothing, 403 for a form of another site, 429 after too many.
    """
    check_same_origin(request)
    principal = _of_token(request, token)
    sign_in_with(request, response, principal)
    return principal


def sign_in_with(request: Request, response: Response, principal: Principal) -> None:
    """Set the cookie of somebody who is known."""
    settings = _settings(request)
    response.set_cookie(
        _cookie_name(settings),
        _signer(settings).dumps(principal.token_id),
        max_age=COOKIE_DAYS * 86400,
        secure=settings.is_https,
        httponly=True,
        samesite="lax",
        path="/",
    )


def sign_out(request: Request, response: Response) -> None:
    """Forget the cookie.

    Raises:
        Problem: 403 for a form of another site.
    """
    check_same_origin(request)
    settings = _settings(request)
    response.delete_cookie(
        _cookie_name(settings), secure=settings.is_https, httponly=True, samesite="lax", path="/"
    )  # fmt: skip


def limits_of(request: Request) -> RateLimits:
    """The rate limits of this service, made at the first use."""
    state = request.app.state
    found: RateLimits | None = getattr(state, "rate_limits", None)
    if found is None:
        found = state.rate_limits = RateLimits(state.settings)
    return found


def address_of(request: Request) -> str:
    """Who is at the other end; the server has put in what a trusted proxy reports."""
    return request.client.host if request.client else ""


def is_from_here(request: Request) -> bool:
    """Whether somebody at this machine asks, and not a proxy on it for somebody else."""
    return is_loopback(address_of(request)) and not {"x-forwarded-for", "forwarded"} & set(request.headers)


def _of_token(request: Request, text: str) -> Principal:
    limits, address = limits_of(request), address_of(request)
    limits.check_failures(address)
    token = parse_token(text)
    store: Store = request.app.state.store
    if token is not None:
        with store.database.read() as connection:
            found = authenticate(connection, token)
        if found is not None:
            principal, is_due = found
            if is_due and not store.location.is_read_only:
                with store.database.write() as connection:
                    touch_token(connection, principal.token_id)
            return principal
    limits.count_failure(address)
    # One answer for all: whoever tries tokens learns nothing of those that were.
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    raise Problem(401, "the token is wrong, expired or revoked", headers=headers)


def _of_cookie(request: Request, cookie: str) -> Principal | None:
    try:
        token_id = _signer(_settings(request)).loads(cookie, max_age=COOKIE_DAYS * 86400)
    except BadSignature:
        return None
    store: Store = request.app.state.store
    with store.database.read() as connection:
        return principal_of_token(connection, str(token_id))


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.secret, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256})


def _cookie_name(settings: Settings) -> str:
    # Browsers take a `__Host-` cookie over TLS only, from this host and for all of it.
    return "__Host-vlab" if settings.is_https else "vlab"


def _own_hosts(request: Request) -> set[str]:
    public = urlsplit(_settings(request).public_url).netloc
    return {request.headers.get("host", ""), public} - {""}


def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found
