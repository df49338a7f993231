"""Numbers in words, the same on terminals, in pages and in summaries: `96.0 %`, `−2.0`, `[−3.1, +0.4]`, `p 0.021`."""

from __future__ import annotations

from vla_bench.results.stats.rates import Interval

__all__ = ["p_text", "percent", "points", "points_interval", "rate_interval", "signed"]


def percent(rate: float | None) -> str:
    """One decimal: `96.0 %`; a dash where there is no number."""
    return "–" if rate is None else f"{100 * rate:.1f} %"


def rate_interval(low: float, high: float) -> str:
    """`[93.9, 97.4]` in percent."""
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def points(difference: float | None) -> str:
    """A difference in percentage points with its sign: `+3.0`, `−12.5`, `0.0`; a dash where there is no number."""
    return "–" if difference is None else signed(100 * difference, 1)


def points_interval(interval: Interval | None) -> str:
    """`[−3.1, +0.4]` in percentage points; a dash where there is none."""
    return "–" if interval is None else f"[{points(interval.low)}, {points(interval.high)}]"


def signed(value: float, digits: int) -> str:
    """A number with its sign; what rounds to 0 has none."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def p_text(p: float) -> str:
    """Two digits that count: `0.021`, `0.48`, `1`, `< 0.0001`."""
    if p < 1e-4:
        return "< 0.0001"
    return "1" if p >= 0.995 else f"{p:.2g}"
