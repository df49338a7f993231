"""`vla-bench assets` for CALVIN: a checkout, an archive of one, and what is not upstream's files of that commit."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.calvin import unpacked
from tests.cli.conftest import Run

ARCHIVE = "assets/calvin/calvin_assets.tar.xz"


@pytest.fixture
def checkout(shared: Path, tmp_path: Path) -> Path:
    """A folder as git makes it: upstream's data, a licence, and code that no suite needs."""
    place = tmp_path / "calvin_env"
    shutil.copytree(unpacked(shared) / "data", place / "data")
    for name in ("LICENSE", ".git/index", "calvin_env/envs/code.py", "data/calvin_table_D/meshes/drawing.SLDPRT"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("text")
    return place


def zipped(checkout: Path) -> Path:
    """As GitHub packs it."""
    path = checkout.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(checkout.rglob("*")):
            archive.write(file, Path("calvin_env-797142c") / file.relative_to(checkout))
    return path


def test_without_an_answer_nothing_is_downloaded_and_origin_and_licences_are_said(quick: Run) -> None:
    done = quick("assets", "install", "calvin")
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    for words in ("21 MB", "calvin_env @ 797142c", "MIT", "Apache-2.0 (franka_panda)", "--yes", "--from PATH"):
        assert words in said


def test_the_packed_assets_are_installed_with_origin_and_licences(quick: Run, shared: Path, home: Path) -> None:
    done = quick("assets", "install", "calvin", "--from", str(shared / ARCHIVE))
    assert "calvin is ready" in done.stdout
    assert "github.com/mees/calvin_env @ 797142c" in done.stdout
    assert "MIT (calvin_env), Apache-2.0 (franka_panda)" in done.stdout
    assert list((home / "assets/calvin/LICENSES").glob("*MIT*"))
    checked = quick("assets", "check", "calvin_abc_d")
    assert checked.returncode == 0
    assert "files, as in calvin_env @ 797142c" in checked.stdout


def test_of_an_archive_of_the_checkout_only_what_is_needed_is_kept(quick: Run, checkout: Path, home: Path) -> None:
    assert quick("assets", "install", "calvin", "--from", str(zipped(checkout))).returncode == 0
    place = home / "assets/calvin"
    assert not place.is_symlink()
    assert sorted(path.name for path in place.iterdir()) == ["LICENSE", "data"]
    assert not list(place.rglob("*.SLDPRT"))
    assert quick("assets", "check", "calvin").returncode == 0


def test_a_linked_checkout_may_change_where_no_suite_looks(quick: Run, checkout: Path, home: Path) -> None:
    assert quick("assets", "install", "calvin", "--from", str(checkout)).returncode == 0
    assert (home / "assets/calvin").is_symlink()
    (checkout / ".git/index").write_text("what `git status` does")
    assert quick("assets", "check", "calvin").returncode == 0
    with (checkout / "data/plane/plane.obj").open("a") as file:
        file.write("# another plane\n")
    checked = quick("assets", "check", "calvin")
    assert checked.returncode == 1
    assert "data/plane/plane.obj is altered, or of another commit than 797142c" in checked.stdout


@pytest.mark.parametrize("change", ["another commit", "a missing file", "another folder"])
def test_what_is_not_these_assets_is_one_line_and_changes_nothing(
    change: str, quick: Run, checkout: Path, home: Path
) -> None:
    victim = checkout / "data/calvin_table_D/urdf/calvin_table_D.urdf"
    match change:
        case "another commit":
            victim.write_text(victim.read_text().replace("0.02", "0.03"))
            said = "calvin_table_D.urdf is altered, or of another commit than 797142c"
        case "a missing file":
            victim.unlink()
            said = "calvin_table_D.urdf is missing"
        case _:
            checkout = checkout / "calvin_env"
            said = "is a folder of CALVIN's models and textures: none holds data/franka_panda"
    done = quick("assets", "install", "calvin", "--from", str(checkout))
    assert done.returncode == 2
    (error,) = [line for line in done.stderr.splitlines() if line != "checking"]
    assert error.startswith("error: ")
    assert said in error
    assert not (home / "assets/calvin").exists()
