"""`vla-bench policies POLICY`: what a policy says of itself, asked of its server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from vla_bench.cli.policy_schemas import ActionModel, CameraModel, HandshakeModel
from vla_bench.policies.base import Deadlines
from vla_bench.policies.resolve import RoutedPolicy, resolve_policy
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.messages import PolicyInfo

__all__ = ["ask", "facts_of"]


def ask(spec: str, options: Mapping[str, Any], *, start_s: float, token: str | None) -> Iterator[HandshakeModel]:
    """Reach a policy, read its handshake, and leave; of a policy with routes each in turn.

    Whatever is started for it, a child server or a container, is gone when the handshake is handed out.

    Args:
        spec: as after `--policy`.
        options: as after `-o`.
        start_s: how long the loading of weights may take.
        token: of a server behind a URL.

    Raises:
        UnknownPolicy, UsageError, PolicyError: as `resolve_policy` and `connect`.
    """
    resolved = resolve_policy(spec, options)
    routes = resolved.routes if isinstance(resolved, RoutedPolicy) else {"": resolved}
    for route, policy in routes.items():
        with policy.connect(Deadlines(first_act_s=start_s), token=token) as served:
            info = served.info
        yield _model(route, info)


def facts_of(model: HandshakeModel) -> dict[str, str]:
    """A handshake as names and values for people; empty values are left out of tables."""
    return {
        "route": model.route,
        "policy": f"{model.name}, version {model.version}" + (" (oracle)" if model.kind == "oracle" else ""),
        "digest": model.digest,
        "weights": model.weights_digest or "it names none",
        "checkpoints": model.checkpoint_scope,
        "actions": _action(model.action),
        "at a time": f"{model.chunk_length} actions, {model.batch_limit} observations",
        "cameras": ", ".join(map(_camera, model.cameras)) or "none",
        "depth": "of its cameras" if model.wants_depth else "",
        "state": ", ".join(f"{name} ({size})" for name, size in model.state.items()) or "none",
        "earlier frames": ", ".join(map(str, model.history)),
        "options": ", ".join(f"{name}={json.dumps(value)}" for name, value in model.options.items()),
    }


def _model(route: str, info: PolicyInfo) -> HandshakeModel:
    plain = to_plain(info)
    action = info.action and ActionModel(**plain["action"], n_entries=info.action.n_entries)
    cameras = [
        CameraModel(**{key: camera[key] for key in ("name", "height", "width")}, **camera["convention"])
        for camera in plain["cameras"]
    ]
    return HandshakeModel(route=route, digest=info.digest, **{**plain, "action": action, "cameras": cameras})


def _action(action: ActionModel | None) -> str:
    if action is None:
        return "any suite's"
    if action.name:
        return f"{action.name}, {action.size} numbers"
    unit = "m" if action.position_unit_m == 1 else f"× {action.position_unit_m:g} m"
    parts = [f"{action.n_entries} numbers: position {action.reference} in {unit}, {action.frame} frame"]
    if action.rotation != "none":
        parts.append(f"rotation {action.rotation}")
    if action.gripper != "none":
        parts.append(f"gripper {action.gripper}")
    return f"{', '.join(parts)}; {action.low:g} to {action.high:g}"


def _camera(camera: CameraModel) -> str:
    size = f"{camera.height}x{camera.width}" if camera.height else "the suite's size"
    usual = camera.orientation == "upright" and camera.colour_order == "rgb"
    return f"{camera.name} {size}" + ("" if usual else f" ({camera.orientation}, {camera.colour_order})")
