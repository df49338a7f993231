"""The pages as a whole: links lead somewhere, the site builds, the code in them runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, blocks, links, read, write_files
from vla_bench.cli.main import build_cli

AT_THE_ROOT = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "requirements/README.md"]
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def run(*command: str, cwd: Path, **env: str) -> str:
    bin_folder = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(cwd), **env}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", AT_THE_ROOT)
def test_links_at_the_root_lead_somewhere(page: str) -> None:
    """Those inside `docs/` are checked by the site's own build."""
    for link in links(page):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_is_in_the_navigation_and_exists() -> None:
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))

    def leaves(items: list[dict[str, object]]) -> list[str]:
        found: list[str] = []
        for item in items:
            for value in item.values():
                found += leaves(value) if isinstance(value, list) else [str(value)]
        return found

    assert sorted(leaves(config["project"]["nav"])) == PAGES


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    run(str(Path(sys.executable).parent / "zensical"), "build", "--strict", cwd=tmp_path, NO_COLOR="1")
    assert (tmp_path / "site" / "start" / "index.html").exists()


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_every_command_line_is_understood(page: str) -> None:
    """What stands in a shell block is parsed by the command itself: names of commands, options, and their values."""
    group = build_cli()
    text = "".join(block.text for block in blocks(page) if block.language == "bash").replace("\\\n", "")
    for line in text.splitlines():
        if line.startswith("vla-bench ") and "--help" not in line:
            name, *arguments = shlex.split(line, comments=True)[1:]
            group.commands[name].make_context(name, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "serve-a-policy.md"])
def test_code_of_a_page_runs(page: str, tmp_path: Path) -> None:
    """Blocks under `<!-- file: NAME -->` are written, those under `<!-- run -->` are run, in order."""
    write_files(page, tmp_path)
    ordered = [block for block in blocks(page) if block.order == "run"]
    assert ordered
    for block in ordered:
        shell = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
        run(*shell, block.text, cwd=tmp_path)


def test_suite_of_the_guide_passes_the_conformance_kit(tmp_path: Path) -> None:
    written = write_files("add-a-suite.md", tmp_path)
    assert len(written) == 4
    # What `pip install -e .` would leave: the entry point of the guide's own pyproject.toml.
    table = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / f"my_slide-{table['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {table['name']}\nVersion: {table['version']}\n")
    groups = table["entry-points"].items()
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {target}" for name, target in points.items()) for group, points in groups
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (proof,) = [block for block in blocks("add-a-suite.md") if block.order == "run-with: my_slide"]
    assert "an episode gives the same bits in another process" in run(sys.executable, "-c", proof.text, cwd=tmp_path)


def test_no_page_speaks_of_how_it_came_about() -> None:
    pages = [*(DOCS / page for page in PAGES), *(ROOT / page for page in AT_THE_ROOT)]
    places = [re.escape(f"{place}/") for place in {ROOT.parent, Path.home()} if place != Path("/")]
    words = re.compile("|".join([r"\b(TODO|TBD|FIXME|coming soon|lorem)\b", *places]), re.IGNORECASE)
    assert [path.name for path in pages if words.search(path.read_text(encoding="utf-8"))] == []


def test_changelog_has_scores_of_its_own() -> None:
    assert "### Scores" in read("../CHANGELOG.md")
