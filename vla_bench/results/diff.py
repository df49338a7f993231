"""What differs between two runs, in words, by what it does to the score: the first answer to "cannot reproduce"."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vla_bench.results.evidence import Claim, Evidence
from vla_bench.results.identity import leaf_changes, short
from vla_bench.results.runs import RunSummary
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.result import Fingerprint

__all__ = ["Effect", "OutcomeDiff", "RunDiff", "RunSide", "Trait", "diff_runs"]


class Effect(enum.StrEnum):
    """What a difference does to the score."""

    SCORE = "score"
    """it decides what is measured: the numbers are of different things"""
    MAY = "may"
    """it may move single episodes: last bits of physics or pictures, numerics of a policy"""
    NONE = "none"
    """it does not touch the score"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """One difference.

    Attributes:
        about: `suite`, `plan`, `settings`, `policy`, `machine`, `coverage` or `record`.
        effect: see there.
        path: what differs, by its stored name.
        first, second: plain JSON values; None where one run lacks it.
        words: the same in words.
    """

    about: str
    effect: Effect
    path: str
    first: Any
    second: Any
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeDiff:
    """The episodes that both plans hold and both runs judged.

    Attributes:
        n_shared: so many there are.
        n_same_start: with equal digests of the initial state.
        n_same_end: with equal digests of the initial and of the last state: the same rollout, bit for bit.
        n_gained, n_lost: judged a success by the second run only, by the first one only.
    """

    n_shared: int
    n_same_start: int
    n_same_end: int
    n_gained: int
    n_lost: int

    @property
    def n_flipped(self) -> int:
        """Episodes that ended otherwise."""
        return self.n_gained + self.n_lost


@dataclass(frozen=True, kw_only=True)
class RunSide:
    """One of the two: what its rows say, and the machines that it ran on."""

    evidence: Evidence
    machines: Sequence[tuple[Fingerprint, int]]


@dataclass(frozen=True, kw_only=True)
class RunDiff:
    """The answer.

    Attributes:
        first, second: names of the runs.
        traits: every difference, those that decide the score first.
        outcomes: of shared episodes.
        obstacles: why the two cannot be compared pair by pair; empty where they can.
        n_findings: contradictions within the rows of each run; `vla-bench verify` names them.
    """

    first: str
    second: str
    traits: tuple[Trait, ...]
    outcomes: OutcomeDiff
    obstacles: tuple[str, ...]
    n_findings: tuple[int, int]

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs that decides or may move a score, and every shared episode ended alike."""
        is_same = all(trait.effect is Effect.NONE for trait in self.traits)
        return is_same and not self.outcomes.n_flipped

    def of(self, effect: Effect) -> tuple[Trait, ...]:
        """The differences of one effect."""
        return tuple(trait for trait in self.traits if trait.effect is effect)

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form of `diff --json`."""
        plain: dict[str, Any] = to_plain(self)
        plain["outcomes"]["n_flipped"] = self.outcomes.n_flipped
        return {**plain, "is_equal": self.is_equal, "is_comparable": not self.obstacles}


def diff_runs(first: RunSide, second: RunSide) -> RunDiff:
    """Compare what two runs are and how their shared episodes ended."""
    one, other = first.evidence, second.evidence
    found = [
        *_suite_traits(one, other),
        *_plan_traits(one, other),
        *_settings_traits(one, other),
        *_policy_traits(one.policy, other.policy),
        *_machine_traits(first.machines, second.machines),
        *_coverage_traits(one.summary, other.summary),
        *_record_traits(one.summary, other.summary),
    ]
    order = list(Effect)
    return RunDiff(
        first=one.name,
        second=other.name,
        traits=tuple(sorted(found, key=lambda trait: order.index(trait.effect))),
        outcomes=_outcomes(one.judged, other.judged),
        obstacles=tuple(_obstacles(one, other)),
        n_findings=(len(one.findings), len(other.findings)),
    )


def _trait(about: str, effect: Effect, path: str, pair: tuple[Any, Any], what: str = "") -> Trait:
    first, second = pair
    words = f"{what or path}: {_said(first)} → {_said(second)}"
    return Trait(about=about, effect=effect, path=path, first=to_plain(first), second=to_plain(second), words=words)


def _said(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else short(value)


def _suite_traits(one: Evidence, other: Evidence) -> Iterator[Trait]:
    if one.summary.suite != other.summary.suite:
        yield _trait("suite", Effect.SCORE, "name", (one.summary.suite, other.summary.suite), "suite")
        return
    if one.summary.protocol != other.summary.protocol:
        yield _trait("suite", Effect.SCORE, "protocol", (one.summary.protocol, other.summary.protocol), "protocol")
    for path, old, new in leaf_changes("", one.suite, other.suite):
        if path in ("protocol.name", "protocol.version"):
            continue
        effect = Effect.NONE if path.partition(".")[0] in ("title", "provenance") else Effect.SCORE
        yield _trait("suite", effect, path, (old, new), f"suite, {path}")


def _plan_traits(one: Evidence, other: Evidence) -> Iterator[Trait]:
    if one.plan.plan_hash == other.plan.plan_hash:
        return
    first, second = one.plan.episodes, other.plan.episodes
    for noun, name in (("tasks", "task"), ("trials", "trial"), ("repeats", "repeat")):
        counts = tuple(len({getattr(episode, name) for episode in episodes}) for episodes in (first, second))
        if counts[0] != counts[1]:
            yield _trait("plan", Effect.SCORE, noun, (counts[0], counts[1]), f"plan, number of {noun}")
    seeds = [{(e.task, e.trial, e.repeat): e.env_seed for e in episodes} for episodes in (first, second)]
    moved = sum(seeds[0][place] != seeds[1][place] for place in seeds[0].keys() & seeds[1].keys())
    if moved:
        words = f"plan: {moved} episodes of the same task and trial begin in other states"
        yield Trait(about="plan", effect=Effect.SCORE, path="env_seed", first=None, second=None, words=words)
    n_shared = len({episode.id for episode in first} & {episode.id for episode in second})
    sizes = (len(first), len(second))
    words = f"plan: {sizes[0]} → {sizes[1]} episodes, {n_shared} of them the same"
    yield Trait(
        about="plan", effect=Effect.SCORE, path="plan_hash", first=one.plan.plan_hash, second=other.plan.plan_hash,
        words=words,
    )  # fmt: skip


_SETTINGS: Mapping[str, tuple[str, Mapping[Any, str]]] = {
    "preset": ("preset", {}),
    "replan_horizon": ("actions kept of each chunk", {None: "the whole chunk"}),
    "resize": ("how pictures come to the policy's size", {}),
    "crop": ("side of the centred crop", {1.0: "no crop"}),
    "jpeg_quality": ("JPEG on the way to the policy", {0: "never"}),
    "ensembling": ("temporal ensembling, weight", {None: "none"}),
    "sticky_gripper": ("steps for which a changed gripper command is held", {0: "none"}),
    "control_mode": ("controller of the robot", {"": "the suite's default"}),
    "history": ("earlier frames that the policy sees, steps back", {}),
    "clip_actions": ("actions clipped to the bounds on the policy's side", {}),
    "policy_seed": ("base of the policy seeds", {}),
    "repeated_policy_errors": ("a policy's fault that repeats counts as", {}),
}
"""Setting → what it is called in words, and values that have words of their own."""


def _settings_traits(one: Evidence, other: Evidence) -> Iterator[Trait]:
    first, second = one.settings.to_dict(), other.settings.to_dict()
    for name in dict.fromkeys([*first, *second]):
        pair = first.get(name), second.get(name)
        if pair[0] == pair[1]:
            continue
        what, named = _SETTINGS.get(name, (name, {}))
        said = [_in_words(value, named) for value in pair]
        words = f"{what} ({name}): {said[0]} → {said[1]}"
        yield Trait(about="settings", effect=Effect.SCORE, path=name, first=pair[0], second=pair[1], words=words)


def _in_words(value: Any, named: Mapping[Any, str]) -> str:
    return named[value] if not isinstance(value, list) and value in named else _said(value)


_POLICY_WORDS = {
    "name": "policy",
    "version": "version of the policy",
    "weights_digest": "weights",
    "kind": "kind of policy",
    "chunk_length": "actions that an answer may have",
    "batch_limit": "observations that an answer may take together",
}
_POLICY_MAY = ("batch_limit",)
"""Batches are joined as they come: in floating point an answer may depend on its neighbours."""


def _policy_traits(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Trait]:
    for path, old, new in leaf_changes("", one, other):
        name = path.partition(".")[0]
        effect = Effect.MAY if name in _POLICY_MAY else Effect.SCORE
        what = _POLICY_WORDS.get(path) or (f"option {path[8:]}" if name == "options" else f"policy, {path}")
        yield _trait("policy", effect, path, (old, new), what)


def _machine_traits(
    one: Sequence[tuple[Fingerprint, int]], other: Sequence[tuple[Fingerprint, int]]
) -> Iterator[Trait]:
    if {machine.id for machine, _ in one} == {machine.id for machine, _ in other}:
        return
    if not one or not other:
        names = tuple("known" if machines else "not recorded" for machines in (one, other))
        yield _trait("machine", Effect.MAY, "fingerprint", (names[0], names[1]), "machine")
        return
    # Of several machines the one that did most stands for the run; that there are several is said too.
    first, second = one[0][0], other[0][0]
    for path, old, new in leaf_changes("", to_plain(asdict(first)), to_plain(asdict(second))):
        part, _, rest = path.partition(".")
        what = {"packages": f"version of {rest}", "renderer": f"render back end, {rest}"}.get(part, part)
        yield _trait("machine", Effect.MAY, path, (old, new), what)
    if len(one) != len(other):
        yield _trait("machine", Effect.MAY, "machines", (len(one), len(other)), "number of machines")


def _coverage_traits(one: RunSummary, other: RunSummary) -> Iterator[Trait]:
    if one.n_lost == other.n_lost == 0:
        return
    if (one.n_judged, one.lost_by_kind) != (other.n_judged, other.lost_by_kind):
        yield _trait("coverage", Effect.SCORE, "score_line", (one.score_line, other.score_line), "judged episodes")
    if one.flags != other.flags:
        yield _trait("coverage", Effect.NONE, "flags", (dict(one.flags), dict(other.flags)), "flags")


def _record_traits(one: RunSummary, other: RunSummary) -> Iterator[Trait]:
    for name in ("command", "started_at", "n_attempts"):
        if getattr(one, name) != getattr(other, name):
            pair = getattr(one, name), getattr(other, name)
            what = {"started_at": "started", "n_attempts": "attempts, retries of lost ones included"}.get(name, name)
            yield _trait("record", Effect.NONE, name, pair, what)
    if one.shards != other.shards:
        yield _trait("record", Effect.NONE, "shards", (list(one.shards), list(other.shards)), "shards")
    if one.origin != other.origin:
        pair = (dict(one.origin) or None, dict(other.origin) or None)
        yield _trait("record", Effect.MAY, "origin", pair, "imported from")


def _outcomes(one: Sequence[Claim], other: Sequence[Claim]) -> OutcomeDiff:
    theirs = {claim.episode.id: claim for claim in other}
    pairs = [(claim, theirs[claim.episode.id]) for claim in one if claim.episode.id in theirs]
    starts = [_same_digest(*pair, "initial_digest") for pair in pairs]
    ends = [is_same and _same_digest(*pair, "final_digest") for is_same, pair in zip(starts, pairs, strict=True)]
    flips = [(a.outcome, b.outcome) for a, b in pairs if a.outcome is not b.outcome]
    n_gained = sum(new == "success" for _, new in flips)
    return OutcomeDiff(
        n_shared=len(pairs),
        n_same_start=sum(starts),
        n_same_end=sum(ends),
        n_gained=n_gained,
        n_lost=len(flips) - n_gained,
    )


def _same_digest(one: Claim, other: Claim, name: str) -> bool:
    if one.last is None or other.last is None:
        return False
    digest: str = getattr(one.last.result, name)
    return bool(digest) and digest == getattr(other.last.result, name)


def _obstacles(one: Evidence, other: Evidence) -> Iterator[str]:
    if (one.summary.suite, one.summary.protocol) != (other.summary.suite, other.summary.protocol):
        yield "they ran different suites or protocols"
    elif one.suite_digest != other.suite_digest:
        yield "they ran different contents of one suite and protocol"
    elif one.plan.plan_hash != other.plan.plan_hash:
        yield "they ran different plans; `vla-bench compare --intersection` takes the episodes that both judged"
    for evidence in (one, other):
        if not evidence.summary.is_complete:
            yield f"{evidence.name} is incomplete: {evidence.summary.score_line}"
