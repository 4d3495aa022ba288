"""The models that stages left for students and claims, below `stages/`: of this run, of the form of the final model.

A stage's model is written as the final one is, at an earlier step: all of its files but the weights are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recipelang.engine.statement import stamps
from recipelang.planning.belongings import belongs
from recipelang.planning.facts import read_config, read_model_facts
from recipelang.planning.safetensors_header import INDEX, read_folder, weight_files
from recipelang.planning.shrink import before
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.types import Plan
from recipelang.planning.weights import check_weights
from recipelang.planning.zeros import stored_zeros
from recipelang.provenance.compiled import Wanted, compiled, wanted
from recipelang.provenance.replanned import stages_again
from recipelang.provenance.stamp import read_stamp
from recipelang.provenance.statement import Statement
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.words import plural
from recipelang.spec.recipe import Recipe

STAGES = "stages"
_CONFIG = "config.json"
_TAKE_AGAIN = "get the folder again from where it was published"
_OTHERS = "these are not the weights that the stage left"


def check_stage_files(folder: Path, said: Statement, plan: Plan) -> str:
    """E136 for files that the run kept for nothing, or left as others; E138 for weights of another run."""
    found: dict[str, dict[str, str]] = {name: {} for name in plan.kept_stages}
    for path, digest in said.files.items():
        first, _, rest = path.partition("/")
        if first == STAGES:
            stage, _, name = rest.partition("/")
            if stage not in found:
                raise fail("E136", f"`{line_of(path)}` belongs to no stage whose model is kept", help=_TAKE_AGAIN)
            found[stage][name] = digest
    # one that was claimed only after its stage had ended is not there
    found = {name: files for name, files in found.items() if files or name in plan.teachers}
    alike = {n: d for n, d in said.files.items() if (n in said.subjects and not _of_weights(n)) or belongs(n)}
    stamp = stamps(plan, folder, said.digests["run"])
    final = _form(folder)
    for stage, files in found.items():
        here = folder / STAGES / stage
        larger = _shrunk_later(plan, stage)
        if larger:
            files = {n: d for n, d in files.items() if n != _CONFIG} | {_CONFIG: alike[_CONFIG]}
            _check_larger(folder, here, plan, larger)
        if odd := sorted(n for n in {*alike, *files} if not _of_weights(n) and files.get(n) != alike.get(n)):
            message = f"`{line_of(f'{STAGES}/{stage}/{odd[0]}')}` differs from that of the final model"
            raise fail("E136", message, help=_TAKE_AGAIN)
        weights = weight_files(here)
        if odd := sorted({n for n in files if n.endswith(".safetensors")} ^ {*weights}):
            message = f"`{line_of(f'{STAGES}/{stage}/{odd[0]}')}` is not part of that stage's weights"
            raise fail("E136", message, help=_TAKE_AGAIN)
        for name in weights:
            told = {k: v for k, v in read_stamp(here / name).items() if k == "format" or k.startswith("recipe.")}
            if told != stamp:
                message = f"the header of `{line_of(f'{STAGES}/{stage}/{name}')}` belongs to another run"
                raise fail("E138", message, help="the weights and the statement belong to different runs")
        if not larger and _form(here) != final:
            message = f"the tensors in `{line_of(f'{STAGES}/{stage}')}` are not those of the final model"
            raise fail("E140", message, help=_OTHERS)
    return f"{plural(len(found), 'model')} of an earlier stage, of this run" if found else "none was kept"


def _shrunk_later(plan: Plan, name: str) -> list[ShrinkPlan]:
    """What made the model of a stage smaller afterwards, the last first."""
    at = next(s.index for s in plan.stages if s.name == name)
    return [shrink for s in reversed(plan.stages[at + 1 :]) for shrink in reversed(s.shrinks)]


def _check_larger(folder: Path, here: Path, plan: Plan, later: list[ShrinkPlan]) -> None:
    """E136, E140 unless the model of a stage is the final one as it was before it was shrunk."""
    config, facts = read_config(folder), read_model_facts(folder, plan.model.task)
    for shrink in later:
        facts = before(shrink, facts)
        config = {**config, **shrink.settings(shrink.config_before)}
    there = read_config(here)
    if odd := sorted(k for k in {*config, *there} if config.get(k) != there.get(k)):
        message = f"`{line_of(odd[0])}` in `{line_of(f'{STAGES}/{here.name}')}/{_CONFIG}` is not what it was"
        raise fail("E136", message, help=_TAKE_AGAIN)
    if read_model_facts(here, plan.model.task).tensors != facts.tensors:
        message = f"the tensors in `{line_of(f'{STAGES}/{here.name}')}` are not those of the model before it was shrunk"
        raise fail("E140", message, help=_OTHERS)


def _of_weights(name: str) -> bool:
    return name.endswith(".safetensors") or name == INDEX


def _form(folder: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {n: (e.dtype, tuple(e.shape)) for n, e in read_folder(folder).items()}


def check_stage_weights(folder: Path, said: Statement, plan: Plan, recipe: Recipe) -> str:
    """E187 for weights that are no numbers; E140 where a stage did not reach its zeros, or zeroed what is protected."""
    had = said.predicate["never"]
    stages = plan.kept_stages
    final = read_model_facts(folder, plan.model.task)
    for at, stage in enumerate(plan.stages):
        if stage.name not in stages or (
            stage.name not in plan.teachers and not (folder / STAGES / stage.name).is_dir()
        ):
            continue
        here = folder / STAGES / stage.name
        again = compiled(here, recipe)
        check_weights(again.facts)
        stored = stored_zeros(here)
        zeros = {t.name: again.facts.zeros(t.name, stored)[0] for t in again.facts.tensors}
        if plan.rehearsal is None:
            reached(wanted(stages_again(plan, recipe, final)[: at + 1]), zeros)
        if _shrunk_later(plan, stage.name):
            continue  # what is protected has other sizes in the end, and the zeros of these
        if gained := [n for n in again.never if zeros.get(n, 0) > had.get(n, 0)]:
            message = f"`{line_of(gained[0])}` is protected by `never` but gained zeros in `{line_of(stage.name)}`"
            raise fail("E140", message, help=_OTHERS)
    return f"{plural(len(stages), 'model')}: finite, with the zeros of the stage"


def reached(blocks: list[Wanted], zeros: Mapping[str, int]) -> None:
    """E140 where fewer zeros are there than the last event of a block leaves."""
    for block in blocks:
        here = [zeros.get(n, 0) for n in block.targets]
        if len(block.zeros) == len(here):
            short = [(n, h, z) for n, h, z in zip(block.targets, here, block.zeros, strict=True) if h < z]
        else:
            short = [(block.targets[0], sum(here), sum(block.zeros))] if sum(here) < sum(block.zeros) else []
        if short:
            raise _short(block, *short[0])


def _short(block: Wanted, name: str, found: int, asked: int) -> RecipeError:
    message = f"`{line_of(name)}` has {found:,} zeros, but the recipe requires {asked:,}"
    return fail(
        "E140", message, notes=[f"in `{line_of(block.block)}`"], help="these are not the weights that the run measured"
    )
