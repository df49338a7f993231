"""Which evaluation settings a run has: those given win over a YAML file's, and those over the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.settings import EvalSettings

__all__ = ["resolve_settings", "settings_for"]


def resolve_settings(given: Mapping[str, Any], from_file: Mapping[str, Any]) -> EvalSettings:
    """Join the settings of a command with those of a policy's YAML file.

    Args:
        given: by name; a None stands for "not given".
        from_file: by name, as the file has them.

    Raises:
        UsageError: an unknown name or a value out of range.
    """
    return EvalSettings.from_dict({**from_file, **{name: value for name, value in given.items() if value is not None}})


def settings_for(settings: EvalSettings, policy: PolicyInfo) -> EvalSettings:
    """Add what only the policy can say: the offsets of the earlier frames that it wants, where none were named."""
    return settings if settings.history else replace(settings, history=policy.history)
