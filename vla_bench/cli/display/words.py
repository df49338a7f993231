"""Numbers and durations in words, the same everywhere: `90.9 % [62.3, 98.4]`, `1:02`, `2 server_unreachable`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

__all__ = ["Bounds", "bar", "counts", "data_size", "duration", "interval", "number", "percent", "plural", "short_path"]

FULL, INSIDE, BEYOND, EMPTY = "█", "▓", "░", " "


class Bounds(Protocol):
    """An interval of a rate, `0 <= low <= high <= 1`."""

    @property
    def low(self) -> float:
        """The lower end."""
        ...

    @property
    def high(self) -> float:
        """The upper end."""
        ...


def percent(rate: float | None) -> str:
    """One decimal: `96.0 %`; a dash where there is no number."""
    return "–" if rate is None else f"{100 * rate:.1f} %"


def interval(bounds: Bounds | tuple[float, float] | None) -> str:
    """`[93.9, 97.4]` in percent; a dash where there is none."""
    if bounds is None:
        return "–"
    low, high = bounds if isinstance(bounds, tuple) else (bounds.low, bounds.high)
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A number with its unit; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}{unit and ' ' + unit}"


def duration(seconds: float) -> str:
    """`0:07`, `1:02`, `2:05:09`."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def plural(count: int, noun: str) -> str:
    """`1 episode`, `2 episodes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def data_size(n_bytes: int) -> str:
    """`15 MB`, `6.40 GB`."""
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


def short_path(path: str) -> str:
    """A path with `~` for the user's home; anything else as it is."""
    home = str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(f"{home}/") else path


def counts(by_kind: Mapping[str, int]) -> str:
    """`2 server_unreachable, 1 env_hung`, most frequent first."""
    ordered = sorted(by_kind.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ordered)


def bar(rate: float | None, bounds: Bounds | None, width: int = 20) -> str:
    """A bar of `width` cells from 0 to 1 that shows the rate and, shaded, its interval; readable without colour.

    Solid up to the interval's lower end, darkly shaded from there to the rate, lightly from the rate to the upper end.
    """
    if rate is None:
        return EMPTY * width
    low, high = (rate, rate) if bounds is None else (bounds.low, bounds.high)
    cells = []
    for index in range(width):
        centre = (index + 0.5) / width
        if centre <= rate:
            cells.append(FULL if centre <= low else INSIDE)
        else:
            cells.append(BEYOND if centre <= high else EMPTY)
    return "".join(cells)
