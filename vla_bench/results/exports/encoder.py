"""The H.264 encoder of films and video datasets, and whether this machine has it."""

from __future__ import annotations

from vla_bench.spec.errors import MissingExtra, UsageError

__all__ = ["CODEC", "check_encoder"]

CODEC = "libx264"


def check_encoder() -> None:
    """Find out before anything is replayed whether videos can be written.

    Raises:
        MissingExtra: PyAV is not installed.
        UsageError: it was built without H.264.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtra("videos", "video") from error
    if CODEC not in av.codecs_available:
        raise UsageError(f"this build of PyAV has no {CODEC}. Type: pip install --force-reinstall --only-binary av av")
