"""Rules over a recipe, at their levels, without what its author has allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from recipelang.lint.every_rule import DEFAULTS, NOT_CHECKED, RULES, Level, Rule
from recipelang.lint.levels import levels_for
from recipelang.lint.subject import Finding, Subject
from recipelang.lint.suppress import Suppression, covering, doubtful, suppressions
from recipelang.planning.types import Plan
from recipelang.source import Diagnostic, Diagnostics, Label
from recipelang.source.diagnostic import Severity
from recipelang.source.words import plural
from recipelang.spec.recipe import Checked, Recipe

SEVERITIES: dict[Level, Severity] = {"deny": "error", "warn": "warning", "info": "info"}

#: what the plan says when a model or data set is not here: no fault of the recipe
_ELSEWHERE = ("E046", "E047", "E074", "E075", "E076")


def read_plan(recipe: Recipe, beside: Path, found: Diagnostics) -> tuple[Plan | None, Diagnostic | None]:
    """The plan, or why there is none: a model or data that cannot be read here. Other errors go to `found`."""
    from recipelang.planning.resolve import resolve

    mine = Diagnostics()
    plan = resolve(recipe, beside, mine)
    absent = [d for d in mine.errors if d.code in _ELSEWHERE]
    found.extend([d for d in mine if d not in absent])
    return plan, next(iter(absent), None)


def judge(
    checked: Checked,
    plan: Plan | None,
    levels: Mapping[str, Level],
    absent: Diagnostic | None = None,
    *,
    as_written: bool = True,
) -> list[Diagnostic]:
    """Every finding, suppressions that are wrong or unused, and what could not be judged (`absent` says why).

    `as_written`: no value came from outside, so that a comment which allows nothing is one too many.
    """
    subject = _subject(checked, plan)
    active = [rule for rule in RULES if levels[rule.CODE] != "allow"]
    ran = [rule for rule in active if _can_run(rule, subject)]
    comments = suppressions(subject.source)
    found = list(_findings(ran, subject, levels))
    is_library = checked.recipe is None and not checked.missing and not checked.diagnostics.errors
    if len(ran) < len(active) and not is_library and levels[NOT_CHECKED] != "allow":
        found.append(_not_checked([r for r in active if r not in ran], checked, absent, levels[NOT_CHECKED]))
    kept, used = _allowed(found, comments)
    judged = {rule.CODE for rule in ran if as_written}
    return kept + doubtful(subject.source, comments, used, judged)


def advise(checked: Checked, plan: Plan, beside: Path) -> list[Diagnostic]:
    """What `plan` and `run` show: findings of level `warn` and `deny`, which stop nothing there."""
    subject = _subject(checked, plan)
    levels = levels_for(beside, {})
    loud = [rule for rule in RULES if levels[rule.CODE] in ("warn", "deny")]
    as_warnings: dict[str, Level] = dict.fromkeys(DEFAULTS, "warn")
    kept, _ = _allowed(list(_findings(loud, subject, as_warnings)), suppressions(subject.source))
    return kept


def _subject(checked: Checked, plan: Plan | None) -> Subject:
    assert checked.composed is not None
    composed = checked.composed
    return Subject(composed.source, composed.tree, checked.recipe, plan, composed.replaced)


def _can_run(rule: Rule, subject: Subject) -> bool:
    there = {"tree": True, "recipe": subject.checked is not None, "plan": subject.planned is not None}
    return there[rule.NEEDS]


def _findings(rules: list[Rule], subject: Subject, levels: Mapping[str, Level]) -> Iterator[Diagnostic]:
    for rule in rules:
        for finding in rule.check(subject):
            label = _label(finding, subject)
            if rule.NEEDS == "tree" and label and label.source.name != subject.source.name:
                continue  # what a text alone tells is told when its own file is linted
            yield Diagnostic(
                rule.CODE,
                finding.message,
                label,
                tuple(Label(subject.source, span) for span in finding.also),
                help=(finding.help,),
                fixes=(finding.fix,) if finding.fix else (),
                level=SEVERITIES[levels[rule.CODE]],
            )


def _label(finding: Finding, subject: Subject) -> Label | None:
    if isinstance(finding.at, str):
        return subject.recipe.label(finding.at)
    return Label(subject.source, finding.at)


def _not_checked(rules: list[Rule], checked: Checked, absent: Diagnostic | None, level: Level) -> Diagnostic:
    if absent is not None:
        primary, why = absent.primary, absent.message
    else:
        missing = " and ".join(f"`{name}`" for name in checked.missing)
        primary, why = None, f"{missing} needs a value" if missing else "the plan has errors"
    help = "use `-p` to name files on this machine, as for a run" if absent else "pass it with `-p name=value`"
    codes = ", ".join(rule.CODE for rule in rules)
    message = f"{plural(len(rules), 'rule')} could not be checked"
    notes = (f"because {why}", f"not checked: {codes}")
    return Diagnostic(NOT_CHECKED, message, primary, notes=notes, help=(help,), level=SEVERITIES[level])


def _allowed(found: list[Diagnostic], comments: list[Suppression]) -> tuple[list[Diagnostic], set[tuple[int, str]]]:
    """The findings that no comment allows, and which comment allowed which code."""
    kept: list[Diagnostic] = []
    used: set[tuple[int, str]] = set()
    for diagnostic in found:
        by = covering(diagnostic, comments)
        used |= {(comment.span.start, diagnostic.code) for comment in by}
        if not by:
            kept.append(diagnostic)
    return kept, used
