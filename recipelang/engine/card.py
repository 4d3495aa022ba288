"""The model card: front matter for the Hub, then the measurements, claims and recipe.

Only measured values enter `model-index`; values that papers report are listed
separately, as theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipelang.engine import speeds
from recipelang.engine.run_record import EMPTY, claimed_on, emptied, layers_of, measured_on, told_of_shrinking
from recipelang.engine.statement import STATEMENT, read_origin
from recipelang.kinds.formats import FORMATS
from recipelang.planning.sliced import by_block, targets_left
from recipelang.planning.types import Plan
from recipelang.source.markup import markdown, markdown_code
from recipelang.source.render import clean
from recipelang.source.words import first_n, size_text
from recipelang.spec.claims import metric_text
from recipelang.storage.reading import MAX_RECORD, Unreadable, read_text
from recipelang.storage.yaml_text import yaml_text
from recipelang.tasks import task_of

#: the head of a task -> what the Hub calls it
PIPELINES = {
    "question_answering": "question-answering",
    "sequence_classification": "text-classification",
    "token_classification": "token-classification",
    "causal_lm": "text-generation",
    "text_to_text": "text2text-generation",
    "masked_lm": "fill-mask",
    "multiple_choice": "multiple-choice",
    "sentence_similarity": "sentence-similarity",
}
_ARXIV = re.compile(r"arxiv:(\d{4}\.\d{4,5})(?:v\d+)?", re.IGNORECASE)
#: of a model with more matrices, those of the plan only
_MOST_ROWS = 400


def card(plan: Plan, record: Mapping[str, Any], out: Path) -> str:
    origin = read_origin(out)
    lines = ["---", yaml_text(_front(plan, record, origin), ascii=True) + "---", "", f"# {markdown(plan.name)}", ""]
    if origin.get("summary"):
        lines += [markdown(str(origin["summary"])), ""]
    lines.append(f"Pruned from {markdown_code(_base(plan, origin))} with recipelang; the recipe is in `recipe/`.")
    for stage in plan.stages:
        for rounds in by_block(stage):
            layers = layers_of(record.get("layers_kept", {}), f"{stage.name}.{rounds[0].name}")
            lines += ["", f"Made smaller: {markdown(told_of_shrinking(rounds, layers))}."]
    if plan.rehearsal:
        lines += ["", f"**A rehearsal: the run was limited to {first_n(plan.rehearsal, 'step')} of every stage.**"]
    lines += _measured(plan, record) + _claims(plan, record) + _reported(origin) + _layers(plan, record) + _recipe(out)
    lines += ["", f"Spec digest: `{plan.spec_digest}`", ""]
    return "\n".join(lines)


# ------------------------------------------------------------------ front matter
def _front(plan: Plan, record: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, object]:
    """What the Hub reads of a card."""
    front: dict[str, object] = {"library_name": "sentence-transformers" if plan.model.pooling else "transformers"}
    if plan.model.ref.startswith("hf://"):
        front["base_model"] = _hub_name(plan.model.ref)
    if names := _datasets(plan):
        front["datasets"] = names
    if origin.get("license"):
        front["license"] = str(origin["license"]).lower()
    if pipeline := PIPELINES.get(task_of(plan.model.task).head):
        front["pipeline_tag"] = pipeline
    papers = [f"arxiv:{m.group(1)}" for c in origin.get("cites", []) if (m := _ARXIV.fullmatch(str(c).strip()))]
    front["tags"] = list(dict.fromkeys(["recipelang", "pruning", *origin.get("tags", []), *papers]))
    if not plan.rehearsal and record["metrics"]:
        front["model-index"] = [{"name": plan.name, "results": _results(plan, record, pipeline)}]
    return front


def _results(plan: Plan, record: Mapping[str, Any], pipeline: str | None) -> list[dict[str, object]]:
    """The measured metrics of every evaluation, with the run statement as their source."""
    found: list[dict[str, object]] = []
    for evaluation in plan.evaluations:
        data = next((d for d in plan.data if d.label == evaluation.data), None)
        split = data.splits.get(evaluation.split) if data else None
        where = split.reference if split else evaluation.data or evaluation.split
        name = _hub_name(where) if where.startswith("hf://") else where.rstrip("/").rsplit("/", 1)[-1]
        metrics = []
        for metric in evaluation.metrics:
            value = record["metrics"].get(f"{evaluation.name}.{metric}")
            if value is not None:
                on = measured_on(plan, f"{evaluation.name}.{metric}")
                metrics.append({"type": metric, "value": value, "name": f"{metric}, on {on}" if on else metric})
        found.append(
            {
                "task": {"type": pipeline or plan.model.task},
                "dataset": {"name": name, "type": name, "split": evaluation.split},
                "metrics": metrics,
                "source": {"name": "run statement", "url": f"recipe/{STATEMENT}"},
            }
        )
    return found


def _datasets(plan: Plan) -> list[str]:
    named = [s.reference for d in plan.data for s in d.splits.values() if s.reference.startswith("hf://")]
    return list(dict.fromkeys(map(_hub_name, named)))


def _hub_name(reference: str) -> str:
    return reference.removeprefix("hf://").partition("@")[0]


def _base(plan: Plan, origin: Mapping[str, Any]) -> str:
    """As it can be named elsewhere: a path of this machine tells nobody anything."""
    return str(origin.get("references", {}).get("model.base", plan.model.ref))


# ------------------------------------------------------------------------- body
def _measured(plan: Plan, record: Mapping[str, Any]) -> list[str]:
    lines = ["", "## Measured", "", "| quantity | value |", "|---|---|"]
    for name, value in record["metrics"].items():
        on = measured_on(plan, name)
        lines.append(f"| {markdown_code(name)}{f', on {on}' if on else ''} | {metric_text(name, value)} |")
    sparsity = record["sparsity"]
    lines.append(f"| sparsity of the pruned tensors | {sparsity['targets']:.2%} |")
    lines.append(f"| sparsity of all parameters | {sparsity['all_parameters']:.2%} |")
    for text, told in speeds.told(record, plan.figures):
        lines.append(f"| {markdown_code(text)} | {markdown(told)} |")
    for name, written in record.get("exports", {}).items():
        if "error" not in written:
            runtime = FORMATS[name].runtime
            lines.append(f"| size of the files for {runtime} | {size_text(written['bytes'])} |")
            most = written["largest_difference"]
            lines.append(f"| largest difference of {runtime}'s outputs from PyTorch's, on one batch | {most:.2g} |")
    if names := emptied(plan.stages, sparsity["tensors"]):
        lines.append(f"| pruned matrices that are at least {EMPTY:.0%} zero | {len(names):,} |")
    return lines


def _claims(plan: Plan, record: Mapping[str, Any]) -> list[str]:
    if not record["claims"]:
        return []
    lines = ["", "## Claims", "", "| claim | expected | measured | met |", "|---|---|---|---|"]
    for claim in record["claims"]:
        met = {True: "yes", False: "no", None: "not checked"}[claim["met"]]
        text = markdown_code(f"{claim['kind']} {claim['text']}")
        on = claimed_on(plan, claim["text"])
        measured = markdown(claim["measured"]) + (f", on {on}" if on else "")
        lines.append(f"| {text} | {markdown(claim['expected'])} | {measured} | {met} |")
    return lines


def _reported(origin: Mapping[str, Any]) -> list[str]:
    reported = origin.get("reported") or []
    if not reported:
        return []
    return ["", "Reported elsewhere, not measured in this run:", "", *(f"- {markdown(str(r))}" for r in reported)]


def _layers(plan: Plan, record: Mapping[str, Any]) -> list[str]:
    """The sparsity of every pruned matrix."""
    targets = targets_left(plan.stages)
    found = record["sparsity"]["tensors"]
    rows = [f"| {markdown_code(n)} | {found[n]:.2%} |" for n in targets if n in found][:_MOST_ROWS]
    head = ["", "## Sparsity by layer", "", "<details>", "", "| matrix | zeros |", "|---|---|"]
    return [*head, *rows, "", "</details>"] if rows else []


def _recipe(out: Path) -> list[str]:
    """The recipe itself, in a fence that is longer than any inside."""
    try:
        text = clean(read_text(out / "recipe" / "portable.recipe", MAX_RECORD, inside=out)).rstrip("\n")
    except Unreadable:
        return []
    fence = "`" * max(3, 1 + max((len(m) for m in re.findall(r"`+", text)), default=0))
    return ["", "## Recipe", "", f"{fence}recipe", text, fence]
