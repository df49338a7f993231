"""The messages of `vla_bench.spec.messages` as bytes, in msgpack or JSON: pure functions, the same for HTTP and gRPC.

Decoders are strict: what a client sends wrong is a `BadRequest`, what a server sends wrong a `BadReply`, and either
names the field. Numbers are not judged here: NaN and infinities pass bit for bit. Unknown fields are ignored, except in
the handshake, where a convention that this version does not know must not pass unseen.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, NamedTuple, TypeVar

import msgpack
import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.canonical import to_plain
from vla_bench.spec.conventions import ActionConvention, ImageConvention
from vla_bench.spec.errors import BadReply, BadRequest, PolicyError
from vla_bench.spec.messages import ActionChunk, CameraRequest, EpisodeInfo, Identity, Observation, PolicyInfo
from vla_bench.spec.wire import decode_arrays, decode_value, encode_array, encode_array_as_text

__all__ = [
    "MAX_BYTES", "Form", "Handshake", "Opening", "Receipt", "decode_chunk", "decode_error", "decode_info",
    "decode_observation", "decode_opening", "decode_receipt", "decode_reset", "encode_chunk", "encode_error",
    "encode_info", "encode_observation", "encode_opening", "encode_receipt", "encode_reset",
]  # fmt: skip

MAX_BYTES = 64 * 2**20
"""The default limit of one message, bytes: thirty times two cameras of 512×512 with a history frame each."""

_MAX_ERROR_LENGTH = 2000
_KINDS: tuple[type[PolicyError], ...] = (PolicyError, *PolicyError.__subclasses__())
_ERRORS = {error.kind: error for error in _KINDS}

T = TypeVar("T")


class Form(enum.StrEnum):
    """How a message is written: the content type."""

    MSGPACK = "application/msgpack"
    JSON = "application/json"


class Handshake(NamedTuple):
    """What a server says of itself.

    Attributes:
        info: of the policy.
        digest: of the policy, as the server states it; compared with that of each `Opening`.
        server: id of the server process.
    """

    info: PolicyInfo
    digest: str
    server: str


class Opening(NamedTuple):
    """The answer to opening a session: its id, and who opened it."""

    session: str
    digest: str
    server: str


class Receipt(NamedTuple):
    """The answer to a reset: the echo of its identity (step 0), and who answered."""

    identity: Identity
    server: str


def encode_observation(observation: Observation, form: Form = Form.MSGPACK) -> bytes:
    """Encode a request to act; empty fields are left out."""
    message: dict[str, Any] = {"identity": _identity_map(observation.identity)}
    for name in ("images", "state", "instruction", "depth", "privileged"):
        if value := getattr(observation, name):
            message[name] = value
    if observation.history:
        message["history"] = {str(offset): frames for offset, frames in observation.history.items()}
    return _dump(message, form)


def decode_observation(data: bytes, form: Form = Form.MSGPACK) -> Observation:
    """Decode a request to act. Arrays are read-only views of `data` in msgpack.

    Raises:
        BadRequest: not decodable, a field is missing, or an array has another dtype or number of dimensions.
    """
    message = _load(data, form, BadRequest)
    history = _get(message, "history", dict, BadRequest, {})
    return Observation(
        identity=_identity(message, BadRequest),
        images=_arrays(message, "images", np.uint8, 3),
        state=_arrays(message, "state", np.float32, 1),
        instruction=_get(message, "instruction", str, BadRequest, ""),
        history={_offset(key): _arrays(history, key, np.uint8, 3) for key in history},
        depth=_arrays(message, "depth", np.float32, 2),
        privileged=_arrays(message, "privileged", np.float64, 1),
    )


def encode_chunk(chunk: ActionChunk, form: Form = Form.MSGPACK) -> bytes:
    """Encode an answer.

    Raises:
        ValueError: the chunk has no identity.
    """
    if chunk.identity is None:
        raise ValueError("a chunk without an identity does not travel")
    message = {
        "identity": _identity_map(chunk.identity),
        "actions": chunk.actions,
        "server": chunk.server,
        "server_ms": chunk.server_ms,
    }
    return _dump(message, form)


def decode_chunk(data: bytes, form: Form = Form.MSGPACK) -> ActionChunk:
    """Decode an answer. Its actions keep the dtype, shape and bits that were sent; a plain list becomes float32.

    Raises:
        BadReply: not decodable, or a field is missing.
    """
    message = _load(data, form, BadReply)
    if "actions" not in message:
        said = message.get("error", message.get("message"))
        raise BadReply(f"a reply without 'actions'{f': {_one_line(said)}' if said else f', only {sorted(message)}'}")
    actions = message["actions"]
    if not isinstance(actions, np.ndarray):
        actions = _array_of_list(actions, np.float32, "actions", BadReply)
    return ActionChunk(
        actions=actions,
        identity=_identity(message, BadReply),
        server=_get(message, "server", str, BadReply),
        server_ms=float(_get(message, "server_ms", (int, float), BadReply, 0.0)),
    )


def encode_reset(episode: EpisodeInfo, request: str, form: Form = Form.MSGPACK) -> bytes:
    """Encode a reset; `request` is its unique id, echoed by the receipt."""
    return _dump({"request": request, "episode": asdict(episode)}, form)


def decode_reset(data: bytes, form: Form = Form.MSGPACK) -> tuple[EpisodeInfo, str]:
    """Decode a reset into the episode and the request's id.

    Raises:
        BadRequest: not decodable, or a field is missing or of another type.
    """
    message = _load(data, form, BadRequest)
    episode = _get(message, "episode", dict, BadRequest)
    return _build(EpisodeInfo, episode, BadRequest), _get(message, "request", str, BadRequest)


def encode_receipt(receipt: Receipt, form: Form = Form.MSGPACK) -> bytes:
    """Encode the answer to a reset."""
    return _dump({"identity": _identity_map(receipt.identity), "server": receipt.server}, form)


def decode_receipt(data: bytes, form: Form = Form.MSGPACK) -> Receipt:
    """Decode the answer to a reset.

    Raises:
        BadReply: not decodable, or a field is missing.
    """
    message = _load(data, form, BadReply)
    return Receipt(_identity(message, BadReply), _get(message, "server", str, BadReply))


def encode_opening(opening: Opening, form: Form = Form.MSGPACK) -> bytes:
    """Encode the answer to opening a session."""
    return _dump(opening._asdict(), form)


def decode_opening(data: bytes, form: Form = Form.MSGPACK) -> Opening:
    """Decode the answer to opening a session.

    Raises:
        BadReply: not decodable, or a field is missing.
    """
    message = _load(data, form, BadReply)
    return Opening(*(_get(message, name, str, BadReply) for name in Opening._fields))


def encode_info(info: PolicyInfo, server: str, form: Form = Form.MSGPACK) -> bytes:
    """Encode the handshake; the digest is that of `info`."""
    return _dump({"policy": to_plain(info), "digest": info.digest, "server": server}, form)


def decode_info(data: bytes, form: Form = Form.MSGPACK) -> Handshake:
    """Decode the handshake.

    Raises:
        BadReply: not decodable, or a field is missing, unknown or has a value that this version does not know.
    """
    message = _load(data, form, BadReply)
    plain = dict(_get(message, "policy", dict, BadReply))
    try:
        if plain.get("action") is not None:
            plain["action"] = ActionConvention(**plain["action"])
        plain["cameras"] = tuple(_camera(camera) for camera in plain.get("cameras", ()))
        plain["history"] = tuple(plain.get("history", ()))
        info = PolicyInfo(**plain)
        info.digest  # noqa: B018  (a value without canonical form would fail later, far from its cause)
    except (TypeError, ValueError, KeyError) as error:
        raise BadReply(f"not a handshake of this version: {error}") from error
    return Handshake(info, *(_get(message, name, str, BadReply) for name in ("digest", "server")))


def encode_error(error: PolicyError, form: Form = Form.MSGPACK) -> bytes:
    """Encode what went wrong as `{"kind", "message"}`, the message on one line."""
    return _dump({"kind": error.kind, "message": _one_line(error)}, form)


def decode_error(data: bytes, form: Form = Form.MSGPACK) -> PolicyError | None:
    """Decode what went wrong into the error of that kind; None where the bytes are no such message."""
    try:
        message = _load(data, form, BadReply)
    except BadReply:
        return None
    kind, text = message.get("kind"), message.get("message")
    if not (isinstance(kind, str) and isinstance(text, str)):
        return None
    return _ERRORS.get(kind, PolicyError)(_one_line(text))


def _dump(message: Mapping[str, Any], form: Form) -> bytes:
    if form is Form.MSGPACK:
        packed: bytes = msgpack.packb(message, default=encode_array)
        return packed
    return json.dumps(message, default=encode_array_as_text, allow_nan=False, separators=(",", ":")).encode()


def _load(data: bytes, form: Form, error: type[PolicyError]) -> dict[str, Any]:
    try:
        if form is Form.MSGPACK:
            message = msgpack.unpackb(data, object_hook=decode_value)
        else:
            message = decode_arrays(json.loads(data))
    # msgpack's errors are ValueErrors or its own UnpackException; hostile nesting and keys raise the others.
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as cause:
        raise error(f"not a message in {form.value}: {_one_line(cause)}") from cause
    if not isinstance(message, dict):
        raise error(f"not a message: a map is expected, not {type(message).__name__}")
    return message


_REQUIRED: Any = object()


def _get(
    message: Mapping[str, Any],
    name: str,
    kind: type[T] | tuple[type[T], ...],
    error: type[PolicyError],
    default: Any = _REQUIRED,
) -> T:
    value = message.get(name, default)
    if value is _REQUIRED:
        raise error(f"the message has no {name!r}")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise error(f"{name!r} is {type(value).__name__}")
    return value


def _identity_map(identity: Identity) -> dict[str, Any]:
    return {
        "session": identity.session,
        "episode": identity.episode,
        "attempt": identity.attempt,
        "stage": identity.stage,
        "step": identity.step,
        "request": identity.request,
    }


def _identity(message: Mapping[str, Any], error: type[PolicyError]) -> Identity:
    plain: dict[str, Any] = _get(message, "identity", dict, error)
    return Identity(
        _get(plain, "session", str, error),
        _get(plain, "episode", str, error),
        _get(plain, "attempt", int, error),
        _get(plain, "stage", int, error),
        _get(plain, "step", int, error),
        _get(plain, "request", str, error),
    )


def _arrays(
    message: Mapping[str, Any], name: str, dtype: type[np.generic], n_dimensions: int
) -> dict[str, NDArray[Any]]:
    plain: dict[str, Any] = _get(message, name, dict, BadRequest, {})
    arrays = {}
    for key, value in plain.items():
        array = value if isinstance(value, np.ndarray) else _array_of_list(value, dtype, f"{name}.{key}", BadRequest)
        if array.dtype != dtype or array.ndim != n_dimensions:
            wanted = f"{np.dtype(dtype)} with {n_dimensions} dimensions"
            raise BadRequest(f"'{name}.{key}' is {array.dtype} {list(array.shape)}, not {wanted}")
        arrays[key] = array
    return arrays


def _array_of_list(value: Any, dtype: type[np.generic], name: str, error: type[PolicyError]) -> NDArray[Any]:
    if not isinstance(value, list):
        raise error(f"{name!r} is {type(value).__name__}, not an array")
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" and array.size:
            raise TypeError(f"its entries are {array.dtype}")
        if array.dtype.kind == "f" and np.dtype(dtype).kind != "f":
            raise TypeError("its entries are not whole numbers")
        return np.asarray(value, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as cause:
        raise error(f"{name!r} is no array of {np.dtype(dtype)}: {cause}") from cause


def _offset(key: str) -> int:
    try:
        return int(key)
    except ValueError as error:
        raise BadRequest(f"'history.{key}': the key is an offset in steps") from error


def _build(kind: Callable[..., T], plain: Mapping[str, Any], error: type[PolicyError]) -> T:
    """Build a flat dataclass of strings and numbers, each of the declared type."""
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in plain or field.name == "episode":
            expected: Any = {"str": str, "int": int, "float": (int, float)}[str(field.type)]
            values[field.name] = _get(plain, field.name, expected, error)
    return kind(**values)


def _camera(plain: Mapping[str, Any]) -> CameraRequest:
    values = dict(plain)
    values["convention"] = ImageConvention(**values.get("convention", {}))
    return CameraRequest(**values)


def _one_line(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_ERROR_LENGTH else text[:_MAX_ERROR_LENGTH] + " …"
