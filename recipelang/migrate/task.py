"""What a recipe's model was trained for, where the file itself tells: never from what the file is called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from recipelang.migrate.document import NEWER, Document
from recipelang.migrate.form import Stage
from recipelang.migrate.names import DECODERS

#: scripts and commands of the trainers -> what they train
_SCRIPTS = (
    (r"\brun_qa(_no_trainer|_beam_search)?\.py|sparseml\.transformers\.question_answering", "question_answering"),
    (r"\brun_glue(_no_trainer)?\.py|sparseml\.transformers\.text_classification", "sequence_classification"),
    (r"\brun_ner(_no_trainer)?\.py|sparseml\.transformers\.token_classification", "token_classification"),
    (r"\brun_mlm(_no_trainer)?\.py|sparseml\.transformers\.masked_language_modeling", "masked_lm"),
    (r"\brun_clm(_no_trainer)?\.py", "causal_lm"),
    (r"\brun_(summarization|translation)(_no_trainer)?\.py", "text_to_text"),
    (r"\brun_swag(_no_trainer)?\.py", "multiple_choice"),
)
#: heads that one task has
_HEADS = ((r"(re:)?.*\bqa_outputs\b", "question_answering"), (r"(re:)?cls\.predictions\b", "masked_lm"))
#: a score and no class
_REGRESSION = ("stsb", "sts-b")


def told(document: Document, stages: Sequence[Stage], family: str | None, named: Sequence[str]) -> str | None:
    """One task, of outputs, of names of a head, of the training command; none where nothing or several are told."""
    if (document.dialect == NEWER and family in DECODERS) or any(_layer_by_layer(s) for s in stages):
        return "causal_lm"
    found = {"question_answering"} if any("start_logits" in d.on for s in stages for d in s.distills) else set()
    found |= {task for pattern, task in _HEADS if any(re.match(pattern, name) for name in named)}
    if not found:
        found = {task for pattern, task in _SCRIPTS if re.search(pattern, document.source.text)}
    if "sequence_classification" in found and document.command.peek("task_name").lower() in _REGRESSION:
        taught = document.command.peek("distill_teacher", "disable") != "disable" or any(s.distills for s in stages)
        return None if taught else "regression"  # a softmax over one number taught nothing: nobody meant that
    return found.pop() if len(found) == 1 else None


def _layer_by_layer(stage: Stage) -> bool:
    """What is only ever done to decoders."""
    return stage.mode == "one_shot" and any(p.declared.looks_at == "inputs" for p in stage.prunes)
