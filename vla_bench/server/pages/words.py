"""Numbers of the pages in words; filters of their templates. What is missing is a dash, its reason stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vla_bench.results.wording import p_text, percent, points

if TYPE_CHECKING:
    from vla_bench.server.boards.views import Row

__all__ = [
    "amount", "bounds", "day", "level", "mark_detail", "ms_text", "named", "number", "outcome", "p_text", "percent",
    "points", "run_name", "safe_url", "score_text", "segment", "short_digest", "value_text",
]  # fmt: skip

NOTHING = "—"


def number(value: float | None, digits: int = 0) -> str:
    """`10,030`, `4.25`."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def amount(count: int, noun: str) -> str:
    """`1 run`, `2 runs`, `2 entries`."""
    if count == 1:
        return f"1 {noun}"
    is_ies = noun.endswith("y") and noun[-2:-1] not in "aeiou"
    return f"{count:,} {noun[:-1]}ies" if is_ies else f"{count:,} {noun}s"


def score_text(value: float | None, *, is_rate: bool = True) -> str:
    """`96.0 %`, or `4.25` where the score is an average length."""
    if value is None:
        return NOTHING
    return f"{100 * value:.1f} %" if is_rate else f"{value:.2f}"


def bounds(low: float | None, high: float | None, *, is_rate: bool = True) -> str:
    """`[93.9, 97.4]` in percent, `[4.17, 4.33]` for a length; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"[{100 * low:.1f}, {100 * high:.1f}]" if is_rate else f"[{low:.2f}, {high:.2f}]"


def level(rate: float | None) -> int:
    """Step of the heat scale, 0 to 10."""
    return min(10, max(0, round(10 * (rate or 0.0))))


def ms_text(value: float | None) -> str:
    """`0.84 ms`, `12.3 ms`, `1,204 ms`."""
    if value is None:
        return NOTHING
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f} ms"


def day(stamp: datetime | str | None) -> str:
    """The date of a UTC stamp, `2026-11-12`."""
    if not stamp:
        return NOTHING
    return stamp.date().isoformat() if isinstance(stamp, datetime) else str(stamp)[:10]


def short_digest(digest: str | None) -> str:
    """The first eight characters of a digest; the whole one stands on the page of its thing."""
    return digest[:8] if digest else NOTHING


def segment(text: Any) -> str:
    """Text as one or more path segments of an address: a slash stays, everything else of meaning is escaped."""
    return quote(str(text), safe="/")


def safe_url(text: Any) -> str:
    """An address that people gave, where it is http(s); else empty, and no link is made of it."""
    found = str(text or "").strip()
    return found if found.lower().startswith(("https://", "http://")) and not set(found) & set(' "<>\\\n\r\t') else ""


def value_text(value: Any) -> str:
    """A plain JSON value as people write it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(value_text(item) for item in value) or NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{name} {value_text(item)}" for name, item in value.items()) or NOTHING
    return str(value)


_OUTCOMES = {"success": "✓ success", "failure": "✕ failure"}


def outcome(name: str) -> str:
    """`✓ success`, `✕ failure`, `policy error`: a sign and a word, never colour alone."""
    return _OUTCOMES.get(name, name.replace("_", " "))


def mark_detail(row: Row) -> str:
    """What the mark of a row rests on, short: `59/500, 2026-11-12`."""
    facts, when = row.mark, row.mark.at[:10]
    if facts.challenge:
        return ", ".join(filter(None, (facts.challenge, when)))
    if facts.n_replayed:
        counted = f"{facts.n_replayed}/{facts.n_episodes or row.n_judged or 0}"
        return ", ".join(filter(None, (counted, f"{facts.n_deviating} deviating" if facts.n_deviating else "", when)))
    return f"{amount(facts.n_pending, 'replay')} to come" if facts.n_pending else ""


def run_name(row: Row) -> str:
    """The name that its owner gave a run: the submission before it is on the run's page."""
    return row.run.removeprefix(f"{row.submission_id}-") if row.submission_id else row.run


def named(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Plain content as label and value, for lists of facts."""
    return [(str(name).replace("_", " "), value_text(value)) for name, value in values.items()]
