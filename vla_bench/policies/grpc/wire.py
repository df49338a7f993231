"""What server and client of the gRPC transport share: method names, limits, and how errors travel.

Messages are the msgpack bytes of `vla_bench.policies.codec`; there is no protobuf. The service is `vla_bench.Policy`:

    Info    b""                       → handshake
    Open    b""                       → opening
    Reset   reset, metadata session   → receipt
    Act     observation               → chunk
    Close   b"", metadata session     → b""
    Health  b""                       → b"" (no token wanted)

An error is a status whose details are `{"kind", "message"}` in JSON.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from vla_bench.spec.errors import (
    BadReply,
    BadRequest,
    MessageTooLarge,
    MissingExtra,
    PolicyError,
    PolicyTimeout,
    ServerUnreachable,
    SessionLost,
    Unauthorized,
)

__all__ = ["METHODS", "SERVICE", "SESSION_KEY", "TOKEN_KEY", "error_of_status", "import_grpc", "limits", "status_name"]

SERVICE: Final = "vla_bench.Policy"
METHODS: Final = ("Info", "Open", "Reset", "Act", "Close", "Health")
SESSION_KEY: Final = "vla-bench-session"
TOKEN_KEY: Final = "authorization"
"""Metadata; the value is `Bearer TOKEN`."""

_STATUS_OF: Final[dict[type[PolicyError], str]] = {
    Unauthorized: "UNAUTHENTICATED",
    SessionLost: "NOT_FOUND",
    BadRequest: "INVALID_ARGUMENT",
    MessageTooLarge: "RESOURCE_EXHAUSTED",
    ServerUnreachable: "UNAVAILABLE",
}
# What gRPC itself says, where no policy server has spoken.
_ERROR_OF: Final[dict[str, type[PolicyError]]] = {
    "UNAVAILABLE": ServerUnreachable,
    "CANCELLED": ServerUnreachable,
    "DEADLINE_EXCEEDED": PolicyTimeout,
    "RESOURCE_EXHAUSTED": MessageTooLarge,
    "UNAUTHENTICATED": Unauthorized,
    "PERMISSION_DENIED": Unauthorized,
}


def import_grpc() -> ModuleType:
    """Import `grpc`, which is an extra.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import grpc
        import grpc.aio
    except ImportError as error:
        raise MissingExtra("gRPC", "grpc") from error
    module: ModuleType = grpc
    return module


def limits(max_bytes: int) -> list[tuple[str, Any]]:
    """Channel arguments that both sides set: the size of one message."""
    return [("grpc.max_receive_message_length", max_bytes), ("grpc.max_send_message_length", max_bytes)]


def status_name(error: PolicyError) -> str:
    """Name of the gRPC status code under which an error travels."""
    return next((name for kind, name in _STATUS_OF.items() if isinstance(error, kind)), "INTERNAL")


def error_of_status(name: str, details: str) -> PolicyError:
    """The error for a status that carries no `{"kind", "message"}`: it comes from gRPC or from another program."""
    return _ERROR_OF.get(name, BadReply)(f"gRPC says {name}: {details}" if details else f"gRPC says {name}")
