"""Reads LIBERO's initial states without torch and without trusting the file: an allow-list of four classes."""

from __future__ import annotations

import codecs
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.errors import EnvRaised

__all__ = ["read_init_states"]

_reconstruct = np.zeros(0).__reduce__()[0]

# All that a pickled NumPy array consists of; both spellings of NumPy's module are in use.
_ALLOWED: Final[dict[tuple[str, str], Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in an array")
        return _ALLOWED[module, name]


def read_init_states(path: Path) -> NDArray[np.float64]:
    """Read a `.pruned_init` (or `.init`) file: a torch archive around one pickled array.

    Returns:
        float64 `[n, 1 + nq + nv]`: time, positions, velocities. A file of a single state gives `n` = 1.

    Raises:
        EnvRaised: the file is missing, is no such archive, or holds anything but one array of numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            states = _ArrayUnpickler(io.BytesIO(archive.read(member))).load()
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise EnvRaised(f"initial states {path.name} cannot be read: {error}") from error
    if not isinstance(states, np.ndarray) or states.dtype != np.float64 or states.ndim not in (1, 2):
        raise EnvRaised(f"initial states {path.name} are no array of numbers")
    return np.atleast_2d(states)
