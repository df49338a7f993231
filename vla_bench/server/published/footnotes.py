"""Footnotes of published rows: where a paper's numbers do not add up, and where papers do not agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vla_bench.server.published.figures import footnote_data, policy_of

__all__ = ["Place", "footnotes"]

Place = tuple[str, str, str, str]
"""Paper, table, policy, suite: a published row."""

_KINDS = {
    "plain_mean": "the plain mean of its parts",
    "task_weighted_mean": "the mean of its parts weighted by tasks",
    "stated_value_or_difference": "what its own tables give",
}
# Statements of a text stand on the row that they speak of, where the text is no row of its own.
_SPOKEN_OF: Mapping[tuple[str, str, str], tuple[str, str]] = {
    ("clad", "Text Sec. 5.2", "libero_long"): ("Text Sec. 5.2", "clad"),
    ("spatial_forcing", "Appendix F", "libero_4suite"): ("Table 1", "cot_vla"),
    ("lamp", "Text Sec. IV-A", "libero_plus"): ("Table II", "lamp"),
    ("lamp", "Text Sec. IV-A", "libero_4suite"): ("Table I", "lamp"),
}


def footnotes() -> list[tuple[Place, dict[str, str]]]:
    """Every footnote with the row that it belongs to; a table named `text` stands for any of the paper's."""
    data = footnote_data()
    notes = [(_place(check), {"kind": "arithmetic", "text": _arithmetic(check)}) for check in data["arithmetic"]]
    for found in data["conflicts"]:
        for here, there in (("a", "b"), ("b", "a")):
            paper, table, *_ = found[here]
            place = (paper, table, found["policy"], found["suite"])
            notes.append((place, {"kind": "conflict", "text": _conflict(found, here, there, data["causes"])}))
    return notes


def _place(check: Mapping[str, Any]) -> Place:
    suite = check["suite"].partition(":")[0]
    suite = {"4suite": "libero_4suite", "robot": "libero_plus"}.get(suite, suite)
    table, policy = _SPOKEN_OF.get((check["paper"], check["table"], suite), (check["table"], check["policy"]))
    return check["paper"], table, policy, suite


def _arithmetic(check: Mapping[str, Any]) -> str:
    printed, where = check["printed"], f"{check['table']}, line {check['line']}"
    part = check["suite"].partition(":")[2]
    of = f" of {part.replace('_', ' ')}" if part else ""
    if check["kind"] == "granularity":
        nearest = check["nearest"]
        n = nearest.partition("/")[2]
        return (
            f"The printed {printed}{of} cannot come from {n} episodes (nearest: {nearest}, {check['recomputed']}): "
            f"another count, an average of several runs, or a misprint ({where})."
        )
    if check["kind"] == "stated_value_or_difference":
        what = "" if check["policy"] else " for the comparison that it draws"
        return f"The text says {printed}{what}; {_KINDS[check['kind']]} is {check['recomputed']} ({where})."
    weighted = " A mean weighted by variants fits." if check["benchmark"] == "libero_plus" else ""
    return f"Printed is {printed}; {_KINDS[check['kind']]} is {check['recomputed']} ({where}).{weighted}"


def _conflict(found: Mapping[str, Any], here: str, there: str, causes: Mapping[str, str]) -> str:
    _, table, value, line = found[here]
    paper, other_table, other, other_line = found[there]
    name, what = policy_of(found["policy"])[0], found["dimension"].replace("_", " ")
    whose = "this paper's" if paper == found[here][0] else policy_of(paper)[0] + "'s"
    return (
        f"{name}, {found['suite'].replace('_', ' ')}, {what}: {value} here ({table}, line {line}), {other} in {whose} "
        f"{other_table} (line {other_line}). {causes[found['cause']]}"
    )
