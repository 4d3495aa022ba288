"""One-shot pruning of a fine-tuned encoder, no training after: oBERT against magnitude, and its recomputations.

Takes the output folder of a run with a stage of dense fine-tuning (`recipes/quickstart.recipe`),
the model of that stage, the run's training set for gradients and its first evaluation for F1.

    python benchmarks/obert_behaviour.py RUN --stage dense [--gradients 256] [--sparsities 70 80 90]
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from recipelang.engine.evaluate import evaluate
from recipelang.engine.gradients import gradients
from recipelang.engine.models import load_model
from recipelang.modifiers.modifier import State
from recipelang.modifiers.prune import pruner
from recipelang.planning.data import load_examples
from recipelang.planning.prune_plan import PruneEvent, PrunePlan
from recipelang.planning.types import Plan
from recipelang.pruning.masks import Masks
from recipelang.tasks import question_answering as task

METHODS = {"magnitude": ("magnitude", 1), "obert": ("obert", 1), "obert, 4 rounds": ("obert", 4)}


class Bench:
    def __init__(self, folder: Path, stage: str, options: argparse.Namespace) -> None:
        self.plan = Plan.model_validate_json((folder / "recipe" / "plan.json").read_text("utf-8"))
        self.dense = folder / "stages" / stage
        self.options = options
        self.evaluation = self.plan.evaluations[0]
        tokenizer = task.load_tokenizer(Path(self.plan.model.path))
        data = next(d for d in self.plan.data if d.label == self.evaluation.data)
        self.sets = {}
        for name in ("train", self.evaluation.split):
            examples = load_examples(data, name)
            self.sets[name] = examples, task.featurize(examples, tokenizer, data.max_length, data.stride)

    def pruned(self, method: str, rounds: int, sparsity: float) -> float:
        """F1 after one event on all matrices that the run's own `prune` blocks name."""
        model = load_model(self.dense, self.plan.model, self.plan.seed)
        state = State(model, torch.optim.SGD(model.parameters()), Masks(), steps=1)
        state.gradients = lambda batches, size, dense=False: gradients(
            state, self.sets["train"][1], batches, size, size, self.plan.seed, nullcontext, dense=dense
        )
        targets = next(s.prunes[0].targets for s in self.plan.stages if s.prunes)
        zeros = round(sparsity * sum(t.size for t in targets))
        args = {
            "gradients": self.options.gradients,
            "batch": self.options.batch,
            "damp": self.options.damp,
            "recomputations": rounds,
        }
        event = PruneEvent(step=0, sparsity=sparsity, zeros=(zeros,))
        plan = PrunePlan(name="p", method=method, args=args, scope="global", targets=targets, events=(event,))
        pruner(plan, 0).on_step_start(state)
        assert state.masks.holds() and sum(int((~m).sum()) for _, _, m in state.masks) == zeros
        return self.f1(model)

    def f1(self, model: torch.nn.Module) -> float:
        examples, features = self.sets[self.evaluation.split]
        return evaluate(model, task.TASK, self.evaluation, examples, features, torch.device("cpu"), nullcontext)["f1"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--stage", default="dense")
    parser.add_argument("--gradients", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--damp", type=float, default=1e-7)
    parser.add_argument("--sparsities", type=int, nargs="+", default=[50, 70, 80, 90])
    options = parser.parse_args()
    bench = Bench(options.run, options.stage, options)
    dense = bench.f1(load_model(bench.dense, bench.plan.model, bench.plan.seed))
    print(f"dense F1 {100 * dense:.2f}; {options.gradients} gradients of {options.batch}, damping {options.damp}")
    for sparsity in options.sparsities:
        for label, (method, rounds) in METHODS.items():
            start = time.perf_counter()
            f1 = bench.pruned(method, rounds, sparsity / 100)
            print(f"{sparsity} %  {label:16} F1 {100 * f1:6.2f}  {time.perf_counter() - start:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
