"""What a worker answers: an `EnvState` or an error, as plain values and back."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvState
from vla_bench.envs.runtime.pictures import PictureReader, PictureWriter
from vla_bench.spec import errors
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.errors import EnvError, EnvRaised, UsageError, VlaBenchError

__all__ = [
    "decode_error", "decode_state", "encode_error", "encode_state", "known_error", "own_actions", "with_plain_facts",
]  # fmt: skip

_ERRORS: Final[Mapping[str, type[VlaBenchError]]] = {
    kind.__name__: kind
    for kind in (
        *(value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, EnvError)),
        errors.NoRenderer,
        errors.SuiteNotInstalled,
        UsageError,
    )
}
"""What an env may raise on purpose and a message alone can rebuild."""


def encode_state(state: EnvState, pictures: PictureWriter) -> dict[str, Any]:
    """Put pictures into the memory and everything else into plain values; what is empty is left out."""
    pictures.begin()
    message: dict[str, Any] = {
        "at": [state.step, state.n_executed, state.success, state.is_over, state.stage],
        "instruction": state.instruction,
        "digest": state.digest,
        "state": dict(state.state),
        "numbers": [state.reward, state.env_ms],
    }
    if state.images:
        message["images"] = _place(state.images, pictures)
    if state.frames:
        message["frames"] = {step: _place(images, pictures) for step, images in state.frames.items()}
    if state.depth:
        message["depth"] = _place(state.depth, pictures)
    if state.privileged:
        message["privileged"] = dict(state.privileged)
    if state.facts:
        message["facts"] = dict(state.facts)
    return message


def _place(images: Mapping[str, NDArray[Any]], pictures: PictureWriter) -> dict[str, Any]:
    return {camera: pictures.write(image) for camera, image in images.items()}


def decode_state(message: Mapping[str, Any], pictures: PictureReader) -> EnvState:
    """Rebuild the state; every array in it is the caller's own.

    Raises:
        ValueError, KeyError, TypeError: the message is not one of `encode_state`.
    """
    step, n_executed, success, is_over, stage = message["at"]
    reward, env_ms = message["numbers"]
    return EnvState(
        step=step,
        n_executed=n_executed,
        success=success,
        is_over=is_over,
        stage=stage,
        instruction=message["instruction"],
        state=message["state"],
        digest=message["digest"],
        images=_fetch(message.get("images", {}), pictures),
        frames={step: _fetch(images, pictures) for step, images in message.get("frames", {}).items()},
        depth=_fetch(message.get("depth", {}), pictures),
        privileged=message.get("privileged", {}),
        reward=reward,
        facts=message.get("facts", {}),
        env_ms=env_ms,
    )


def _fetch(places: Mapping[str, Any], pictures: PictureReader) -> dict[str, NDArray[Any]]:
    return {camera: pictures.read(place) for camera, place in places.items()}


def with_plain_facts(state: EnvState) -> EnvState:
    """Turn the facts of a reset into plain JSON values, so that they are the same from every kind of env.

    Raises:
        ValueError, TypeError: a fact has no JSON form.
    """
    state.facts = to_plain(state.facts)
    return state


def known_error(error: Exception, doing: str) -> VlaBenchError:
    """Map what an env raised to the tree: its own errors stay, foreign ones become `EnvRaised` with their place.

    Args:
        error: as caught.
        doing: `reset` or `advance`, for the message.
    """
    if isinstance(error, VlaBenchError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({PurePath(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    text = " ".join(str(error).split())
    return EnvRaised(f"{doing} raised {type(error).__name__}{': ' if text else ''}{text}{place}")


def encode_error(error: VlaBenchError) -> dict[str, Any]:
    """Name and message; a child that a message cannot rebuild travels as its nearest parent that can be."""
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS), EnvRaised.__name__)
    return {"error": name, "message": str(error)}


def decode_error(message: Mapping[str, Any]) -> VlaBenchError:
    """Rebuild the error."""
    return _ERRORS.get(message["error"], EnvRaised)(str(message["message"]))


def own_actions(actions: NDArray[np.float32]) -> NDArray[np.float32]:
    """A writable copy float32 `[k, A]` for the simulator, which may scribble on it.

    Raises:
        ValueError: it is not of two dimensions.
    """
    own = np.array(actions, np.float32, order="C")
    if own.ndim != 2:
        raise ValueError(f"actions are float32 [k, A], not of shape {list(own.shape)}")
    return own
