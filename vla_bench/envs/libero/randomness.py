"""LIBERO's placements draw from NumPy's process-wide generator; here it is lent to them and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["global_stream", "present_state", "state_of_seed"]


def state_of_seed(seed: int) -> Any:
    """The state of the process-wide generator right after `numpy.random.seed(seed)`."""
    return np.random.RandomState(seed).get_state()


def present_state() -> Any:
    """The state of the process-wide generator now."""
    return np.random.get_state()  # noqa: NPY002


@contextmanager
def global_stream(state: Any) -> Iterator[None]:
    """Let the process-wide generator go on from `state`, and put it back afterwards as it was."""
    before = present_state()
    np.random.set_state(state)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
