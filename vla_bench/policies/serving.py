"""What `vla-bench serve` does: load a policy into this process and serve it until a signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from vla_bench.policies.codec import MAX_BYTES
from vla_bench.policies.load import load_policy
from vla_bench.policies.resolve import resolve_one
from vla_bench.spec.errors import UsageError
from vla_bench.spec.messages import PolicyInfo

__all__ = ["serve_policy"]


def serve_policy(
    spec: str,
    options: Mapping[str, Any] | None = None,
    *,
    transport: Literal["http", "grpc"] = "http",
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    max_wait_s: float = 0.010,
    session_expiry_s: float = 1800.0,
    max_bytes: int = MAX_BYTES,
    on_ready: Callable[[str, PolicyInfo], None] | None = None,
) -> None:
    """Serve a policy until SIGTERM or SIGINT. Belongs in a process's main thread.

    Args:
        spec: a name, a `.yaml` file or a class, as `resolve_one` takes them; no URL.
        options: keywords of the policy; they win over those of a file.
        transport: `http` or `grpc`.
        host: address to listen on.
        port: 0 takes a free one.
        token: what clients must show; None lets everybody in.
        max_wait_s: the longest wait of a batch for sessions that have not asked, seconds.
        session_expiry_s: a session without a request for so long is closed, seconds.
        max_bytes: the longest message.
        on_ready: told the URL and the policy's handshake once the server answers.

    Raises:
        UnknownPolicy, UsageError: the policy cannot be found, imported or built, or the address cannot be listened on.
        MissingExtra: gRPC is not installed.
        PolicyRaised, BadReply: the policy's own code raised while it was built, or its `info` is wrong.
    """
    resolved = resolve_one(spec, options)
    if resolved.url:
        raise UsageError(f"{resolved.url} is served already: give `vla-bench run` this URL")
    if resolved.image:
        raise UsageError(f"an image serves itself: give `vla-bench run` docker://{resolved.image}")
    if transport == "grpc":
        from vla_bench.policies.grpc.server import serve
    else:
        from vla_bench.policies.http.server import serve
    policy = load_policy(resolved.target, resolved.options)
    scheme = "grpc" if transport == "grpc" else "http"
    shown = f"[{host}]" if ":" in host else host

    def tell(bound: int) -> None:
        if on_ready is not None:
            on_ready(f"{scheme}://{shown}:{bound}", policy.info())

    serve(
        policy,
        host=host,
        port=port,
        token=token,
        max_wait_s=max_wait_s,
        session_expiry_s=session_expiry_s,
        max_bytes=max_bytes,
        on_ready=tell,
    )
