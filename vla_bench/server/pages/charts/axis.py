"""`Axis`: from values to percent of a frame, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Axis", "Tick", "fitted_axis", "rate_axis"]


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place: percent of the frame, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis.

    Attributes:
        low, high: values at 0 and at 100 percent of the frame.
        ticks: in order.
    """

    low: float
    high: float
    ticks: tuple[Tick, ...] = ()

    def at(self, value: float) -> float:
        """Percent of the frame, held within it, two decimals."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(100 * min(1.0, max(0.0, share)), 2)


def fitted_axis(
    values: Iterable[float],
    text: Callable[[float], str],
    *,
    limits: tuple[float, float] | None = None,
    n_ticks: int = 4,
    least_step: float = 0.0,
) -> Axis:
    """An axis from the data, not from 0, whose ends are ticks.

    Args:
        values: what has to find room; none gives the limits, or 0 to 1.
        text: of a tick.
        limits: no value can lie beyond them, so the axis does not either.
        n_ticks: about so many steps between ticks.
        least_step: ticks are no nearer than this; 1 for counts.
    """
    found = [value for value in values if math.isfinite(value)]
    low, high = (min(found), max(found)) if found else (limits or (0.0, 1.0))
    if high - low < 1e-3:
        room = max(0.05 * abs(high), 0.01)
        low, high = low - room, high + room
    step = max(least_step, _round_step((high - low) / n_ticks))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if limits is not None:
        first = max(first, math.floor(limits[0] / step + 1e-9))
        last = min(last, math.ceil(limits[1] / step - 1e-9))
    axis = Axis(first * step, last * step)
    # Rounded: 3 * 0.2 is 0.6000000000000001.
    places = [round(number * step, 10) for number in range(first, last + 1)]
    return Axis(axis.low, axis.high, tuple(Tick(axis.at(value), text(value)) for value in places))


def rate_axis(values: Iterable[float]) -> Axis:
    """An axis of rates from 0 to 1, its ticks in percent."""
    return fitted_axis(values, lambda value: f"{100 * value:g}", limits=(0.0, 1.0))


def _round_step(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if step <= power * factor * (1 + 1e-9))
