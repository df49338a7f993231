"""Everything that is asked of a bundle before it is listed. Each answer of no is one clear line; nothing is stored."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, BinaryIO

from vla_bench.envs.registry import find_suite
from vla_bench.harness.replay.recording import Recording, faults_of
from vla_bench.harness.replay.verify import suite_findings
from vla_bench.results.evidence import Claim, Evidence, gather_evidence
from vla_bench.results.identity import leaf_changes, short
from vla_bench.results.rows import suite_content, suite_digest
from vla_bench.results.stats.bins import count_bins
from vla_bench.results.store import Store
from vla_bench.results.traces import unpack_trace
from vla_bench.server.boards.place import registered_ids, registered_plan
from vla_bench.server.boards.plausible import Plausibility
from vla_bench.server.submissions.bundle import ArchiveLimits, Bundle
from vla_bench.spec.canonical import content_id, sha256_hex
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import StoreCorrupted, SubmissionRefused, UsageError
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

__all__ = [
    "MOST_REASONS", "Checks", "check_bytes", "check_digests", "check_identity", "check_links", "check_plan",
    "check_rows", "check_traces",
]  # fmt: skip

MOST_REASONS = 20
_TRACE_BYTES = 64 << 20
_NOT_COUNTED = frozenset({"name", "command", "started_at", "finished_at", "shards", "origin", "schema"})
"""What a summary repeats of the run; everything else in it was computed."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What was found.

    Attributes:
        suite: as installed here.
        evidence: the run, counted anew.
    """

    suite: Suite
    evidence: Evidence


def check_bytes(source: BinaryIO, size: int, digest: str) -> None:
    """Compare the bytes that arrived with those that were announced.

    Raises:
        SubmissionRefused: they are others.
    """
    found, n_bytes = hashlib.sha256(), 0
    while data := source.read(1 << 20):
        found.update(data)
        n_bytes += len(data)
    if n_bytes != size or found.hexdigest() != digest:
        raise SubmissionRefused(
            f"{n_bytes} bytes with digest {found.hexdigest()[:16]} arrived, {size} with {digest[:16]} were announced"
        )


def check_identity(bundle: Bundle) -> Suite:
    """Is it what it says it is: suite, plan, settings, policy; and does anybody here know that suite?

    Returns:
        The suite as installed here.

    Raises:
        SubmissionRefused: with every reason.
    """
    manifest = bundle.manifest
    check_digests(bundle)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    if max(manifest.started_at, manifest.finished_at) > tomorrow:
        raise SubmissionRefused(
            f"the run is of the future: started {manifest.started_at}, finished {manifest.finished_at}"
        )
    try:
        EvalSettings.from_dict(dict(manifest.settings))
        suite = find_suite(manifest.suite, manifest.protocol)
    except UsageError as error:
        raise SubmissionRefused(str(error)) from error
    if standin := suite.standin or bundle.suite.get("standin"):
        raise SubmissionRefused(f"runs of {suite.name} as installed are no results: {standin}")
    _refuse(_undeclared(bundle))
    return suite


def check_digests(bundle: Bundle) -> None:
    """Have suite, policy and settings the digests that the manifest gives them?

    Raises:
        SubmissionRefused: with every reason.
    """
    manifest, reasons = bundle.manifest, []
    for what, content, claimed in (
        ("suite", _suite_digest(bundle), manifest.suite_digest),
        ("policy", sha256_hex(bundle.policy), manifest.policy_digest),
        ("settings", sha256_hex(manifest.settings), manifest.eval_hash),
    ):
        if content != claimed:
            reasons.append(f"the {what} was changed: its digest is {content[:16]}, the manifest says {claimed[:16]}")
    _refuse(reasons)


def check_plan(bundle: Bundle, suite: Suite) -> None:
    """Is the plan the registered one, and is every episode of it there, once and no other?

    Raises:
        SubmissionRefused: with every reason.
    """
    manifest, reasons = bundle.manifest, []
    if manifest.plan_hash == registered_plan(suite.name, suite.protocol.id):
        # A plan of equal hash has equal bytes, and so the same episodes.
        planned: Collection[str] = registered_ids(suite.name, suite.protocol.id)
    else:
        episodes = _planned(bundle.plan)
        planned, reasons = episodes.keys(), [*_mixed_suites(bundle, episodes), _other_plan(bundle, episodes, suite)]
    ids = {row["episode_id"] for row in bundle.episodes}
    if strangers := sorted(ids.difference(planned)):
        reasons.append(f"plans are mixed: {_some(strangers)} of the bundle's episodes are not in its plan")
    if missing := sorted(set(planned) - ids):
        reasons.append(f"the run is not complete: {_some(missing)} of {len(planned)} planned episodes are missing")
    lost = sorted(row["episode_id"] for row in bundle.episodes if row["outcome"] not in ("success", "failure"))
    if lost:
        reasons.append(f"the run is not complete: {_some(lost)} of its episodes were lost and never judged")
    reasons += _strays(bundle)
    _refuse(reasons)


def check_links(bundle: Bundle) -> None:
    """Does every attempt belong to an episode and to a machine of the bundle?

    Raises:
        SubmissionRefused: with every reason.
    """
    _refuse(_strays(bundle))


def check_rows(bundle: Bundle, scratch: Store, run_name: str, suite: Suite) -> Checks:
    """Do the rows agree with one another and with the suite, and are the claimed aggregates those of the episodes?

    Raises:
        SubmissionRefused: with every reason.
    """
    is_other = bundle.manifest.suite_digest != _installed(suite.name, suite.protocol.id)[1]
    try:
        evidence = gather_evidence(scratch, run_name)
        counted = evidence.summary.to_dict()
    except StoreCorrupted as error:
        raise SubmissionRefused(str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if not is_other:
            raise
        # Rows have a form that was checked; of another suite's description nothing is known but that it is a map.
        raise SubmissionRefused(f"suite.json has another form than a suite's: {str(error)[:200]}") from error
    found = list(evidence.findings)
    if is_other:
        found += suite_findings(evidence, suite)
    reasons = [
        f"{finding.about}{f' {finding.episode}' if finding.episode else ''}: {finding.message}" for finding in found
    ]
    reasons += _wrong_aggregates(bundle.summary, counted)
    _refuse(list(dict.fromkeys(reasons)))
    return Checks(suite=suite, evidence=evidence)


def check_traces(
    bundle: Bundle, checks: Checks, limits: ArchiveLimits, *, keep: Callable[[str, bytes], None]
) -> list[str]:
    """Does each trace have its digest, belong to one attempt, and agree with it?

    Reads `bundle.traces` to their end.

    Args:
        bundle: whose traces are read.
        checks: of its rows.
        limits: of what may be unpacked.
        keep: gets the digest and the packed bytes of each trace that is whole, and is no promise that all will be.

    Returns:
        What a reader should look at, a sentence each: it refuses nothing.

    Raises:
        SubmissionRefused: with every reason.
    """
    uses = Counter(row["trace_digest"] for row in bundle.attempts if row["trace_digest"])
    if shared := sorted(digest for digest, count in uses.items() if count > 1):
        raise SubmissionRefused(f"a trace belongs to one attempt: {_some(shared)} stand for several")
    rows = {row["trace_digest"]: row for row in bundle.attempts if row["trace_digest"]}
    recordings = {
        claim.last.trace_digest: _recording(claim) for claim in checks.evidence.claims if claim.last is not None
    }
    reasons, left, seen = [], limits.unpacked_bytes, set()
    plausibility = Plausibility()
    tasks = {task.id for task in checks.suite.tasks}
    for digest, packed in bundle.traces:
        seen.add(digest)
        if digest not in rows:
            reasons.append(f"trace {digest[:16]} belongs to no attempt of the bundle")
            continue
        try:
            trace = unpack_trace(packed, digest, min(_TRACE_BYTES, left))
        except ValueError as error:
            reasons.append(f"trace {digest[:16]}, episode {rows[digest]['episode_id']}: {error}")
            continue
        left -= trace.actions.nbytes
        keep(digest, packed)
        row = rows[digest]
        if row["n_queries"] != len(trace.latency_ms) or row["policy_bins"] != count_bins(trace.latency_ms):
            reasons.append(f"episode {row['episode_id']}: its latencies are not those of its trace")
        if digest in recordings:
            found = faults_of(recordings[digest], trace, checks.suite, checks.evidence.settings.control_mode, tasks)
            reasons += [f"episode {row['episode_id']}: {fault}" for fault in found]
            plausibility.add(trace)
    if missing := sorted(set(rows) - seen):
        reasons.append(f"traces are missing: {_some(missing)}")
    reasons += _without_trace(recordings.get(""), checks)
    _refuse(reasons)
    return plausibility.flags()


def _without_trace(recording: Recording | None, checks: Checks) -> Iterator[str]:
    """Attempts that count and name no trace: an episode that a fault ended before its first step has none."""
    if recording is None:
        return
    for claim in checks.evidence.claims:
        if claim.last is not None and not claim.last.trace_digest:
            found = faults_of(_recording(claim), None, checks.suite, checks.evidence.settings.control_mode)
            yield from (f"episode {claim.episode.id}: {fault}" for fault in found)


def _recording(claim: Claim) -> Recording:
    assert claim.last is not None
    return Recording(episode=claim.episode, attempt=claim.last.result, trace_digest=claim.last.trace_digest)


@lru_cache(maxsize=16)
def _installed(suite: str, protocol: str) -> tuple[dict[str, Any], str]:
    """A suite as a run would store it here, and its digest; a second for ten thousand tasks."""
    content = suite_content(find_suite(suite, protocol))
    return content, suite_digest(content)


def _suite_digest(bundle: Bundle) -> str:
    try:
        content, digest = _installed(bundle.manifest.suite, bundle.manifest.protocol)
    except UsageError:
        return suite_digest(bundle.suite)
    return digest if content == bundle.suite else suite_digest(bundle.suite)


def _strays(bundle: Bundle) -> Iterator[str]:
    ids = {row["episode_id"] for row in bundle.episodes}
    if stray := sorted({row["episode_id"] for row in bundle.attempts} - ids):
        yield f"attempts belong to no episode of the bundle: {_some(stray)}"
    machines = {content_id(item) for item in bundle.machines}
    if unknown := sorted({row["fingerprint"] for row in bundle.attempts} - machines - {None}):
        yield f"attempts name machines that are not in the bundle: {_some(unknown)}"


def _planned(text: bytes) -> dict[str, Episode]:
    try:
        episodes = [Episode(**values) for values in json.loads(text)]
        found = {episode.id: episode for episode in episodes}
    except (TypeError, ValueError, RecursionError) as error:
        raise SubmissionRefused(f"plan.json is no list of episodes: {str(error)[:200]}") from error
    if len(found) != len(episodes):
        raise SubmissionRefused("plan.json plans an episode twice")
    names = (name for episode in episodes for name in (episode.suite, episode.protocol, episode.task))
    if odd := next((name for name in names if not isinstance(name, str)), None):
        raise SubmissionRefused(f"plan.json: {str(odd)[:80]} is no name of a suite, protocol or task")
    return found


def _mixed_suites(bundle: Bundle, planned: Mapping[str, Episode]) -> Iterator[str]:
    manifest = bundle.manifest
    found = Counter((episode.suite, episode.protocol) for episode in planned.values())
    found.pop((manifest.suite, manifest.protocol), None)
    if found:
        named = ", ".join(f"{count} of {suite} {protocol}" for (suite, protocol), count in found.most_common(3))
        yield f"the plan mixes suites or protocols: it has episodes {named}"


def _other_plan(bundle: Bundle, planned: Mapping[str, Episode], suite: Suite) -> str:
    """What a plan has that the board's has not, in one line."""
    registered = make_plan(suite)
    wanted = registered.episodes
    n_shared = len({episode.id for episode in wanted} & set(planned))
    hashes = f"{registered.plan_hash[:16]}, the run has {bundle.manifest.plan_hash[:16]}"
    line = f"the board of this suite and protocol has plan {hashes}: "
    if n_shared:
        return line + f"{n_shared} of its {len(wanted)} episodes are in the run's {len(planned)}. Run the full plan."
    places = {(episode.task, episode.trial, episode.repeat) for episode in wanted}
    if places == {(e.task, e.trial, e.repeat) for e in planned.values()}:
        return line + "tasks and trials are the same, states or policy seeds are others. Run it without --seed."
    return line + f"none of its {len(wanted)} episodes are in the run's {len(planned)}. Run the full plan."


def _undeclared(bundle: Bundle) -> Iterator[str]:
    """Where the declaration contradicts what the policy said in its handshake."""
    declaration, policy = bundle.manifest.declaration, bundle.policy
    scope = policy.get("checkpoint_scope", "one")
    if scope != declaration.checkpoint_scope:
        yield f"declaration.checkpoint_scope is {declaration.checkpoint_scope!r}, the policy itself says {scope!r}"
    seen, state = policy.get("cameras") or [], policy.get("state") or {}
    if not isinstance(seen, list) or not isinstance(state, (list, dict)):
        yield "policy.json: cameras is no list, or state no map"
        return
    cameras = {str(camera.get("name")) for camera in seen if isinstance(camera, Mapping)}
    for what, used, declared in (
        ("cameras", cameras, declaration.cameras),
        ("state", set(map(str, state)), declaration.state),
    ):
        if left_out := sorted(used - set(declared)):
            yield f"declaration.{what} leaves out what the policy asks for: {', '.join(left_out)}"


def _wrong_aggregates(claimed: Mapping[str, Any], counted: Mapping[str, Any]) -> Iterator[str]:
    """Every computed number of the claimed summary that is not ours; those that only one version has do not count."""
    shared = set(claimed) & set(counted) - _NOT_COUNTED
    odd = [key for key in sorted(shared) if claimed[key] != counted[key]]
    old, new = ({key: summary[key] for key in odd} for summary in (claimed, counted))
    for change in leaf_changes("", old, new):
        if not _is_same(change.old, change.new):
            yield f"summary: {change.path} is claimed as {short(change.old)}, the episodes give {short(change.new)}"


def _is_same(one: Any, other: Any) -> bool:
    # Another version of SciPy may differ in the last digits of an interval.
    is_number = isinstance(one, (int, float)) and isinstance(other, (int, float))
    return is_number and math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)


def _some(names: Sequence[str]) -> str:
    told = ", ".join(name[:16] for name in names[:3])
    return f"{len(names)} ({told}{', …' if len(names) > 3 else ''})"


def _refuse(reasons: Iterable[str]) -> None:
    found = list(reasons)
    if len(found) > MOST_REASONS:
        found = [*found[:MOST_REASONS], f"and {len(found) - MOST_REASONS} more"]
    if found:
        raise SubmissionRefused(*found)
