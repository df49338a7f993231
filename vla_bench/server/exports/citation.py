"""How a board, a policy or a run is cited: with a permanent address, the version of what was seen, and the date."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

__all__ = ["Citation", "bibtex"]

_TEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """What is cited.

    Attributes:
        title: `libero_goal standard/1 (gpu, original)`.
        url: permanent.
        note: what makes it exact: the version of the board, the digest of the weights.
        site: name of the leaderboard.
        seen: the day.
    """

    title: str
    url: str
    note: str
    site: str
    seen: date

    @classmethod
    def of(cls, title: str, url: str, note: str, site: str) -> Citation:
        """As seen today (UTC)."""
        return cls(title=title, url=url, note=note, site=site, seen=datetime.now(UTC).date())

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.site} leaderboard: {self.title}. {self.note}. {self.url}, seen on {self.seen.isoformat()}."


def bibtex(citation: Citation) -> str:
    """The BibTeX entry."""
    key = re.sub(r"[^a-z0-9]+", "-", f"{citation.site}-{citation.title}".lower()).strip("-")[:80]
    fields = {
        "title": f"{{{_tex(citation.title)}}}",
        "author": f"{{{_tex(citation.site)} leaderboard}}",
        "year": str(citation.seen.year),
        "howpublished": rf"\url{{{_url(citation.url)}}}",
        "note": f"{_tex(citation.note)}; seen on {citation.seen.isoformat()}",
    }
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{key},\n{body}\n}}\n"


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in " ".join(text.split()))


def _url(text: str) -> str:
    # Braces would end the macro; no address of ours has any that are not encoded.
    return re.sub(r"[{}\\\s]", "", text)
