"""The 1,000 evaluation chains: read from `chains.txt`, or generated anew (40 s), which gives the same ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

import numpy as np

from vla_bench.envs.calvin.scenes import read_table
from vla_bench.envs.calvin.symbols import CHAIN_LENGTH, KEYS, State, category, follow, initial_states

__all__ = ["DIGEST", "N_CHAINS", "Chain", "chains", "digest_of", "generate_chains"]

N_CHAINS: Final = 1000
DIGEST: Final = "3e03f1dc1428af0157570b576f0544737196dc62507a0d2822d92c236483306d"
"""SHA-256 of all chains in order, as `digest_of` writes them."""


@dataclass(frozen=True, slots=True)
class Chain:
    """An initial state and the five tasks to be done one after the other from there."""

    state: State
    tasks: tuple[str, ...]


@cache
def chains() -> tuple[Chain, ...]:
    """The chains in evaluation order."""
    states, tasks = initial_states(), tuple(read_table("tasks.toml"))
    lines = files(__package__).joinpath("chains.txt").read_text(encoding="ascii").splitlines()
    rows = [[int(word) for word in line.split()] for line in lines if not line.startswith("#")]
    return tuple(Chain(states[state], tuple(tasks[index] for index in indices)) for state, *indices in rows)


def digest_of(some: Sequence[Chain]) -> str:
    """SHA-256 of compact JSON: a list of `{"initial_state": …, "tasks": […]}`, keys in upstream's order."""
    plain = [{"initial_state": {key: chain.state[key] for key in KEYS}, "tasks": list(chain.tasks)} for chain in some]
    return sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()


def generate_chains(n_chains: int = N_CHAINS) -> tuple[Chain, ...]:
    """Draw the chains as upstream does: state by state until enough are valid, then shuffled.

    Seven million draws for all 1,000: about 40 s.
    """
    states = initial_states()
    found = [
        Chain(state, tasks)
        for index, (state, part) in enumerate(
            zip(states, np.array_split(np.arange(n_chains), len(states)), strict=True)
        )
        for tasks in _draw(state, index, len(part))
    ]
    # Upstream shuffles a list of pairs; what is drawn depends on its length alone.
    order = np.arange(len(found))
    np.random.RandomState(0).shuffle(order)
    return tuple(found[index] for index in order)


def _draw(state: State, seed: int, n_chains: int) -> list[tuple[str, ...]]:
    tasks = tuple(read_table("tasks.toml"))
    kinds = list(dict.fromkeys(category(task) for task in tasks))
    kind_bits = [1 << kinds.index(category(task)) for task in tasks]
    can_begin = [follow(state, [task]) is not None for task in tasks]
    random = np.random.RandomState(seed)
    sorted_deck = np.arange(len(tasks))
    deck = sorted_deck.copy()
    valid: list[tuple[str, ...]] = []
    while len(valid) < n_chains:
        # Drawing five of 34 without replacement is the head of a shuffle.
        np.copyto(deck, sorted_deck)
        random.shuffle(deck)
        if not can_begin[deck.item(0)]:
            continue
        a, b, c, d, e = deck[:CHAIN_LENGTH].tolist()
        if (kind_bits[a] | kind_bits[b] | kind_bits[c] | kind_bits[d] | kind_bits[e]).bit_count() < CHAIN_LENGTH:
            continue
        names = tasks[a], tasks[b], tasks[c], tasks[d], tasks[e]
        if follow(state, names) is not None:
            valid.append(names)
    return valid
