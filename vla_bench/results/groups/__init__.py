"""Groups: runs of several trainings, checkpoints or evaluation seeds, reported as one with each spread by itself."""

from vla_bench.results.groups.kinds import GroupKind, Member
from vla_bench.results.groups.model import GroupedChains, GroupedRun, RunGroup, RunGroupSummary
from vla_bench.results.groups.spread import Spread
from vla_bench.results.groups.store import define_group, group_summary, groups, remove_group

__all__ = [
    "GroupKind", "GroupedChains", "GroupedRun", "Member", "RunGroup", "RunGroupSummary", "Spread", "define_group",
    "group_summary", "groups", "remove_group",
]  # fmt: skip
