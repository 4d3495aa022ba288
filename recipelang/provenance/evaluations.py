"""The evaluations of a run, done again with its weights and data: level 4. Loads torch."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from pathlib import Path

from recipelang.kinds.formats import FORMATS, others
from recipelang.planning.contents import data_digest
from recipelang.planning.types import Plan
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.spec.blocks import DataSpec
from recipelang.spec.recipe import Recipe

#: two machines sum in another order; a changed model differs by more
TOLERANCE = 0.002  # of a ratio; of other metrics this share


def evaluate_again(folder: Path, plan: Plan, recipe: Recipe, contents: Mapping[str, str]) -> dict[str, float]:
    """`dev.f1` and the like, of the final weights. The data are where the plan has them, and by `contents` the same.

    E195 for a file that is another one than the run read.
    """
    from contextlib import nullcontext

    import torch

    from recipelang.engine.evaluate import evaluate
    from recipelang.engine.harness import measure_harness
    from recipelang.engine.models import load_model
    from recipelang.engine.precision import autocast
    from recipelang.engine.runtimes import open_exported
    from recipelang.planning.data import load_split
    from recipelang.tasks import task_of

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_model(folder, plan.model, plan.seed).to(device)
    precision = plan.stages[-1].precision if plan.stages else "fp32"
    cast = autocast(precision, device)
    task, exported = task_of(plan.model.task), {}
    for name in others(plan.export):
        if (folder / FORMATS[name].file).is_file():  # the run may have failed to write it
            exported[name] = open_exported(folder, name, torch.get_num_threads())
            if task.prepare:
                pkgutil.resolve_name(task.prepare)(exported[name], plan.model)
    found: dict[str, float] = {}
    for evaluation in plan.evaluations:
        data = next(d for d in plan.data if d.label == evaluation.data)
        _same_data(data.splits[evaluation.split].reference, recipe.data[data.label], evaluation.split, contents)
        examples, features = load_split(data, evaluation.split, folder, evaluation.samples, anew=True)
        metrics = evaluate(model, task, evaluation, examples, features, device, cast)
        found |= {f"{evaluation.name}.{metric}": value for metric, value in metrics.items()}
        for name, runs in exported.items():
            metrics = evaluate(runs, task, evaluation, examples, features, torch.device("cpu"), nullcontext)
            found |= {f"{evaluation.name}.{name}.{metric}": value for metric, value in metrics.items()}
    for harness in plan.harnesses:
        found |= measure_harness(model, folder, harness, plan.seed, cast)
    return found


def _same_data(reference: str, spec: DataSpec, split: str, contents: Mapping[str, str]) -> None:
    named = getattr(spec, split, None) or ""
    wanted = contents.get(named) or contents.get(spec.source or "")
    if "://" not in reference and data_digest(Path(reference), anew=True) != wanted:
        message = f"`{line_of(Path(reference).name)}` is not the data that the run was evaluated on"
        raise fail(
            "E195",
            message,
            notes=["its sha256 differs"],
            help="run the evaluation where the original data are available",
        )


def compare(found: Mapping[str, float], recorded: Mapping[str, float]) -> str:
    """E141 for a metric that the run has otherwise."""
    bad = []
    for name, value in found.items():
        said = recorded.get(name)
        if said is None or abs(value - said) > TOLERANCE * max(1.0, abs(said)):
            message = (
                f"`{line_of(name)}` is {value:.4f}, the run recorded {said if said is None else format(said, '.4f')}"
            )
            bad.append(fail("E141", message, help="the data, or the metric's code, differs").diagnostics[0])
    if bad:
        raise RecipeError(bad)
    return (
        ", ".join(f"{line_of(n)} {v:.4f}" for n, v in found.items()) + ", as recorded by the run" if found else "none"
    )
