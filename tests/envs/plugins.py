"""Installs a suite as another package would bring it: a module and an entry point."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from vla_bench.spec import plugins


def install_plugin(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """Make a module `name` with an object `family` a suite plug-in, for this process and those that it starts."""
    (folder / f"{name}.py").write_text(source)
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{plugins.SUITES}]\n{name} = {name}:family\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
    importlib.invalidate_caches()
    # Another test may have had a module of that name.
    monkeypatch.delitem(sys.modules, name, raising=False)
    # Entry points are read once a process.
    plugins._group.cache_clear()
