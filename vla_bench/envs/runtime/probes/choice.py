"""Which EGL device stands for which GPU.

EGL numbers its devices in an order of its own, `MUJOCO_EGL_DEVICE_ID` counts in that order, `CUDA_VISIBLE_DEVICES` in
CUDA's. Some NVIDIA drivers also apply `CUDA_VISIBLE_DEVICES` to EGL's list, counted in EGL's order, others ignore it.
So devices are listed twice: once without the variable, where each tells its CUDA number (`EGL_CUDA_DEVICE_NV`) and its
UUID, and once as a worker will see them, where the wanted one is found again by UUID or device file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["EglDevice", "choose_devices", "read_device"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EglDevice:
    """One EGL device.

    Attributes:
        index: in EGL's list, as `MUJOCO_EGL_DEVICE_ID` counts.
        is_software: Mesa's software device.
        cuda: CUDA's number; None where it is no NVIDIA device, or the driver does not say.
        uuid: 32 hexadecimal digits; None where the driver does not say.
        drm: device file (`/dev/dri/card0`); None where it has none.
    """

    index: int
    is_software: bool = False
    cuda: int | None = None
    uuid: str | None = None
    drm: str | None = None

    @property
    def identity(self) -> str | None:
        """What names the same hardware in two lists."""
        return self.uuid or self.drm


def choose_devices(everything: Sequence[EglDevice], seen: Sequence[EglDevice], visible: str | None) -> list[EglDevice]:
    """The devices to try, best first: allowed GPUs in CUDA's order, then software.

    Args:
        everything: listed without `CUDA_VISIBLE_DEVICES`.
        seen: listed as a worker will see them; the answer is made of these.
        visible: the value of `CUDA_VISIBLE_DEVICES`; None where it is not set.

    Returns:
        GPUs that are not NVIDIA's follow those that the variable allows: it does not concern them. Where it allows
        GPUs and none of them can be recognised, every GPU seen is tried.
    """
    software = [device for device in seen if device.is_software]
    gpus = [device for device in seen if not device.is_software]
    if visible is None:
        return sorted(gpus, key=_cuda_order) + software
    wanted = _wanted(everything, visible)
    identities = [device.identity for device in wanted if device.identity]
    allowed = [gpu for identity in identities for gpu in gpus if gpu.identity == identity]
    foreign = [gpu for gpu in gpus if gpu.cuda is None]
    if not allowed and _tokens(visible):
        allowed = sorted((gpu for gpu in gpus if gpu.cuda is not None), key=_cuda_order)
    return allowed + foreign + software


def _wanted(everything: Sequence[EglDevice], visible: str) -> list[EglDevice]:
    by_number = {str(device.cuda): device for device in everything if device.cuda is not None}
    wanted = []
    for token in _tokens(visible):
        uuid = token.removeprefix("GPU-").replace("-", "").lower() if token.startswith("GPU-") else ""
        by_uuid = [device for device in everything if uuid and device.uuid and device.uuid.startswith(uuid)]
        device = by_uuid[0] if by_uuid else by_number.get(token)
        if device is not None:
            wanted.append(device)
    return wanted


def _tokens(visible: str) -> list[str]:
    """The entries up to the first that names no device, as CUDA reads them: `-1` hides all that follow."""
    tokens: list[str] = []
    for token in (part.strip() for part in visible.split(",")):
        if not token or token.startswith("-"):
            break
        tokens.append(token)
    return tokens


def _cuda_order(device: EglDevice) -> tuple[bool, int]:
    return device.cuda is None, device.index if device.cuda is None else device.cuda


def read_device(data: Mapping[str, object]) -> EglDevice:
    """Read what the program `probes/egl_devices.py` printed of one device."""
    return EglDevice(**data)  # type: ignore[arg-type]
