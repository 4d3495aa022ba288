"""`docs/models.md` from what `tests.model_runs` found: which model types work for which tasks, and what does not work, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.model_heads import TASKS, heads
from tests.model_types import DECODERS, ENCODERS, SEQ2SEQ, TYPES

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
GROUPS = {"Encoders": ENCODERS, "Encoder-decoders": SEQ2SEQ, "Decoders": DECODERS}
SHORT = {
    "causal_lm": "causal LM",
    "masked_lm": "masked LM",
    "sequence_classification": "sequence class.",
    "token_classification": "token class.",
    "question_answering": "question ans.",
    "multiple_choice": "multiple choice",
    "text_to_text": "text to text",
}
#: how far a row came
YES, PART, NO, OPEN = "yes", "part", "no", "open"
#: reasons that a message of the run does not give in words
REASONS = {
    "squeezebert": "its projections are grouped convolutions: three-dimensional weights, which `@linear` does not mean "
    "and no method prunes",
    "xlnet": "without the masks of its permutations every token reads those after it",
}
#: types that read more than tokens, and are no composites: their libraries' lists do not say so
_LAYOUT = ("bros", "layoutlmv2", "layoutlmv3", "lilt", "markuplm", "tapas", "lxmert", "perceiver")
OPENING = """# Which models work

Look up `model_type` of your model's `config.json` in the tables below. `recipelang plan` answers for your own folder, with a
reason where the answer is no:

```
recipelang plan my.recipe
```

Every entry was tried with a tiny model of the type with random weights (transformers {version}, on a CPU, in fp32; `make models`
repeats it). **yes** means that all of this worked:

1. The parameters that the plan lists have the names and shapes of the real model.
2. A training stage pruned every matrix of the layers to 50 %, with exact zeros.
3. `from_pretrained` of transformers loads the result, the zeros are there, and the tokenizer's file is unchanged.
4. One-shot pruning with `magnitude` worked.
5. For one task of each type, text to text or else the first: taken layer by layer, every matrix reads bit for bit what it reads in an ordinary forward
   pass, and one-shot pruning with `wanda` and `sparsegpt` worked.

**part** means that 1 to 3 worked; the numbered note says what did not. **no** means that one of these did not. A type that is not listed here has no head for these
tasks. `regression` uses the head of `sequence_classification`.

{totals}
"""


def state(found: dict[str, Any] | None, first: bool) -> str:
    """`first`: of the task that all checks are made for."""
    if found is None:
        return OPEN
    if "files" not in found["passed"]:
        return NO
    wanted = {"magnitude", "walk", "wanda", "sparsegpt"} if first else {"magnitude"}
    return YES if wanted <= set(found["passed"]) and not (first and found["unseen"]) else PART


def why(kind: str, found: dict[str, Any]) -> str:
    """In words, without places of the machine."""
    if kind in REASONS and found["why"]:
        return REASONS[kind]
    if found["unseen"]:
        names = ", ".join(f"`{n.removesuffix('.weight')}`" for n in found["unseen"])
        return f"no forward pass over text calls {names}: leave them out for `wanda` and `sparsegpt` (E055 names them)"
    if found["why"] and not found["passed"]:
        return f"nothing could be checked of the tiny model: {_short(found['why'])}"
    if found["why"]:
        return _short(found["why"])
    if not found["chained"]:
        return "its layers do not form one chain: `wanda` and `sparsegpt` are refused (E055), other methods work"
    return "not all checks were run"


def _short(text: str) -> str:
    text = re.sub(r"^RecipeError: error\[(E\d+)\]: (.*?) (--> .*|= (help|note): .*)?$", r"\2 (\1)", text)
    return text.replace("|", "\\|").replace("<", "&lt;")


def told(results: dict[tuple[str, str], dict[str, Any]], version: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Row -> how far it came, and why no further. Rows without a result are as the page has them, of the same release."""
    every, found = heads(), {}
    text = PAGE.read_text("utf-8")
    if f"(transformers {version}," in text:
        notes = dict(re.findall(r"^(\d+)\. (.*)$", text.partition("## Notes\n")[2], re.MULTILINE))
        for kind, tasks in cells().items():
            for task, cell in tasks.items():
                how, _, number = cell.partition(" [")
                if how in (YES, PART, NO):
                    found[kind, task] = how, notes.get(number.rstrip("]"), "")
    for (kind, task), result in results.items():
        how = state(result, task == every[kind][0])
        found[kind, task] = how, "" if how == YES else why(kind, result)
    return found


def page(results: dict[tuple[str, str], dict[str, Any]], version: str) -> str:
    every, known = heads(), told(results, version)
    notes: list[str] = []
    tables: list[str] = []
    sums = {YES: 0, PART: 0, NO: 0, OPEN: 0}
    for title, kinds in GROUPS.items():
        tasks = [t for t in TASKS if any(t in every.get(k, ()) for k in kinds)]
        lines = [f"## {title}", "", _row(["type", *(SHORT.get(t, t) for t in tasks)]), _row(["---"] * (len(tasks) + 1))]
        for kind in sorted(k for k in kinds if k in every):
            cells = []
            states = []
            for task in tasks:
                if task not in every[kind]:
                    cells.append("")
                    continue
                how, reason = known.get((kind, task), (OPEN, ""))
                states.append(how)
                note = f" [{_number(notes, reason)}]" if reason else ""
                cells.append({OPEN: "not tried"}.get(how, how) + note)
            sums[_of_type(states)] += 1
            lines.append(_row([f"`{kind}`", *cells]))
        tables.append("\n".join(lines))
    rows = [(kind, task) for kind, tasks in every.items() if kind in TYPES for task in tasks]
    tried = [r for r in rows if r in known]
    passed = [r for r in tried if known[r][0] == YES]
    totals = (
        f"**{sums[YES]} model types pass every check that was made, {sums[PART]} in part, {sums[NO]} do not work"
        f"{f', {sums[OPEN]} are not tried' if sums[OPEN] else ''}.** Of {len(rows)} pairs of type and task {len(tried)} were tried and "
        f"{len(passed)} pass."
    )
    others = [f"| `{kind}` | {reason} |" for kind, reason in sorted(_others(every).items())]
    text = [
        OPENING.format(version=version, totals=totals),
        "\n\n".join(tables),
        "## Notes\n\n" + "\n".join(f"{i}. {note}" for i, note in enumerate(notes, 1)),
        "## Types that were not tried\n\ntransformers has a head for one of these tasks for them too.\n\n| type | reason |\n| --- | --- |\n"
        + "\n".join(others),
    ]
    return "\n\n".join(part.strip("\n") for part in text) + "\n"


def cells() -> dict[str, dict[str, str]]:
    """Of the page as it is: type -> task -> what its table says."""
    found: dict[str, dict[str, str]] = {}
    tasks: list[str] = []
    names = {SHORT.get(task, task): task for task in TASKS}
    for line in PAGE.read_text("utf-8").partition("## Notes")[0].splitlines():
        first, *others = [cell.strip() for cell in line.strip("|").split("|")]
        if first == "type":
            tasks = [names[cell] for cell in others]
        elif tasks and first.startswith("`") and len(others) == len(tasks):
            found[first.strip("`")] = {t: cell for t, cell in zip(tasks, others, strict=True) if cell}
    return found


def _of_type(states: Sequence[str]) -> str:
    """Of the tasks that were tried."""
    tried = {s for s in states if s != OPEN}
    if not tried:
        return OPEN
    if tried == {YES}:
        return YES
    return NO if tried == {NO} else PART


def _number(notes: list[str], note: str) -> int:
    if note not in notes:
        notes.append(note)
    return notes.index(note) + 1


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _others(every: dict[str, list[str]]) -> dict[str, str]:
    from transformers.models.auto import modeling_auto as auto

    senses = (
        auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
        auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
        auto.MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES,
    )
    found = {}
    for kind in every:
        if kind in TYPES:
            continue
        if kind == "encoder-decoder":
            found[kind] = "made of two models of other types"
        elif kind in _LAYOUT or any(kind in names for names in senses) or _senses(kind):
            found[kind] = "not a text model: it reads images, sound or the layout of a page too"
        else:
            found[kind] = "a text model for which `tests/model_types.py` has no tiny config yet"
    return found


def _senses(kind: str) -> bool:
    import transformers

    return _reads_more(transformers.CONFIG_MAPPING[kind])


def _reads_more(config: Any) -> bool:
    """Whether a part of a model is for something else than text; an encoder and a decoder of texts are not."""
    parts = getattr(config, "sub_configs", {})
    words = ("vision", "audio", "speech", "image", "vq") + (() if "decoder" in parts else ("encoder",))
    return any(word in name or _reads_more(part) for name, part in parts.items() for word in words)


def write() -> None:
    import transformers

    from tests.model_runs import result

    every = heads()
    results = {
        (k, t): found for k, tasks in every.items() if k in TYPES for t in tasks if (found := result(k, t)) is not None
    }
    PAGE.write_text(page(results, transformers.__version__), "utf-8")
    print(f"wrote {PAGE.name}, {len(results)} rows of it from what was run")


if __name__ == "__main__":
    write()
