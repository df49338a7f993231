"""A badge: one policy on one suite as a small SVG, with its interval and its mark, for READMEs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vla_bench.server.boards.views import PolicyPage, PolicyResult

__all__ = ["Badge", "badge_of", "draw", "embeds"]

LIMIT = 40
_STRENGTH = ("published", "self-reported", "replayed", "re-run")
# White on these has a contrast of 4.5 to 1 or more. The mark is also a word: no colour speaks alone.
_COLOURS = {"published": "#5b5b5b", "self-reported": "#6b5900", "replayed": "#0b5fa5", "re-run": "#1a6b35"}
_NARROW, _WIDE = frozenset("iljtfrI.,:;|!'()[] "), frozenset("mwMWQOG%@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """What it says: `label` on the left, `message` on the right, `title` to those who cannot see it."""

    label: str
    message: str
    title: str
    colour: str


def badge_of(page: PolicyPage, suite: str) -> Badge | None:
    """The badge of a policy on a suite: its strongest mark there, then its newest row; None where it has no score."""
    found = [
        result for result in page.results
        if result.head.suite == suite and result.row.state == "listed" and result.row.score is not None
        and result.row.kind != "oracle"
    ]  # fmt: skip
    if not found:
        return None
    best = max(found, key=lambda result: (_STRENGTH.index(result.row.mark.mark.value), result.row.date, result.row.id))
    return _badge(page.title, best)


def _badge(policy: str, result: PolicyResult) -> Badge:
    row, head = result.row, result.head
    mark = row.mark.mark.value
    is_rate = row.form == "rate"
    score = f"{100 * row.score:.1f} %" if is_rate else f"{row.score:.2f}"  # type: ignore[operator]
    if row.low is not None and row.high is not None:
        low, high = (f"{100 * end:.1f}" if is_rate else f"{end:.2f}" for end in (row.low, row.high))
        score += f" [{low}, {high}]"
    what = "success rate" if is_rate else "average length"
    title = f"{policy} {row.version}".strip() + f" on {head.suite} {head.protocol}: {what} {score}, {mark}"
    # A tick is the mark of a re-run alone.
    message = f"{score} · {mark}{' ✓' if mark == 're-run' else ''}"
    return Badge(label=head.suite[:LIMIT], message=message[: 2 * LIMIT], title=title, colour=_COLOURS[mark])


def draw(badge: Badge) -> str:
    """The badge as SVG: no script, no style, no font or picture from elsewhere."""
    left, right = _width(badge.label), _width(badge.message)
    text = 'fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"'
    size = f'width="{left + right}" height="20" viewBox="0 0 {left + right} 20"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(badge.title)}">',
        f"<title>{escape(badge.title)}</title>",
        f'<rect width="{left + right}" height="20" rx="3" fill="#333"/>',
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1 -3 3h-{right - 3}z" fill="{badge.colour}"/>',
        f'<text x="{left / 2:g}" y="14" textLength="{left - 12}" {text}>{escape(badge.label)}</text>',
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - 12}" {text}>{escape(badge.message)}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _width(text: str) -> int:
    """Pixels of a text at 11 px with 6 px of room on both sides; `textLength` then makes it exact everywhere."""
    return 12 + round(sum(3.9 if c in _NARROW else 9.6 if c in _WIDE else 6.9 for c in text))


def embeds(badge_url: str, page_url: str, title: str) -> Sequence[tuple[str, str]]:
    """What to paste, by kind of document."""
    plain = title.replace("[", "(").replace("]", ")")
    return (
        ("Markdown", f"[![{plain}]({badge_url})]({page_url})"),
        ("HTML", f'<a href="{escape(page_url)}"><img src="{escape(badge_url)}" alt="{escape(title)}"></a>'),
        ("reStructuredText", f".. image:: {badge_url}\n   :target: {page_url}\n   :alt: {title}"),
    )
