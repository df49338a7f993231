"""Minimum, maximum, mean and standard deviation of every feature, as LeRobot's policies normalise by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PictureStats", "Stats", "aggregate", "of_values"]

Stats = Mapping[str, NDArray[np.float64]]
"""`min`, `max`, `mean`, `std` and `count`."""


def of_values(values: NDArray[Any]) -> Stats:
    """Over the frames of an array `[T, n]` or `[T]`."""
    table = np.asarray(values, np.float64).reshape(len(values), -1)
    return {
        "min": table.min(axis=0),
        "max": table.max(axis=0),
        "mean": table.mean(axis=0),
        "std": table.std(axis=0),
        "count": np.array([len(table)]),
    }


class PictureStats:
    """Per colour, over all pixels of all pictures, as fractions of 255; gathered picture by picture."""

    def __init__(self) -> None:
        self._low, self._high = np.full(3, 255.0), np.zeros(3)
        self._sum, self._squares = np.zeros(3), np.zeros(3)
        self._n_pixels = self._n_pictures = 0

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Count a picture uint8 `[H, W, 3]`."""
        # Counts of each of the 256 levels: exact, and cheaper than floats of all pixels.
        levels = np.arange(256)
        counts = np.stack([np.bincount(picture[..., colour].ravel(), minlength=256) for colour in range(3)])
        self._low = np.minimum(self._low, [np.flatnonzero(of_colour)[0] for of_colour in counts])
        self._high = np.maximum(self._high, [np.flatnonzero(of_colour)[-1] for of_colour in counts])
        self._sum += counts @ levels
        self._squares += counts @ levels**2
        self._n_pixels += picture.shape[0] * picture.shape[1]
        self._n_pictures += 1

    def result(self) -> Stats:
        """Arrays `[3, 1, 1]`."""
        mean = self._sum / self._n_pixels
        std = np.sqrt(np.maximum(self._squares / self._n_pixels - mean**2, 0))
        values = {"min": self._low, "max": self._high, "mean": mean, "std": std}
        return {name: value.reshape(3, 1, 1) / 255 for name, value in values.items()} | {
            "count": np.array([self._n_pictures])
        }


def aggregate(parts: Iterable[Stats]) -> Stats:
    """Of several episodes together; each weighs as many frames as it has."""
    found = list(parts)
    counts = np.array([int(part["count"][0]) for part in found])
    weights = (counts / counts.sum()).reshape(-1, *[1] * found[0]["mean"].ndim)
    means = np.stack([part["mean"] for part in found])
    mean = (weights * means).sum(axis=0)
    squares = np.stack([part["std"] ** 2 for part in found]) + means**2
    return {
        "min": np.stack([part["min"] for part in found]).min(axis=0),
        "max": np.stack([part["max"] for part in found]).max(axis=0),
        "mean": mean,
        "std": np.sqrt(np.maximum((weights * squares).sum(axis=0) - mean**2, 0)),
        "count": np.array([counts.sum()]),
    }
