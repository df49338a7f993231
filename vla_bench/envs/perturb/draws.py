"""Random generators keyed by what they decide, so that no draw depends on how many were made before it."""

from __future__ import annotations

import hashlib

import numpy as np

from vla_bench.spec.canonical import canonical_json

__all__ = ["generator"]


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A generator that depends on `seed` and `names` alone.

    Levels are kept out of the names on purpose: the levels of one trial then draw the same directions and differ in
    strength, so that they can be compared pair by pair.

    Args:
        seed: of the episode.
        names: what is drawn: base task, dimension; for sensor noise also camera and step.
    """
    digest = hashlib.blake2b(canonical_json([seed, *names]).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
