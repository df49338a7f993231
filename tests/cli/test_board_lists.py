"""What an operator lists as JSON has the documented form; what cannot be done is refused in a line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from vla_bench.cli.board_schemas import AccountListModel, ChallengeListModel, TokenListModel


def test_accounts_tokens_and_challenges_have_their_documented_form(quick: Run, tmp_path: Path) -> None:
    db = ("--db", str(tmp_path / "board.db"))
    assert quick("leaderboard", "account", "create", "ann", *db).returncode == 0
    assert quick("leaderboard", "token", "create", "ann", *db).returncode == 0
    listed = {name: quick("leaderboard", name, "list", "--json", *db) for name in ("account", "token", "challenge")}
    assert {name: done.stderr for name, done in listed.items() if done.returncode} == {}
    found = {name: json.loads(done.stdout) for name, done in listed.items()}
    assert [each.name for each in AccountListModel.model_validate(found["account"]).accounts] == ["ann"]
    assert [each.account for each in TokenListModel.model_validate(found["token"]).tokens] == ["ann"]
    assert ChallengeListModel.model_validate(found["challenge"]).challenges == []


def test_a_challenge_is_cancelled_with_a_reason_and_where_there_is_one(quick: Run, tmp_path: Path) -> None:
    cancel = ("leaderboard", "challenge", "cancel", "7", "--db", str(tmp_path / "board.db"))
    silent, unknown = quick(*cancel), quick(*cancel, "--reason", "the image is gone")
    assert (silent.returncode, "say why" in silent.stderr) == (2, True)
    assert (unknown.returncode, "challenge 7" in unknown.stderr) == (2, True), unknown.stderr
