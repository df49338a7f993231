"""What can move a score: the heading “Scores” of the changelog, version by version."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["read_scores", "score_changes"]

HEADING = "### Scores"


@cache
def score_changes() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Versions, newest first, with the lines below their heading; empty where no changelog is at hand."""
    package = files("vla_bench")
    # Beside this module in what is installed, beside the package where the repository is.
    for place in (package / "server" / "pages" / "CHANGELOG.md", package / ".." / "CHANGELOG.md"):
        if place.is_file():
            return read_scores(place.read_text(encoding="utf-8"))
    return ()


def read_scores(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The same of a changelog's text: plain words, without its marks of code."""
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        version, _, rest = part.partition("\n")
        if HEADING not in rest:
            continue
        section = rest.split(HEADING, 1)[1].split("\n#", 1)[0]
        lines = [" ".join(item.split()).replace("`", "") for item in re.split(r"^- ", section, flags=re.MULTILINE)]
        found.append((version.strip("[] ").replace("]", ""), tuple(line for line in lines if line)))
    return tuple(found)
