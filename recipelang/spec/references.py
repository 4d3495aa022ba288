"""Which attributes of a recipe name a model, a data set or a table of latencies, and what they name."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.spec.blocks import DataSpec
from recipelang.spec.recipe import Recipe


def references(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """`(path, reference)` of every model, data set and table; the name of a split is none."""
    yield "model.base", recipe.model.base
    for stage in recipe.stages:
        for distill in stage.distills:
            if isinstance(distill.teacher, str):
                yield f"stage.{stage.name}.distill.teacher", distill.teacher
        for shrink in stage.shrinks:
            if shrink.latencies is not None:
                yield f"stage.{stage.name}.shrink.{shrink.name}.latencies", shrink.latencies
    for label, data in recipe.data.items():
        for name in ("source", "train", "validation", "test"):
            own = getattr(data, name)
            if own is not None and not (name != "source" and is_split(data, own)):
                yield f"data.{label}.{name}" if label else f"data.{name}", own
        for mix in data.mixes:
            yield f"{f'data.{label}' if label else 'data'}.mix.{mix.name}.source", mix.source
    for evaluation in recipe.evaluations:
        if evaluation.source is not None:
            yield f"evaluate.{evaluation.name}.source", evaluation.source
    for harness in recipe.harnesses:
        yield f"harness.{harness.name}.task", harness.task


def used(recipe: Recipe) -> set[str]:
    """Of these paths those that a run of the recipe looks at: data that no stage and no evaluation reads is not."""
    found = {path for path, _ in references(recipe) if not path.startswith("data.")}
    splits = [(s.data, "train") for s in recipe.stages if s.reads_data]
    splits += [(e.data, e.split) for e in recipe.evaluations if e.source is None]
    for label, name in splits:
        data = recipe.data.get(label)
        own = getattr(data, name, None)
        if data is not None and data.mixes and name == "train":
            found |= {f"{f'data.{label}' if label else 'data'}.mix.{m.name}.source" for m in data.mixes}
        elif data is not None:
            here = name if own is not None and not is_split(data, own) else "source"
            found.add(f"data.{label}.{here}" if label else f"data.{here}")
    return found


def streamed(recipe: Recipe) -> set[str]:
    """References of data that are read as streams, and as nothing else."""
    streams: set[str] = set()
    others: set[str] = set()
    for label, data in recipe.data.items():
        for name in {"train", *(e.split for e in recipe.evaluations if e.data == label and e.source is None)}:
            own = getattr(data, name, None)
            named = data.source if own is None or is_split(data, own) else own
            if named is not None:
                (streams if is_stream(data, name) else others).add(named)
    return streams - others


def is_stream(data: DataSpec, split: str) -> bool:
    return data.streaming and split == "train"


def is_split(data: DataSpec, own: str) -> bool:
    """A plain word beside a `source` is one of the source's own splits."""
    return data.source is not None and "://" not in own and "." not in own and "/" not in own
