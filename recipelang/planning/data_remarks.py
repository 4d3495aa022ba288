"""What is said of how data are read: which labels a head takes, which class F1 counts, what is left out, what is lost."""

from __future__ import annotations

from collections.abc import Mapping

from recipelang.planning.data import ClassFacts, load_examples
from recipelang.planning.data_plan import DataPlan
from recipelang.source import Diagnostics
from recipelang.source.words import listed, plural
from recipelang.spec.blocks import EvaluateSpec
from recipelang.spec.metrics import METRICS, MORE_METRICS
from recipelang.spec.recipe import Recipe
from recipelang.tasks import task_of
from recipelang.tasks.labels import fits, looks_missing, positive, say_nothing
from recipelang.tasks.meaning import Meaning


def judge(recipe: Recipe, meanings: Mapping[str, Meaning], classes: ClassFacts, found: Diagnostics) -> None:
    """Of the classes: E150 for splits that write them in two ways, W147 for a head that goes, W149 for their order,
    W153 for one that is none."""
    names = classes.facts.labels
    places = classes.own and names == classes.own and not any(n.isdecimal() for n in names)  # numbers would be places
    for label, meaning in meanings.items():
        block = f"data.{label}" if label else "data"
        numbers = [split for split, form in meaning.labels.items() if form == "numbers"]
        mixed = [split for split, form in meaning.labels.items() if form == "both"]
        if mixed and not (classes.ordered and any(n.isdecimal() for n in names)):  # digits beside words are no places
            message = f"`{mixed[0]}` mixes numbers and names as labels"
            notes = ("the data do not say which number means which name",)
            help = "write all labels in one form, or list every class if they differ: `classes = [...]` in `data`"
            found.say("E150", message, recipe.label(f"{block}.{mixed[0]}"), notes=notes, help=help)
        if numbers and not any(n.isdecimal() for n in names) and not places:
            message = f"`{numbers[0]}` has numeric labels, but the classes have names"
            notes = (
                f"the classes are {listed(names, longest=40)}; the data do not say which number means which class",
            )
            help = "list the names in the order of their numbers: `classes = [...]` in `data`"
            found.say("E150", message, recipe.label(f"{block}.{numbers[0]}"), notes=notes, help=help)
        elif numbers and places and not say_nothing(names):
            message = "numeric labels are read in the model's class order"
            notes = (", ".join(f"{i} is `{n[:40]}`" for i, n in enumerate(names[:12])),)
            help = "if the data use another order, write `classes = [...]` in `data`"
            found.say("W149", message, recipe.label(f"{block}.{numbers[0]}"), notes=notes, help=help)
    missing = looks_missing(classes.data)
    if missing is not None and not classes.listed:
        message = f"the class `{missing[:40]}` looks like a missing value"
        notes = (f"the classes are {listed(classes.data, longest=40)}",)
        confirm = ", ".join(f'"{n[:40]}"' for n in classes.data[:6]) + (", ..." if len(classes.data) > 6 else "")
        remedies = [f"if it is a class, list every class: `classes = [{confirm}]` in `data`"]
        if "unlabelled" in task_of(recipe.model.task).settings:
            remedies.insert(0, f'to skip examples with this label, write `unlabelled = ["{missing[:40]}"]` in `data`')
        first = next(iter(meanings))
        at = recipe.label(f"data.{first}" if first else "data")
        found.say("W153", message, at, notes=notes, help=tuple(remedies))
    if classes.replaced is not None:
        message = "the model's head is replaced by a new head"
        notes = (f"the head has no class `{classes.replaced[:40]}`, only {listed(classes.own, longest=40)}",)
        help = "to keep the head, remove examples with this label, or use the model's label names"
        found.say("W147", message, recipe.label("model.base"), notes=notes, help=help)


def judge_positive(recipe: Recipe, classes: ClassFacts, found: Diagnostics) -> None:
    """E054 for a positive class that is none, W148 for one that neither recipe nor names give, W151 for one unused."""
    count = dict.fromkeys(e.data for e in recipe.evaluations if "f1" in (e.metrics or METRICS[recipe.model.task]))
    for label in dict.fromkeys([*count, *(name for name, spec in recipe.data.items() if spec.positive is not None)]):
        asked = recipe.data[label].positive
        path = f"data.{label}.positive" if label else "data.positive"
        if asked is not None and fits(asked, classes.facts.labels) is None:
            message = f"`{asked[:40]}` is not a class of this data"
            help = f"write one of {listed(classes.facts.labels, longest=40)}"
            found.say("E054", message, recipe.label(path), help=help)
            continue
        if label not in count:
            notes = ("`positive` sets the class that `f1` counts, and no evaluation of these data measures `f1`",)
            help = "add `f1` to the `metrics` of an evaluation, or remove `positive`"
            found.say("W151", "`positive` has no effect", recipe.label(path), notes=notes, help=help)
            continue
        chosen, sure = positive_class(asked, classes)
        if chosen is not None and not sure:
            counts = ", ".join(f"{classes.counts.get(n, 0):,} of `{n[:40]}`" for n in classes.facts.labels)
            alike = len({classes.counts.get(n, 0) for n in classes.facts.labels}) == 1
            notes = (
                f"it is the {'second class by alphabet' if alike else 'rarer class'} in the training data: {counts}",
            )
            help = f'to confirm this class, write `positive = "{chosen[:40]}"` in `data`'
            found.say(
                "W148", f"`f1` counts `{chosen[:40]}` as the positive class", recipe.label(path), notes=notes, help=help
            )


def positive_class(asked: str | None, classes: ClassFacts) -> tuple[str | None, bool]:
    """The class whose F1 is `f1`, by the model's name of it, and whether recipe or names say so; none of many."""
    names = classes.facts.labels
    if asked is not None:
        place = fits(asked, names)
        return (None if place is None else names[place]), True
    if len(names) != 2:
        return None, True
    return positive(names, classes.counts, ordered=classes.ordered)


def tell(recipe: Recipe, plan: DataPlan, found: Diagnostics) -> None:
    """W145 for answers that no window holds, W152 for words without a token, W230 for chats without an answer, W154 for blank texts, W146 for labels that stand for none, W165 where the recipe's do not occur."""
    block = f"data.{plan.label}" if plan.label else "data"
    for split, count in plan.lost.items():
        s, fit = ("", "fits") if count == 1 else ("s", "fit")
        message = f"{count:,} answer{s} of `{split}` {fit} in no window"
        notes: tuple[str, ...] = ("the answer is longer than a window, or the tokenizer drops all of it",)
        if split == "train":
            notes = (*notes, "training skips these questions: they would teach that there is no answer")
        help = "raise `max_length` or `stride`, or remove the questions"
        found.say("W145", message, recipe.label(f"{block}.{split}"), notes=notes, help=help)
    for split, count in plan.blank.items():
        message = f"{plural(count, 'example')} of `{split}` {'have' if count > 1 else 'has'} a blank text"
        notes = ("from a blank text, a model can learn only how frequent each answer is",)
        help = "fill in the text, or remove these examples"
        found.say("W154", message, recipe.label(f"{block}.{split}"), notes=notes, help=help)
    for split, count in plan.unanswered.items():
        message = f"{plural(count, 'chat')} of `{split}` {'have' if count > 1 else 'has'} no answer within `max_length`"
        notes = (f"chats are truncated to {plural(plan.max_length, 'token')}; without an answer they are skipped",)
        help = "raise `max_length`, or remove or shorten these chats"
        found.say("W230", message, recipe.label(f"{block}.{split}"), notes=notes, help=help)
    for split, count in plan.tokenless.items():
        message = f"{plural(count, 'tagged word')} of `{split}` produce{'s' * (count == 1)} no token"
        notes = ("the tokenizer drops every character of them, or they are empty",)
        notes += ("training skips their tags",) if split == "train" else ("the evaluation counts their tags as missed",)
        help = "correct these words, or remove them and their tags"
        found.say("W152", message, recipe.label(f"{block}.{split}"), notes=notes, help=help)
    if plan.meaning.left_out and not recipe.data[plan.label].unlabelled:
        counts = ", ".join(f"{n:,} of `{split}`" for split, n in plan.meaning.left_out.items())
        shown = " and ".join(f"`{v}`" for v in plan.meaning.unlabelled)
        help = 'to confirm this, write `unlabelled = ["-"]` in `data`'
        notes = (f"skipped: {counts}",)
        message = f"examples labelled {shown} are skipped"
        found.say("W146", message, recipe.label(f"{block}.columns.label"), notes=notes, help=help)

    if unmatched := plan.meaning.unmatched:
        part = "part of `unlabelled`" if plan.meaning.left_out else "`unlabelled`"
        message = f"{part} matches no example"
        notes = (f"no example has {listed(unmatched, longest=40)}",)
        help = "write each label as in the data, or remove it"
        found.say("W165", message, recipe.label(f"{block}.unlabelled"), notes=notes, help=help)


def null_threshold(e: EvaluateSpec, meaning: Meaning, task: str) -> float | None:
    """As written, else 0 where the data hold questions without an answer."""
    if e.null_threshold is not None:
        return float(e.null_threshold)
    return 0.0 if meaning.has_unanswerable else None


def null_fits(recipe: Recipe, e: EvaluateSpec, plan: DataPlan, found: Diagnostics) -> bool:
    """E054 for a threshold, or a metric, of which the task or the examples have nothing."""
    path = f"evaluate.{e.name}"
    if e.null_threshold is not None and "no_answer" not in MORE_METRICS.get(recipe.model.task, ()):
        message = f"{recipe.model.task} has no questions without an answer"
        found.say("E054", message, recipe.label(f"{path}.null_threshold"), help="remove it")
        return False
    asked = [m for m in e.metrics if m.startswith(("no_answer", "has_answer_"))]
    if not asked:
        return True
    answered = [bool(x.answers) for x in load_examples(plan, e.split)[: e.samples]]
    for metric, there in (("no_answer", not all(answered)), ("has_answer_", any(answered))):
        wrong = next((m for m in asked if m.startswith(metric)), None)
        if wrong and not there:
            kind = "without an answer" if metric == "no_answer" else "with an answer"
            message = f"`{e.name}` has no question {kind}"
            help = f"remove `{wrong}`"
            found.say("E054", message, recipe.label(f"{path}.metrics"), help=help)
            return False
    return True
