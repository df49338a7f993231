"""The protocols, one per file of `protocols/` and renderer, found by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from vla_bench.envs.calvin.scenes import read_table
from vla_bench.spec.errors import UnknownProtocol
from vla_bench.spec.names import match_name
from vla_bench.spec.suite import Protocol

__all__ = ["RENDERERS", "protocol_of", "protocols_of"]

RENDERERS: Final = ("tiny", "egl-gpu", "egl-llvmpipe")
"""The default first: it needs no driver, and its pictures are the same bits everywhere."""

_CHAIN_FILES: Final = (
    "standard-1", "button_reset_pinned-1", "shared_env-1", "enriched_language-1", "ep_len_1200-1", "absolute_actions-1",
)  # fmt: skip
_SINGLE_FILES: Final = ("single-1",)


def protocols_of(*, single: bool) -> Mapping[str, Protocol]:
    """`standard-tiny/1` → the protocol, the default first.

    Args:
        single: of suites of one subtask; otherwise of suites of chains.
    """
    return _protocols(_SINGLE_FILES if single else _CHAIN_FILES)


@cache
def _protocols(stems: tuple[str, ...]) -> Mapping[str, Protocol]:
    tables = [read_table(f"protocols/{stem}.toml") for stem in stems]
    found = [_protocol(table, renderer) for table in tables for renderer in RENDERERS]
    return {protocol.id: protocol for protocol in found}


def _protocol(table: Mapping[str, Any], renderer: str) -> Protocol:
    parameters = dict(table["parameters"])
    return Protocol(
        name=f"{table['name']}-{renderer}",
        version=table["version"],
        n_trials=table["n_trials"],
        base_seed=table["base_seed"],
        action_bounds=table["action_bounds"],
        settling_steps=parameters.pop("settling_steps", 0),
        parameters={**parameters, "renderer": renderer},
        source=table["source"],
    )


def protocol_of(name: str, *, single: bool) -> Protocol:
    """Find a protocol by `standard-tiny/1`, `standard-tiny`, or `standard`, which takes the first renderer.

    Args:
        name: as typed; the default where empty.
        single: see `protocols_of`.

    Raises:
        UnknownProtocol: no such name.
    """
    known = protocols_of(single=single)
    if not name:
        return next(iter(known.values()))
    shorter: dict[str, str] = {}
    for protocol in known:
        short = protocol.partition("/")[0]
        shorter.setdefault(short.partition("-")[0], protocol)
        shorter.setdefault(short, protocol)
    match = match_name(name, [*known, *shorter])
    if match is None:
        raise UnknownProtocol(name, known)
    return known[shorter.get(match, match)]
