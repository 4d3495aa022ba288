"""Task models from plans: safetensors only, new heads from the run's seed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recipelang.engine.memory import is_out_of_memory
from recipelang.engine.seeds import stream
from recipelang.plan.types import ModelPlan
from recipelang.source import fail
from recipelang.tasks import task_of
from recipelang.tasks.encoding import load_reader


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own bars and notices: the screen is the reporter's."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_model(folder: Path, plan: ModelPlan, seed: int, redrawn: Sequence[str] = ()) -> nn.Module:
    """The task model of a folder, with the recipe's dropout; the `redrawn` of its parameters as in a new head."""
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder)
        for key, value in (
            (("hidden_dropout_prob", "dropout", "resid_pdrop"), plan.dropout),
            (("attention_probs_dropout_prob", "attention_dropout"), plan.attention_dropout),
        ):
            for name in key:
                if value is not None and hasattr(config, name):
                    setattr(config, name, value)
        config.return_dict, config.chunk_size_feed_forward = True, 0  # forms and parts of the same numbers
        if plan.task == "question_answering":
            config.num_labels = 2  # a start and an end, whatever the folder was trained for
        if plan.labels:
            config.id2label = dict(enumerate(plan.labels))
            config.label2id = {name: i for i, name in enumerate(plan.labels)}
            config.problem_type = "single_label_classification"  # one of them is right; else dtypes would decide
            if config.pad_token_id is None:  # a decoder finds the last word of a text by it
                config.pad_token_id = load_reader(folder).pad_id
        auto = getattr(transformers, task_of(plan.task).AUTO_MODEL)
        # a new head is expected, and the plan names it; drawing it leaves the run's own stream alone
        with quiet(), torch.random.fork_rng():
            torch.manual_seed(stream(seed, "head"))
            # a head of another shape is drawn anew: the plan says so, and any other tensor it has compared already
            model: nn.Module = auto.from_pretrained(
                folder, config=config, use_safetensors=True, dtype=torch.float32, ignore_mismatched_sizes=True
            )
            for name in redrawn:
                _draw(model.get_parameter(name), config)
            return model
    except Exception as error:  # a config may be wrong in any way, and the library checks it in as many
        if is_out_of_memory(error):
            raise
        why = textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise fail("E076", f"`{folder}` cannot be loaded", notes=[why]) from None


@torch.no_grad()
def _draw(weight: nn.Parameter, config: Any) -> None:
    """As the families' own new heads: normal with the config's deviation, biases 0."""
    if weight.dim() < 2:
        weight.zero_()
    else:
        weight.normal_(0.0, getattr(config, "initializer_range", 0.02))
