"""Each room shows a few names at its door, and what it shows is there."""

from __future__ import annotations

from importlib import import_module

import pytest


@pytest.mark.parametrize("room", ["spec", "envs", "testing"])
def test_a_room_shows_at_most_fifteen_names(room: str) -> None:
    module = import_module(f"vla_bench.{room}")
    assert 0 < len(module.__all__) <= 15
    assert module.__all__ == sorted(module.__all__, key=lambda name: (name[0].islower(), name))
    for name in module.__all__:
        assert getattr(module, name).__module__.startswith("vla_bench.")


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    import vla_bench.spec

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        vla_bench.spec.Nothing  # noqa: B018
