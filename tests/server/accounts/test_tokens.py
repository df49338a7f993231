"""Tokens and accounts: what is kept, what is refused, what a role allows."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.server.submitting import Board
from vla_bench.results.leaderboard.people import ACCOUNT, AUDIT, TOKEN
from vla_bench.server.accounts.people import (
    Role,
    Scope,
    authenticate,
    create_account,
    create_token,
    disable_account,
    list_tokens,
    revoke_token,
)
from vla_bench.server.accounts.tokens import Token, digest_of, new_token, parse_token
from vla_bench.spec.errors import UsageError


def test_a_token_has_its_form_and_none_is_like_another() -> None:
    tokens = {str(new_token()) for _ in range(200)}
    assert len(tokens) == 200
    assert all(re.fullmatch(r"vlab_[0-9A-Za-z]{8}[0-9A-Za-z]{43}", token) for token in tokens)


def test_a_token_does_not_show_itself_in_a_traceback() -> None:
    token = new_token()
    assert token.secret not in repr(token)


@given(st.text())
def test_what_has_not_the_form_of_a_token_is_none(text: str) -> None:
    assert parse_token(text) is None


def test_only_a_digest_is_kept_and_the_log_has_no_secret(board: Board) -> None:
    token = board.token("alice")
    with board.store.database.read() as connection:
        row = connection.execute(sa.select(TOKEN)).mappings().one()
        told = str(list(connection.execute(sa.select(AUDIT)).mappings())) + str(list_tokens(connection))
    assert row["secret_sha256"] == digest_of(token)
    assert token.secret not in str(dict(row)) + told
    assert row["secret_sha256"] not in told


def test_a_wrong_expired_revoked_or_closed_token_is_worth_nothing(board: Board) -> None:
    good, late, revoked, closed = (
        board.token("alice"), board.token("alice", days=-1), board.token("alice"), board.token("bob"),
    )  # fmt: skip
    with board.store.database.write() as connection:
        revoke_token(connection, revoked.id, actor="test")
        disable_account(connection, "bob", actor="test")
    forged = Token(good.id, new_token().secret)
    with board.store.database.read() as connection:
        assert authenticate(connection, good) is not None
        for bad in (forged, late, revoked, closed, new_token()):
            assert authenticate(connection, bad) is None


def test_a_submitter_gets_no_scope_of_maintainers(board: Board) -> None:
    with board.store.database.write() as connection:
        create_account(connection, "alice", actor="test")
    for scope in (Scope.ADMIN, Scope.REPLAY):
        with board.store.database.write() as connection, pytest.raises(UsageError, match="cannot have scope"):
            create_token(connection, "alice", [scope], actor="test")


def test_the_scopes_of_a_demoted_maintainer_s_tokens_shrink(board: Board) -> None:
    token = board.token("keeper", *Scope, role=Role.MAINTAINER)
    with board.store.database.write() as connection:
        connection.execute(sa.update(ACCOUNT).values(role="submitter"))
        found = authenticate(connection, token)
    assert found is not None
    assert found[0].scopes == {Scope.SUBMIT}


def test_a_stranger_revokes_nothing(board: Board) -> None:
    token = board.token("alice")
    mallory = board.principal("mallory")
    with board.store.database.write() as connection, pytest.raises(UsageError, match="no token"):
        revoke_token(connection, token.id, actor="mallory", account_id=mallory.account_id)


@pytest.mark.parametrize("name", ["", "A", "Alice", "a b", "ab", "../x", "<script>", "x" * 41, "a'; drop table run"])
def test_a_name_that_would_not_show_well_is_refused(board: Board, name: str) -> None:
    with board.store.database.write() as connection, pytest.raises(UsageError, match="3 to 40"):
        create_account(connection, name, actor="test")


def test_a_token_can_be_made_to_last(board: Board) -> None:
    token = board.token("alice", days=None)
    with board.store.database.read() as connection:
        assert authenticate(connection, token) is not None
