"""What a plan says of data: how they are read, what is trained on, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from recipelang.kinds.text import percent, show
from recipelang.planning.data_plan import MIX, ChatPlan, DataPlan, StreamPlan
from recipelang.planning.types import Plan, trained_rows
from recipelang.source.render import clean
from recipelang.source.words import first_n, listed, plural, size_text
from recipelang.spec.blocks import DataSpec
from recipelang.tasks import task_of
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.sentence_similarity import SCALE, form


def data_line(plan: Plan) -> str:
    parts = []
    for data in plan.data:
        if data.mixture:
            parts.append(f"train {data.examples['train']:,} (mixture of {plural(len(data.mixture), 'source')})")
        for name, split in ((n, s) for n, s in data.splits.items() if not n.startswith(MIX)):
            if split.stream is not None:
                parts.append(f"{name} streamed {_stream(split.stream)} ({clean(tail(split.reference))})")
                continue
            what = "chats" if data.chat else task_of(data.task).items
            windows = f" in {data.items[name]:,} {what}" if data.items[name] != data.examples[name] else ""
            parts.append(f"{name} {data.examples[name]:,}{windows} ({clean(tail(split.reference))})")
    alike = "; batches grouped by length" if any(d.group_by_length for d in plan.data) else ""
    alike += "".join(f"; `{e.name}` uses {first_n(e.samples, 'example')}" for e in plan.evaluations if e.samples)
    return "; ".join(parts) + f"; at most {plan.data[0].max_length} tokens{alike}" if parts else "none"


def _stream(stream: StreamPlan) -> str:
    there = f"from {plural(stream.files, 'file')} of {size_text(stream.bytes)}, " if stream.files else ""
    return f"{there}{plural(stream.portion, 'record')} shuffled together"


def meaning(plan: Plan, data: DataPlan) -> Iterator[tuple[str, str]]:
    """How a data set is read, and how what comes of it is counted."""
    m = data.meaning
    more = f" of {clean(data.label)}" if data.label else ""
    if m.columns:
        fields = (f for f in task_of(data.task).fields if f in m.columns)
        read = ", ".join(f"{field} = {clean(m.columns[field][:40])}" for field in fields)
        yield "columns" + more, read + (f"; not used: {some(m.unused)}" if m.unused else "")
    if data.mixture:
        yield "mixture" + more, mixture(plan, data)
    told = []
    if "choices" in task_of(data.task).fields and m.columns:
        yield "inputs" + more, _put_together(m)
    if task_of(data.task).gives == "embeddings" and m.columns and "train" in data.splits:
        told.append(_LOSSES[form(m.columns)])
    if m.max_score not in (None, 1):
        told.append(f"scores are divided by {m.max_score:g}")
    if m.choices:
        told.append(f"{m.choices[0]} to {m.choices[1]} choices per question")
    if m.left_out:
        counts = ", ".join(f"{n:,} of {split}" for split, n in m.left_out.items())
        told.append(f"left out (labelled {some(m.unlabelled)}): {counts}")
    if m.answers:
        told.append(_ANSWERS[m.answers])
    if m.causes:
        told.append("`cause` and `effect` are written out as questions")
    if m.has_unanswerable:
        told.append("unanswerable: " + ", ".join(f"{n:,} of {split}" for split, n in m.unanswerable.items()))
    if data.lost:
        told.append("answer fits in no window: " + ", ".join(f"{n:,} of {split}" for split, n in data.lost.items()))
    if data.chat is not None:
        told.append(_chats(data.chat, data))
    if not task_of(data.task).labels:
        if m.prefix:
            told.append(f"every source begins with {show(m.prefix)}")
        if m.source_language:
            told.append(f"sources are marked {clean(m.source_language)}, targets {clean(m.target_language)}")
        each = (f"{plural(n, 'token')} of {split}" for split, n in data.tokens_predicted.items())
        told.append(f"loss on targets: {', '.join(each)}")
    told += _counted(plan, data)
    if told:
        yield "notes" + more, "; ".join(told)


def _counted(plan: Plan, data: DataPlan) -> Iterator[str]:
    windows = "stride" in task_of(data.task).settings
    if data.cut:
        shares = (f"{n:,} of {split} ({n / data.examples[split]:.1%})" for split, n in data.cut.items())
        what = "question longer than half of" if windows else "truncated to"
        yield f"{what} `max_length`: {', '.join(shares)}"
    several = any(data.items[n] > data.examples[n] for n in data.items)
    if windows and (several or data.stride != DataSpec.model_fields["stride"].default):
        yield f"windows overlap by {plural(data.stride, 'token')}"
    for e in plan.evaluations:
        if e.data == data.label and e.positive is not None and "f1" in e.metrics:
            yield f"{clean(e.name)}.f1 treats {clean(e.positive[:40])} as the positive class"
        if e.data == data.label and (least := e.null_threshold) is not None:
            yield f"{clean(e.name)}: no answer if its score exceeds that of the best answer by more than {least:g}"


def mixture(plan: Plan, data: DataPlan) -> str:
    """Each source with its share, its rows, and how often the run passes over them."""
    rows, whole, each = trained_rows(data, plan.stages), sum(m.rows for m in data.mixture), []
    for m in data.mixture:
        share, name = Fraction(m.rows, whole), f"{MIX}{m.name}"
        passes = f", {float(rows * share / data.items[name]):.3g} passes" if rows else ""
        passes = f", {plural(m.samples, 'sample')}" if m.samples is not None else passes
        where = clean(tail(data.splits[name].reference))
        each.append(f"{percent(share)} {clean(m.name)} ({data.items[name]:,} rows of {where}{passes})")
    return ", ".join(each)


def _chats(chat: ChatPlan, data: DataPlan) -> str:
    counts = (
        f"{data.tokens_predicted[n]:,} of {plural(data.tokens_read[n], 'token')} of {n}" for n in data.tokens_predicted
    )
    by = "the marks of the chat template" if chat.marked else "prefixes of each chat"
    skipped = ", ".join(f"{n:,} of {split}" for split, n in data.unanswered.items())
    skipped = f"; skipped, no answer within `max_length`: {skipped}" if skipped else ""
    return (
        f"loss on answers only: {', '.join(counts)}, located by {by}{skipped}; "
        f"rows are padded with {clean(chat.pad[:40])}, masked in attention and loss"
    )


def _put_together(m: Meaning) -> str:
    """How the text of a choice is made of columns; `+` is where the first text of a pair ends."""
    question, context = (clean(m.columns.get(field, "")[:40]) for field in ("question", "context"))
    if context:
        return f"{context} + {question} and choice, or {question} with its gap `_` filled by the choice"
    if question == "sentence":
        return f"{question} + choice, or {question} split at its gap `_` + choice and the rest"
    return f"{question} + {clean(m.before)} and choice" if m.before else f"{question} + choice"


_LOSSES = {
    "scores": "loss: squared difference of cosine and score",
    "pairs": f"loss: pick the pair of each text among the pairs of its batch, by cosine times {SCALE:g}",
    "triples": f"loss: pick the pair of each text among the pairs and negatives of its batch, by cosine times {SCALE:g}",
}
_ANSWERS = {
    "key": "answers are the keys of choices",
    "letter": "answers are the letters of choices",
    "text": "answers are the texts of choices",
    "place": "answers are numbers of choices, from 0",
    "number": "answers are numbers of choices, from 1",
}


def some(names: Sequence[str], most: int = 12) -> str:
    return listed([clean(name) or "(empty)" for name in names], most, mark="", longest=60)


def tail(reference: str) -> str:
    """A local path by its last part; `package://DIST/PATH` by the package."""
    if reference.startswith("package://"):
        return "/".join(reference.split("/")[:3])
    return reference if "://" in reference else reference.rstrip("/").rsplit("/", 1)[-1]
