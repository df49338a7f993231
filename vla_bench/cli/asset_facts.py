"""What `vla-bench assets` says of a set, and the question before a download."""

from __future__ import annotations

import shutil
import sys

import typer

from vla_bench.cli.display.console import story
from vla_bench.cli.display.tables import facts
from vla_bench.cli.display.words import data_size
from vla_bench.cli.schemas import AssetsModel
from vla_bench.envs.runtime.assets.declared import AssetSet
from vla_bench.envs.runtime.assets.installed import installed_assets
from vla_bench.envs.runtime.home import assets_folder
from vla_bench.spec.errors import UsageError

__all__ = ["ask", "describe"]

MOST_SUITES = 4
"""More suites than this are not named one by one."""


def describe(assets: AssetSet) -> AssetsModel:
    """A set and whether it is installed."""
    record = installed_assets(assets.name)
    return AssetsModel(
        name=assets.name,
        title=assets.title,
        suites=list(assets.suites),
        origin=assets.origin,
        terms=assets.terms,
        size_bytes=assets.size_bytes,
        is_installed=record is not None,
        source=record.source if record else "",
        digest=record.digest if record else "",
        standin=record.standin if record else "",
    )


def ask(assets: AssetSet) -> None:
    """Show what would be downloaded, and go on only with a yes.

    Raises:
        UsageError: the answer is no, or nobody is there to give one.
    """
    place, more = assets_folder(), len(assets.suites) - MOST_SUITES
    place.mkdir(parents=True, exist_ok=True)
    # Not every publisher says it; both lie here until the archive is unpacked.
    unpacked = f"about {data_size(assets.unpacked_bytes)}" if assets.unpacked_bytes else "more, and for a while both"
    rows = {
        "what": assets.title,
        "for": ", ".join(assets.suites[:MOST_SUITES]) + (f" and {more} more suites" if more > 0 else ""),
        "download": f"{data_size(assets.size_bytes)}, unpacked {unpacked}",
        "from": ", ".join(archive.url for archive in assets.archives),
        "origin": assets.origin,
        "terms": assets.terms,
        "to": f"{place} ({shutil.disk_usage(place).free / 1e9:.1f} GB free)",
    }
    story().print(facts(rows))
    if not sys.stdin.isatty():
        raise UsageError(
            f"nobody is here to ask. Add --yes to download it, or --from PATH for a copy: "
            f"vla-bench assets install {assets.name} --yes"
        )
    if not typer.confirm("Download it?", err=True):
        raise UsageError(f"nothing was downloaded. With a copy: vla-bench assets install {assets.name} --from PATH")
