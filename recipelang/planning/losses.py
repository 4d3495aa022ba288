"""Label smoothing and class weights of a stage: for which tasks, and how much each class counts. E255, E256, W186."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from recipelang.kinds.class_weights import BALANCED
from recipelang.planning.context import Context
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.families import label_names
from recipelang.planning.loss_plan import LossPlan
from recipelang.source import Diagnostic, RecipeError, at_label
from recipelang.source.suggest import closest
from recipelang.source.words import listed
from recipelang.spec.blocks import StageSpec
from recipelang.spec.metrics import TASKS
from recipelang.tasks import task_of
from recipelang.tasks.labels import fits
from recipelang.values.composite import ClassWeight


def plan_loss(it: Context, spec: StageSpec, counts: Callable[[], Sequence[int]]) -> LossPlan | None:
    """None where the model's own loss is trained on, or with errors in `it.found`. `counts`: labels of each class in the
    training data of the stage, in the order of the head's outputs."""
    if not spec.label_smoothing and spec.class_weights is None:
        return None
    path = f"stage.{spec.name}"
    if not _applies(it, spec, path):
        return None
    _warn_of_teacher_alone(it, spec, path)
    weights: tuple[float, ...] = ()
    counted: tuple[int, ...] = ()
    if spec.class_weights is not None:
        with at_label(it.recipe.label(f"{path}.class_weights")):
            if spec.class_weights == BALANCED:
                counted = tuple(counts())
                weights = balanced(counted, _classes(it))
            else:
                weights = named(spec.class_weights, _classes(it))  # type: ignore[arg-type]
    return LossPlan(label_smoothing=float(spec.label_smoothing), class_weights=weights, class_counts=counted)


def balanced(counts: Sequence[int], classes: Sequence[str]) -> tuple[float, ...]:
    """All labels / (classes × labels of the class), each rounded once. E256 for a class without any.

    >>> balanced([30, 10], ["a", "b"])
    (0.6666666666666666, 2.0)
    """
    if 0 in counts:
        lacking = classes[list(counts).index(0)]
        help = 'remove the class from the data, or write the weights yourself: `class_weights = ["LABEL" -> 2]`'
        raise RecipeError(Diagnostic("E256", f"class `{lacking[:40]}` has no training examples", help=(help,)))
    return tuple(float(Fraction(sum(counts), len(counts) * n)) for n in counts)


def named(weights: Sequence[ClassWeight], classes: Sequence[str]) -> tuple[float, ...]:
    """In the order of the classes; 1 for one that is not listed. E256 for a label that is none of them."""
    found = [1.0] * len(classes)
    seen: dict[int, str] = {}
    for one in weights:
        place = fits(one.label, classes)
        if place is None:
            near = closest(one.label, classes)
            help = f'did you mean `"{near}"`?' if near else f"the classes are {listed(classes, longest=40)}"
            raise RecipeError(Diagnostic("E256", f"`{one.label[:40]}` is not a class of the model", help=(help,)))
        if place in seen:
            message = f"`{seen[place][:40]}` and `{one.label[:40]}` are one class"
            raise RecipeError(Diagnostic("E256", message, help=("keep one of them",)))
        found[place], seen[place] = float(one.weight), one.label
    return tuple(found)


def can_be_counted(data: DataPlan) -> None:
    """E256 where no one knows how often each class will be trained on."""
    kind = "a stream" if data.streamed else "a mixture" if data.mixture else ""
    if kind:
        help = 'write the weights yourself: `class_weights = ["LABEL" -> 2]`'
        notes = (f"the training data are {kind}, whose labels are not counted before the run",)
        raise RecipeError(Diagnostic("E256", "`balanced` needs data that can be counted", notes=notes, help=(help,)))


def _classes(it: Context) -> Sequence[str]:
    return it.facts.labels or label_names(it.facts.config)


def _applies(it: Context, spec: StageSpec, path: str) -> bool:
    """E255 for a task whose loss is no cross-entropy of classes, or for `class_weights`, has no classes with names."""
    learns, task = it.task.learns, it.task.name
    for name, given, tasks in (
        ("class_weights", spec.class_weights is not None, [t for t in TASKS if task_of(t).learns == "classes"]),
        ("label_smoothing", bool(spec.label_smoothing), [t for t in TASKS if task_of(t).learns]),
    ):
        if given and task not in tasks:
            help = f"remove it: it applies to {', '.join(tasks[:-1])} and {tasks[-1]}"
            it.say("E255", f"`{name}` does not apply to {task}", f"{path}.{name}", help)
            return False
    if learns and it.facts.config.get("output_router_logits"):
        name = "label_smoothing" if spec.label_smoothing else "class_weights"
        notes = ("its config says `output_router_logits`: its own loss has a term of the routers, which would be lost",)
        help = 'remove it, or set `"output_router_logits": false` in the config of the model'
        it.say("E255", f"`{name}` does not apply to this model", f"{path}.{name}", help, notes)
        return False
    return True


def _warn_of_teacher_alone(it: Context, spec: StageSpec, path: str) -> None:
    """W186: with a hardness of 100% throughout, labels are not looked at."""
    if any(d.hardness.plain == 1 for d in spec.distills):
        name = "label_smoothing" if spec.label_smoothing else "class_weights"
        help = f"lower `hardness`, or remove `{name}`"
        notes = ("`hardness = 100%` trains on the teacher alone; the loss of the labels is not used",)
        it.say("W186", f"`{name}` has no effect", f"{path}.{name}", help, notes)
