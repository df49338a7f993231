"""A gate's answer for machines and reviewers: JUnit XML, and Markdown for a pull request."""

from __future__ import annotations

from xml.etree import ElementTree

from vla_bench.results.gate.decision import Decision
from vla_bench.results.gate.report import GateReport
from vla_bench.results.gate.words import OnInconclusive
from vla_bench.results.stats.noninferiority import Verdict
from vla_bench.results.wording import p_text, percent, points, signed

__all__ = [
    "advice",
    "bar_text",
    "base_text",
    "bounds_text",
    "change_text",
    "junit_xml",
    "markdown_summary",
    "sentence",
    "value_text",
]

SIGNS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.INCONCLUSIVE: "❔"}


def junit_xml(report: GateReport, on_inconclusive: OnInconclusive) -> str:
    """One test case per question; CI servers show a failed one with its numbers.

    An inconclusive question is a failure that says so, or skipped where inconclusive passes.
    """
    root = ElementTree.Element("testsuites", name="vla-bench gate")
    suite = ElementTree.SubElement(
        root, "testsuite", name=f"gate against {report.base}", tests=str(len(report.decisions)),
        failures=str(sum(_is_failure(each, on_inconclusive) for each in report.decisions)), errors="0",
        skipped=str(sum(_is_skipped(each, on_inconclusive) for each in report.decisions)),
    )  # fmt: skip
    for decision in report.decisions:
        name = decision.criterion.name if decision.kind == "noninferior" else f"{decision.criterion.name} floor"
        case = ElementTree.SubElement(suite, "testcase", classname=f"gate.{decision.criterion.suite}", name=name)
        text = sentence(decision)
        if _is_failure(decision, on_inconclusive):
            ElementTree.SubElement(case, "failure", type=str(decision.verdict), message=text).text = text
        elif _is_skipped(decision, on_inconclusive):
            ElementTree.SubElement(case, "skipped", message=text)
        ElementTree.SubElement(case, "system-out").text = text
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def markdown_summary(report: GateReport) -> str:
    """A few lines for a pull request: the answer, the table, what to do."""
    lines = [
        f"### {SIGNS[report.verdict]} Gate: {report.verdict}",
        "",
        f"{_code(', '.join(report.new))} against {_code(report.base)}, error rate {report.alpha:g} either way",
        "",
        "| question | baseline | candidate | difference | bounds | must be above | n | answer |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for each in report.decisions:
        kind = "" if each.kind == "noninferior" else " (floor)"
        lines.append(
            f"| {_cell(each.criterion.name)}{kind} | {base_text(each)} | {value_text(each)} | {change_text(each)} | "
            f"{bounds_text(each)} | {bar_text(each)} | {each.n:,} | {SIGNS[each.verdict]} {each.verdict} |"
        )
    lines.append("")
    lines += [f"- {line}" for line in advice(report)]
    return "\n".join(lines).rstrip() + "\n"


def advice(report: GateReport) -> list[str]:
    """What a reader should know or do besides the table."""
    lines = [
        f"{decision.criterion.name}: an equal policy would pass only {percent(decision.power)} of the time on "
        f"{decision.n:,} episodes; take more episodes or a wider margin (`vla-bench gate --plan`)"
        for decision in report.weak
    ]
    if report.verdict is Verdict.INCONCLUSIVE:
        lines.append(_outlook(report))
    if report.n_shared < report.n_planned:
        lines.append(f"{report.n_shared:,} of {report.n_planned:,} episodes are compared: those that both judged")
    lines += [f"{each.criterion.name}: {each.remark}" for each in report.decisions if each.remark]
    return [*lines, *report.notes]


def _outlook(report: GateReport) -> str:
    size = report.n_to_settle
    if report.sequential is not None:
        if size is None:
            return "so far the evidence speaks for neither answer"
        return f"about {size:,} pairs would settle it, if evidence goes on growing as it did (--on-inconclusive extend)"
    if size is None:
        return "the difference sits on the margin: no reasonable number of episodes would settle it"
    return f"about {size:,} episodes would settle it with 80 % power, if things are as they look"


def sentence(decision: Decision) -> str:
    """The numbers of one question in one line."""
    if decision.kind == "floor":
        return (
            f"{decision.verdict}: {value_text(decision)} on {decision.n:,} episodes, bounds {bounds_text(decision)}, "
            f"floor {bar_text(decision)}, p {p_text(decision.p_pass)}"
        )
    flipped = ""
    if decision.pairs is not None:
        flipped = f", {decision.pairs.new_only} gained and {decision.pairs.base_only} lost"
    return (
        f"{decision.verdict}: {value_text(decision)} against {base_text(decision)} on {decision.n:,} episodes{flipped}"
        f"; difference {change_text(decision)} {bounds_text(decision)}, must be above {bar_text(decision)}, "
        f"p {p_text(decision.p_pass)}"
    )


def value_text(decision: Decision) -> str:
    """The candidate's rate or average length."""
    return f"{decision.new:.3f}" if decision.is_length else percent(decision.new)


def base_text(decision: Decision) -> str:
    """The baseline's; a dash for a floor."""
    if decision.base is None:
        return "–"
    return f"{decision.base:.3f}" if decision.is_length else percent(decision.base)


def change_text(decision: Decision) -> str:
    """The difference with its sign, points or subtasks; a dash for a floor."""
    if decision.difference is None:
        return "–"
    return signed(decision.difference, 3) if decision.is_length else points(decision.difference)


def bounds_text(decision: Decision) -> str:
    """The one-sided bounds, `[−2.6, +0.4]`."""
    if decision.kind == "floor":
        if decision.is_length:
            return f"[{decision.low:.3f}, {decision.high:.3f}]"
        return f"[{100 * decision.low:.1f}, {100 * decision.high:.1f}]"
    digits, scale = (3, 1.0) if decision.is_length else (1, 100.0)
    return f"[{signed(scale * decision.low, digits)}, {signed(scale * decision.high, digits)}]"


def bar_text(decision: Decision) -> str:
    """What the lower bound must reach."""
    if decision.kind == "floor":
        return f"{decision.bar:g}" if decision.is_length else percent(decision.bar)
    return signed(decision.bar, 3) if decision.is_length else points(decision.bar)


def _cell(text: str) -> str:
    # Names are the user's: one with a bar in it must not end its cell.
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    return f"`{_cell(text).replace('`', ' ')}`"


def _is_failure(decision: Decision, on_inconclusive: OnInconclusive) -> bool:
    if decision.verdict is Verdict.INCONCLUSIVE:
        return on_inconclusive is not OnInconclusive.PASS
    return decision.verdict is Verdict.FAIL


def _is_skipped(decision: Decision, on_inconclusive: OnInconclusive) -> bool:
    return decision.verdict is Verdict.INCONCLUSIVE and on_inconclusive is OnInconclusive.PASS
