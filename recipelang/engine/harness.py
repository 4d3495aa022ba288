"""Tasks of lm-eval, measured with a model in memory: offline, from what `planning.task_file` lets through."""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recipelang import processes
from recipelang.planning.harness import unchanged
from recipelang.planning.harness_plan import HarnessPlan
from recipelang.planning.task_file import read_task
from recipelang.source import fail
from recipelang.spec.harness import HARNESS
from recipelang.tasks.causal_lm import load_tokenizer

#: of a task, what lm-eval calls its only filter
_FILTER = "none"


def measure_harness(
    model: nn.Module,
    folder: Path,
    plan: HarnessPlan,
    seed: int,
    autocast: Callable[[], AbstractContextManager[None]],
    told: Callable[[int, int], object] = lambda done, of: None,
) -> dict[str, float]:
    """`harness.arc_easy.acc` and the like. `folder`: of the tokenizer. `told`: of requests done, and all; it may raise to
    end the measurement. One process measures, and tells the others. E219 for files that have changed, E082 for no number."""
    found: dict[str, float] = {}
    if processes.main():
        found = _measured(model, folder, plan, seed, autocast, told)
    found = processes.first(found)
    if bad := next((name for name, value in found.items() if math.isnan(value)), None):
        raise fail("E082", f"`{bad}` is NaN", help="check the weights and the task's data")
    return found


def _measured(
    model: nn.Module,
    folder: Path,
    plan: HarnessPlan,
    seed: int,
    autocast: Callable[[], AbstractContextManager[None]],
    told: Callable[[int, int], object],
) -> dict[str, float]:
    unchanged(plan)
    form = read_task(Path(plan.file))
    form |= {} if plan.few_shot is None else {"num_fewshot": plan.few_shot}
    training, random_state = model.training, torch.get_rng_state()
    model.eval()
    try:
        with _quiet(), torch.no_grad(), autocast():
            results = _evaluated(model, folder, form, plan, seed, told)
    finally:
        model.train(training)
        torch.set_rng_state(random_state)
    return {f"{HARNESS}.{plan.name}.{m}": float(results[f"{m},{_FILTER}"]) for m in plan.metrics}


def _evaluated(
    model: nn.Module,
    folder: Path,
    form: dict[str, Any],
    plan: HarnessPlan,
    seed: int,
    told: Callable[[int, int], object],
) -> dict[str, Any]:
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import evaluator, utils
    from lm_eval.api import task as tasks
    from lm_eval.models.huggingface import HFLM

    class Told(HFLM):  # type: ignore[misc]
        """As lm-eval's, and who waits is told after every batch."""

        of = done = 0

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> Any:
            self.of += len(requests)
            return super().loglikelihood(requests, disable_tqdm=True)

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> Any:
            self.of += len(requests)
            return super().loglikelihood_rolling(requests, disable_tqdm=True)

        def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> Any:
            self.of += len(requests)
            return super().generate_until(requests, disable_tqdm=True)

        def _model_call(self, inps: torch.Tensor, *rest: Any, **more: Any) -> Any:
            told(min(self.done, self.of), self.of)
            self.done += len(inps)
            return super()._model_call(inps, *rest, **more)

        def _model_generate(self, context: torch.Tensor, *rest: Any, **more: Any) -> Any:
            told(min(self.done, self.of), self.of)
            self.done += len(context)
            return super()._model_generate(context, *rest, **more)

    before, sandbox = (
        utils.env,
        ImmutableSandboxedEnvironment(undefined=utils.env.undefined, keep_trailing_newline=True),
    )
    bars = tasks.tqdm
    utils.env, tasks.tqdm = sandbox, functools.partial(bars, disable=True)
    try:
        task = tasks.ConfigurableTask(config=form)
        task.set_fewshot_seed(seed=seed)
        lm = Told(pretrained=model, tokenizer=_tokenizer(folder), batch_size=plan.batch, backend="causal")
        results = evaluator.evaluate(
            lm, {"tasks": {plan.task: task}, "groups": {}}, limit=plan.samples, bootstrap_iters=0, log_samples=False
        )
    finally:
        utils.env, tasks.tqdm = before, bars
    told(lm.of, lm.of)
    return dict(results["results"][plan.task])


def _tokenizer(folder: Path) -> Any:
    """As transformers has it, from the files that every other part of a run reads."""
    from transformers import PreTrainedTokenizerFast

    read = load_tokenizer(folder)
    end = None if read.end is None else read.tokenizer.id_to_token(read.end)
    return PreTrainedTokenizerFast(tokenizer_object=read.tokenizer, eos_token=end, pad_token=end)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars, no words and no network of lm-eval and of what it loads data with."""
    import datasets

    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE")
    kept = {n: os.environ.get(n) for n in names}
    level = logging.root.manager.disable
    bars = datasets.are_progress_bars_disabled()
    os.environ |= dict.fromkeys(names, "1")
    logging.disable(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.disable(level)
        if not bars:
            datasets.enable_progress_bars()
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
