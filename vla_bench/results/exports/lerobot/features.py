"""What a frame consists of: the `features` of `info.json`, and the Arrow table of an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.exports.lerobot.video import pixel_format
from vla_bench.spec.errors import MissingExtra

__all__ = ["feature_table", "features_of", "pyarrow_modules"]

_SCALARS = {
    "next.reward": "float32",
    "next.done": "bool",
    "next.success": "bool",
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


def features_of(
    state_names: Sequence[str], action_names: Sequence[str], cameras: Mapping[str, tuple[int, int]], fps: int
) -> dict[str, dict[str, Any]]:
    """Name → type, shape and names of the entries."""
    features: dict[str, dict[str, Any]] = {
        f"observation.images.{camera}": {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.channels": 3,
                "video.codec": "h264",
                "video.pix_fmt": pixel_format(height, width),
                "video.is_depth_map": False,
                "video.fps": fps,
                "has_audio": False,
            },
        }
        for camera, (height, width) in cameras.items()
    }
    for name, names in (("observation.state", state_names), ("action", action_names)):
        features[name] = {"dtype": "float32", "shape": [len(names)], "names": list(names)}
    features |= {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in _SCALARS.items()}
    return features


def feature_table(columns: Mapping[str, NDArray[Any]], features: Mapping[str, Mapping[str, Any]]) -> Any:
    """The Arrow table of an episode: vectors are lists of a fixed length, single numbers are plain columns."""
    arrow, _ = pyarrow_modules()
    arrays, fields = [], []
    for name, values in columns.items():
        kind = np.dtype(features[name]["dtype"])
        if values.ndim == 1:
            column = arrow.array(values.astype(kind))
        else:
            column = arrow.FixedSizeListArray.from_arrays(arrow.array(values.astype(kind).ravel()), values.shape[1])
        arrays.append(column)
        fields.append(arrow.field(name, column.type))
    return arrow.Table.from_arrays(arrays, schema=arrow.schema(fields))


def pyarrow_modules() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("export --format lerobot", "parquet") from error
    return pyarrow, parquet
