"""The tree of errors: who must act, which outcome, which exit code."""

from __future__ import annotations

import copy
import pickle
import re
from collections import Counter

import pytest

from vla_bench.spec import errors
from vla_bench.spec.errors import (
    BoardUnreachable,
    EnvError,
    HarnessError,
    IncompleteRun,
    Interrupted,
    MissingExtra,
    PolicyError,
    SubmissionRefused,
    UnknownName,
    UnknownSuite,
    UsageError,
    VlaBenchError,
)
from vla_bench.spec.outcomes import ExitCode, Outcome


def below(error: type[VlaBenchError]) -> list[type[VlaBenchError]]:
    return [error, *(each for child in error.__subclasses__() for each in below(child))]


CLASSES = [each for each in below(VlaBenchError) if each.__module__ == errors.__name__]
BRANCHES = {
    UsageError: (Outcome.NOT_RUN, ExitCode.USAGE),
    PolicyError: (Outcome.POLICY_ERROR, ExitCode.INCOMPLETE),
    EnvError: (Outcome.ENV_ERROR, ExitCode.INCOMPLETE),
    HarnessError: (Outcome.HARNESS_ERROR, ExitCode.INTERNAL),
    IncompleteRun: (Outcome.NOT_RUN, ExitCode.INCOMPLETE),
    Interrupted: (Outcome.NOT_RUN, ExitCode.INTERRUPTED),
    SubmissionRefused: (Outcome.NOT_RUN, ExitCode.CHECK_FAILED),
    BoardUnreachable: (Outcome.NOT_RUN, ExitCode.INCOMPLETE),
}


def an_error(kind: type[VlaBenchError]) -> VlaBenchError:
    if issubclass(kind, UnknownName):
        return kind("metaworl", ["metaworld", "toy_reach"])
    return kind("pictures", "metaworld") if kind is MissingExtra else kind("it broke at step 3")


def test_every_error_has_a_kind_of_its_own() -> None:
    assert [kind for kind, n in Counter(each.kind for each in CLASSES).items() if n > 1] == []
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", each.kind) for each in CLASSES)


def test_every_error_is_of_exactly_one_branch() -> None:
    for error in CLASSES[1:]:
        assert sum(issubclass(error, branch) for branch in BRANCHES) == 1, error


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_branch_decides_outcome_and_exit_code(branch: type[VlaBenchError]) -> None:
    for error in below(branch):
        assert (error.outcome, error.exit_code) == BRANCHES[branch], error


def test_no_error_reads_as_a_judged_episode_and_only_a_refusal_as_a_failed_check() -> None:
    for error in CLASSES:
        assert not error.outcome.is_judged
        assert error.exit_code is not ExitCode.OK
        assert (error.exit_code is ExitCode.CHECK_FAILED) == issubclass(error, SubmissionRefused)


def test_the_drawn_tree_is_the_tree() -> None:
    """Indentation of the drawing is by four columns; names beside one another are brothers."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:│   |    )*)(?:├── |└── )?(VlaBenchError|[A-Z]\w+(?: · [A-Z]\w+)*)(.*)", line)
        more = re.match(r"    (?:[│ ]   )*\s+[├└] ([A-Z]\w+(?: · [A-Z]\w+)*)$", line)
        if more:  # a second line of brothers, under the last name that stands alone
            parents |= dict.fromkeys(more[1].split(" · "), above[-1])
        elif match:
            depth = 0 if match[2] == "VlaBenchError" else len(match[1]) // 4 + 1
            names = match[2].split(" · ")
            above = [*above[:depth], names[0]]
            parents |= dict.fromkeys(names, above[depth - 1] if depth else "Exception")
            if inline := re.search(r"├ ([A-Z]\w+(?: · [A-Z]\w+)*)$", match[3]):
                parents |= dict.fromkeys(inline[1].split(" · "), names[0])
    assert parents == {error.__name__: error.__base__.__name__ for error in CLASSES}  # type: ignore[union-attr]


def test_every_error_is_exported_and_says_when_it_is_raised() -> None:
    assert sorted(errors.__all__) == sorted(error.__name__ for error in CLASSES)
    for error in CLASSES[1:]:
        assert (error.__doc__ or "").startswith("Raised "), error


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_the_way_to_another_process(kind: type[VlaBenchError]) -> None:
    error = an_error(kind)
    for arrived in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(arrived) is kind
        assert str(arrived) == str(error)
        assert vars(arrived) == vars(error)


def test_an_unknown_name_comes_with_the_near_ones_and_the_listing() -> None:
    error = UnknownSuite("metaworl", ["metaworld", "toy_reach"])
    assert str(error) == "unknown suite 'metaworl'. Did you mean 'metaworld'? See `vla-bench suites`."
    assert str(UnknownSuite("libero")) == "unknown suite 'libero'. See `vla-bench suites`."


def test_two_near_names_are_joined_by_or() -> None:
    assert "Did you mean 'run-2' or 'run-1'?" in str(errors.UnknownRun("run-22", ["run-1", "run-2", "other"]))


def test_a_missing_extra_is_an_install_line() -> None:
    assert str(MissingExtra("gRPC", "grpc")).endswith("Type: pip install 'vla-bench[grpc]'")
