"""Names that people type: matched without regard to case, dashes, underscores and dots."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["file_name", "match_name", "near_matches", "normalise_name"]


def normalise_name(name: str) -> str:
    """`MetaWorld-MT10`, `metaworld_mt10` and `metaworldmt10` are one name: letters and digits in lower case."""
    return "".join(character for character in name.casefold() if character.isalnum())


def match_name(name: str, known: Iterable[str]) -> str | None:
    """Return the registered spelling of `name`, or None. An exact match wins over a normalised one."""
    candidates = list(known)
    if name in candidates:
        return name
    wanted = normalise_name(name)
    return (
        next((candidate for candidate in candidates if normalise_name(candidate) == wanted), None) if wanted else None
    )


def near_matches(name: str, known: Iterable[str], limit: int = 2) -> list[str]:
    """The registered names nearest to a mistyped one, best first, at most `limit`."""
    by_form = {normalise_name(candidate): candidate for candidate in known}
    close = difflib.get_close_matches(normalise_name(name), by_form, n=limit, cutoff=0.6)
    return [by_form[form] for form in close]


def file_name(name: str) -> str:
    """A name as a file of that name is called: never a path, never hidden, the same on every system."""
    return quote(name, safe=" ").replace(".", "%2E", 1) if name.startswith(".") else quote(name, safe=" ")
