"""`--db`: what people type, and where it leads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vla_bench.results.database import data_home, locate
from vla_bench.results.store import Store
from vla_bench.spec.errors import MissingExtra, UsageError


@pytest.mark.parametrize("form", ["{path}", "sqlite:///{path}", "sqlite+pysqlite:///{path}"])
def test_a_path_and_a_sqlite_url_are_the_same(tmp_path: Path, form: str) -> None:
    path = tmp_path / "some results.db"
    location = locate(form.format(path=path))
    assert (location.path, location.is_read_only) == (path, False)
    assert location.traces == str(tmp_path / "some results-traces")


def test_a_folder_holds_results_db(tmp_path: Path) -> None:
    assert locate(tmp_path).path == tmp_path / "results.db"


def test_missing_folders_are_made(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a" / "b" / "c.db"):
        assert (tmp_path / "a" / "b" / "c.db").exists()


def test_odd_characters_in_a_path_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "100% ?#é.db"
    Store.open(path).close()
    assert path.exists()
    with Store.open(path, read_only=True) as store:
        assert store.summaries() == []


def test_home_is_the_variable_or_the_platforms_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_home() == home
    monkeypatch.delenv("VLA_BENCH_HOME")
    assert data_home().name == "vla-bench"
    monkeypatch.setenv("VLA_BENCH_HOME", "~/x")
    assert data_home() == Path.home() / "x"


def test_postgresql_urls_get_the_driver_and_hide_the_password(home: Path) -> None:
    location = locate("postgresql://me:secret@host/results")
    assert location.url.drivername == "postgresql+psycopg"
    assert "secret" not in str(location)
    assert location.traces == str(home / "results-traces")


def test_a_missing_driver_is_one_line_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'vla-bench\[postgres\]'"):
        Store.open("postgresql://me@host/results")


@pytest.mark.parametrize("text", ["mysql://host/db", "nonsense://x", "://", "https://example.org/results.db"])
def test_other_urls_are_refused_with_the_known_forms(text: str) -> None:
    with pytest.raises(UsageError, match="postgresql://"):
        locate(text)


def test_reading_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no database at"):
        Store.open(tmp_path / "absent" / "x.db", read_only=True)
    assert list(tmp_path.iterdir()) == []
