"""From what a person typed to a `Policy` in this process: registered names, `module:Class`, `path/to/file.py:Class`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from vla_bench.policies.base import Policy
from vla_bench.spec.errors import PolicyRaised, UnknownPolicy, UsageError, VlaBenchError
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.names import match_name, near_matches
from vla_bench.spec.plugins import POLICIES, load_plugin, plugin_names

__all__ = ["check_target", "load_policy", "target_name"]


def check_target(target: str) -> str:
    """Check that a target can exist without importing it, and spell it as it is registered.

    Args:
        target: a registered name in any spelling, `package.module:Class`, or `path/to/file.py:Class`.

    Raises:
        UnknownPolicy: no policy is registered under that name; near matches are named.
        UsageError: the file does not exist, or no class is named.
    """
    module, colon, attribute = target.rpartition(":")
    if colon and module and attribute:
        if module.endswith(".py") and not Path(module).is_file():
            raise UsageError(f"policy file {module} does not exist")
        return target
    if target.endswith(".py"):
        raise UsageError(f"name the class in the file too: {target}:MyPolicy")
    match = match_name(target, plugin_names(POLICIES))
    if match is None:
        raise UnknownPolicy(target, plugin_names(POLICIES))
    return match


def target_name(target: str) -> str:
    """A short name for a target: the registered name, or the class."""
    return target.rpartition(":")[2]


def load_policy(target: str, options: Mapping[str, Any]) -> Policy:
    """Import a target and build the policy with `options` as keywords.

    Raises:
        UnknownPolicy: no policy is registered under that name.
        UsageError: it cannot be imported, does not take an option, refuses a value, or lacks a method of `Policy`.
        PolicyRaised: its own code raised while it was built; the message says where.
    """
    target = check_target(target)
    factory = _import(target)
    _check_options(target, factory, options)
    try:
        policy = factory(**options)
        info = policy.info() if isinstance(policy, Policy) else None
    except VlaBenchError:
        raise
    except Exception as error:  # A policy's own code: a policy_error, with one line that says where.
        raise PolicyRaised(f"policy {target!r} raised while it was built: {_one_line(error)}") from error
    if not isinstance(policy, Policy):
        missing = [name for name in ("info", "reset", "act", "close") if not callable(getattr(policy, name, None))]
        raise UsageError(f"policy {target!r} has no {', '.join(missing)}: see vla_bench.policies.base.Policy")
    if not isinstance(info, PolicyInfo):
        raise UsageError(f"policy {target!r}: info() gives a {type(info).__name__}, wants a PolicyInfo")
    return policy


def _import(target: str) -> Any:
    module_name, colon, attribute = target.rpartition(":")
    if not colon:
        return load_plugin(POLICIES, target, UnknownPolicy)
    try:
        module = _import_file(Path(module_name)) if module_name.endswith(".py") else _import_module(module_name)
    except VlaBenchError:
        raise
    except Exception as error:  # Anything can happen while a user's module is imported: the user changes the module.
        raise UsageError(f"policy {target!r} cannot be imported: {_one_line(error)}") from error
    try:
        return attrgetter(attribute)(module)
    except AttributeError as error:
        near = near_matches(attribute, [name for name in vars(module) if not name.startswith("_")])
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise UsageError(f"policy {target!r}: {module_name} has no {attribute!r}.{hint}") from error


def _import_module(name: str) -> ModuleType:
    # A console script has its own folder on the path, not the one that the user stands in.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # A name of its own: a file called random.py must not stand for the standard library's module.
    name = f"vla_bench_policy_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _check_options(target: str, factory: Any, options: Mapping[str, Any]) -> None:
    if not callable(factory):
        kind = type(factory).__name__
        raise UsageError(f"policy {target!r} is a {kind}, wants a class or a function that builds a Policy")
    try:
        signature = inspect.signature(factory)
    except ValueError:  # Some extension types have none; calling them will tell.
        return
    try:
        signature.bind(**options)
    except TypeError as error:
        parameters = signature.parameters
        unknown = next((name for name in options if name not in parameters), None)
        if unknown is None:
            raise UsageError(f"policy {target!r}: {error}. Its options: {', '.join(parameters) or 'none'}") from error
        near = near_matches(unknown, parameters)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        known = ", ".join(parameters) or "none"
        raise UsageError(f"policy {target!r} has no option {unknown!r}.{hint} Its options: {known}") from error


def _one_line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"
