"""Which episodes of a run are filmed."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.harness.replay.recording import Recording
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import near_matches, normalise_name
from vla_bench.spec.outcomes import Outcome

__all__ = ["failures", "first_of_each_task", "flips", "named"]


def named(recordings: Sequence[Recording], words: Sequence[str]) -> list[Recording]:
    """Find episodes by `TASK:TRIAL`, `TASK:TRIAL:REPEAT`, `TASK` (all of it) or the beginning of an id.

    Args:
        recordings: of a run, in plan order.
        words: what was typed.

    Returns:
        Each once, in plan order.

    Raises:
        UsageError: a word finds nothing; near tasks are named.
    """
    chosen: set[str] = set()
    for word in words:
        found = {r.episode.id for r in recordings if _is_meant(r.episode, word)}
        if not found:
            tasks = list(dict.fromkeys(r.episode.task for r in recordings))
            near = near_matches(word.partition(":")[0], tasks)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(
                f"no judged episode is called {word!r}.{hint} Write TASK:TRIAL, TASK or the beginning of an id."
            )
        chosen |= found
    return [recording for recording in recordings if recording.episode.id in chosen]


def _is_meant(episode: Episode, word: str) -> bool:
    task, *numbers = word.split(":")
    if normalise_name(task) == normalise_name(episode.task):
        place = [str(episode.trial), str(episode.repeat)]
        return numbers == place[: len(numbers)]
    return len(word) >= 4 and episode.id.startswith(word.lower())


def failures(recordings: Sequence[Recording]) -> list[Recording]:
    """Those that failed."""
    return [recording for recording in recordings if recording.attempt.outcome is Outcome.FAILURE]


def first_of_each_task(recordings: Sequence[Recording]) -> list[Recording]:
    """The first judged episode of every task, in plan order."""
    return list({recording.episode.task: recording for recording in reversed(recordings)}.values())[::-1]


def flips(recordings: Sequence[Recording], others: Sequence[Recording]) -> list[Recording]:
    """Those whose episode ended otherwise in another run."""
    theirs = {recording.episode.id: recording.attempt.outcome for recording in others}
    return [r for r in recordings if theirs.get(r.episode.id, r.attempt.outcome) is not r.attempt.outcome]
