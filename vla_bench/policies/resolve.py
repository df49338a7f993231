"""What `--policy` may be (a name, a URL, an image, a configuration file, a class), and the line to it that a run holds.

`resolve_policy` reads and checks without importing the policy; `ResolvedPolicy.connect` reaches it, in a child server
or a container of its own where it is not a URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from vla_bench.policies.base import Deadlines
from vla_bench.policies.containers import ContainerOptions, ImageReference, is_image
from vla_bench.policies.load import check_target, target_name
from vla_bench.policies.served import ServedPolicy
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import near_matches
from vla_bench.spec.settings import EvalSettings

__all__ = ["ResolvedPolicy", "RoutedPolicy", "resolve_one", "resolve_policy"]

_KEYS = ("policy", "url", "options", "settings", "token_env", "name", "routes", "route_by", "container")
_ROUTE_KEYS = ("policy", "url", "options", "token_env", "container")
_SCHEMES = ("http", "https", "grpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPolicy:
    """A policy that can be reached; nothing has been started.

    Attributes:
        name: short name for displays: the file's `name`, the registered name, the class, or the URL's host.
        target: what a child server is to load (a registered name, `module:Class`, `file.py:Class`); else empty.
        url: where the server listens; empty for a target and an image.
        image: a container of it is started: `NAME[:TAG][@sha256:…]`; else empty.
        container: how.
        options: keywords of the target, plain JSON values.
        settings: evaluation settings of the configuration file, for `EvalSettings.from_dict`.
        token_env: environment variable that holds the server's token; empty for none.
        label: the file's `name`, under which results are stored; empty keeps the name that the policy gives itself.
    """

    name: str
    target: str = ""
    url: str = ""
    image: str = ""
    container: ContainerOptions = ContainerOptions()
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    token_env: str = ""
    label: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether its server is started for the run, and ends with it."""
        return not self.url

    def connect(self, deadlines: Deadlines = Deadlines(), token: str | None = None) -> ServedPolicy:
        """Reach the policy; use the result in a `with` statement, so that a child server is stopped whatever happens.

        Args:
            deadlines: a child server has `first_act_s` to import the policy and load its weights.
            token: of a server behind a URL; by default that of `token_env`.

        Raises:
            UsageError: the policy cannot be imported, refuses an option, or `token_env` is not set.
            PolicyError: as `ServedPolicy` says.
        """
        if token is None and self.token_env:
            token = os.environ.get(self.token_env)
            if not token:
                name = self.token_env
                raise UsageError(f"{name} is to hold the policy server's token. Type: export {name}=…")
        return ServedPolicy(
            target=self.target,
            url=self.url,
            image=self.image,
            container=self.container,
            options=self.options,
            token=token,
            deadlines=deadlines,
            label=self.label,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedPolicy:
    """A policy with a server or checkpoint per suite; nothing has been started.

    Attributes:
        name: for displays: the file's `name`, else the file's own.
        routes: suite or value of the tag → how it is reached.
        route_by: tag of the tasks whose value chooses; a task without it goes by its suite's name.
        settings, label: as in `ResolvedPolicy`.
    """

    name: str
    routes: Mapping[str, ResolvedPolicy]
    route_by: str = "suite"
    settings: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""


def resolve_policy(spec: str, options: Mapping[str, Any] | None = None) -> ResolvedPolicy | RoutedPolicy:
    """Understand what was typed after `--policy`.

    Args:
        spec: a registered name in any spelling (`laMP` is `lamp`), an `http://`, `https://` or `grpc://` URL, an image
            (`docker://NAME`), a path to a `.yaml` file, or a class of one's own (`my_policy.py:MyPolicy`,
            `my_package.module:MyPolicy`).
        options: keywords of the policy; they win over those of a file.

    Raises:
        UnknownPolicy: no policy is registered under that name; near matches are named.
        UsageError: the file is missing or wrong, or options are given for a URL.
    """
    given = dict(options or {})
    if spec.endswith((".yaml", ".yml")):
        return _of_file(Path(spec), given)
    if is_image(spec):
        return _of_image(spec, given)
    if "://" in spec:
        return _of_url(spec, given)
    target = check_target(spec)
    return ResolvedPolicy(name=target_name(target), target=target, options=_plain_options(given))


def resolve_one(spec: str, options: Mapping[str, Any] | None = None) -> ResolvedPolicy:
    """Understand what is to be served: as `resolve_policy`, without routes.

    Raises:
        UnknownPolicy, UsageError: as there, or it is a file with routes.
    """
    resolved = resolve_policy(spec, options)
    if isinstance(resolved, RoutedPolicy):
        raise UsageError(f"{spec} has routes ({', '.join(resolved.routes)}): serve the policy of each, one by one")
    return resolved


def _of_image(url: str, options: Mapping[str, Any]) -> ResolvedPolicy:
    image = ImageReference.parse(url)
    return ResolvedPolicy(name=image.short_name, image=image.text, options=_plain_options(options))


def _of_url(url: str, options: Mapping[str, Any]) -> ResolvedPolicy:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise UsageError(f"policy {url!r}: a policy's URL begins with http://, https://, grpc:// or docker://")
    try:
        is_complete = bool(parts.hostname) and (parts.scheme != "grpc" or parts.port is not None)
    except ValueError as error:
        raise UsageError(f"policy {url!r}: {error}") from error
    if not is_complete:
        raise UsageError(f"policy {url!r}: wants a host and a port, for example {parts.scheme}://127.0.0.1:8000")
    if options:
        names = ", ".join(options)
        raise UsageError(f"options ({names}) are given where the server is started, not with its URL {url}")
    return ResolvedPolicy(name=str(parts.hostname), url=url)


def _of_file(path: Path, options: Mapping[str, Any]) -> ResolvedPolicy | RoutedPolicy:
    content = _read(path)
    settings = _mapping(path, content, "settings")
    try:
        EvalSettings.from_dict(settings)
    except (UsageError, TypeError) as error:
        raise UsageError(f"{path}: {error}") from error
    label = _text(path, content, "name")
    if "routes" in content:
        return _of_routes(path, content, settings, label, options)
    if "route_by" in content:
        raise UsageError(f"{path}: route_by says how tasks choose among routes, and there are none")
    base = _of_content(path, content, options)
    return replace(base, name=label or base.name, settings=settings, label=label)


def _of_content(path: Path, content: Mapping[str, Any], options: Mapping[str, Any]) -> ResolvedPolicy:
    """What the keys policy, url, options and token_env say: of a file, or of one of its routes."""
    given = {**_mapping(path, content, "options"), **options}
    if ("policy" in content) == ("url" in content):
        raise UsageError(f"{path}: give one of the keys policy and url")
    if "url" in content:
        base = _of_url(_text(path, content, "url"), given)
    elif is_image(named := _text(path, content, "policy")):
        base = _of_image(named, given)
    else:
        target = check_target(_beside(path, named))
        base = ResolvedPolicy(name=target_name(target), target=target, options=_plain_options(given))
    return replace(base, token_env=_text(path, content, "token_env"), container=_container(path, content, base))


def _container(path: Path, content: Mapping[str, Any], base: ResolvedPolicy) -> ContainerOptions:
    if "container" not in content:
        return ContainerOptions()
    if not base.image:
        raise UsageError(f"{path}: container says how an image is started, and the policy is none (docker://NAME)")
    try:
        return ContainerOptions.from_dict(_mapping(path, content, "container"), path.parent)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _of_routes(
    path: Path, content: Mapping[str, Any], settings: Mapping[str, Any], label: str, options: Mapping[str, Any]
) -> RoutedPolicy:
    if options:
        raise UsageError(f"options ({', '.join(options)}) belong to the routes of {path}: write them there")
    if stray := [key for key in ("policy", "url", "options", "container") if key in content]:
        raise UsageError(f"{path}: {stray[0]} belongs to a route where there are routes")
    given = _mapping(path, content, "routes")
    if not given:
        raise UsageError(f"{path}: routes is a map of suites to URLs, names or classes")
    token_env = _text(path, content, "token_env")
    routes = {}
    for name, value in given.items():
        # A route that is a text is what --policy takes: a URL, a name or a class.
        route = {_kind_of(value): value} if isinstance(value, str) else value
        if not isinstance(route, dict) or not all(key in _ROUTE_KEYS for key in route):
            raise UsageError(
                f"{path}: route {name!r} is a URL, a name, a class, or a map of {', '.join(_ROUTE_KEYS)}, not {value!r}"
            )
        base = _of_content(path, route, {})
        routes[name] = replace(base, token_env=base.token_env or (token_env if base.url else ""))
    return RoutedPolicy(
        name=label or path.stem,
        routes=routes,
        route_by=_text(path, content, "route_by") or "suite",
        settings=settings,
        label=label,
    )


def _kind_of(text: str) -> str:
    return "url" if "://" in text and not is_image(text) else "policy"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"policy file {path} does not exist") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"policy file {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: wants the keys {', '.join(_KEYS)}")
    for key in content:
        if key not in _KEYS:
            near = near_matches(str(key), _KEYS)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UsageError(f"{path}: unknown key {key!r}.{hint} Known: {', '.join(_KEYS)}")
    return content


def _text(path: Path, content: Mapping[str, Any], key: str) -> str:
    value = content.get(key, "")
    if not isinstance(value, str) or (key in content and not value):
        raise UsageError(f"{path}: {key} is a text, not {value!r}")
    return value


def _mapping(path: Path, content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"{path}: {key} is a map of names to values, not {value!r}")
    return value


def _beside(path: Path, target: str) -> str:
    """A Python file named in a configuration file lies beside it."""
    module, colon, attribute = target.rpartition(":")
    if not module.endswith(".py"):
        return target
    return f"{path.parent / module}{colon}{attribute}"


def _plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = to_plain(options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a policy's options are plain values: {error}") from error
    return plain
