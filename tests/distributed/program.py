"""What `torchrun` starts several times for the tests: scenarios by name, each a function that asserts.

One start for all of them: importing torch takes longer than what is tested. The main process writes
`results.json` into the folder, a scenario's name -> "ok", or what went wrong in which process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import shutil
import sys
import traceback
from collections.abc import Callable
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import nn

import recipelang
from recipelang import processes
from recipelang.engine import evaluate as evaluation_module, stages
from recipelang.engine.course import Course
from recipelang.engine.evaluate import evaluate
from recipelang.engine.export import save_model
from recipelang.engine.files import only_one
from recipelang.engine.models import load_model
from recipelang.engine.records import Interrupted, Reporter
from recipelang.engine.run import execute
from recipelang.engine.slices import sharded_model
from recipelang.engine.start import fill_folder, may_start
from recipelang.loading.plan import planned
from recipelang.methods import METHODS
from recipelang.modifiers.modifier import Modifier, State
from recipelang.planning.data import load_split
from recipelang.pruning import patterns, selection
from recipelang.pruning.shards import is_shard, local, of_weight, shard, whole
from recipelang.source import Diagnostics, RecipeError
from recipelang.spec.claims import judge
from recipelang.spec.effective import effective
from recipelang.tasks import task_of
from tests.conftest import RECIPE as TINY
from tests.contract import shrinks
from tests.contract.table import Combination, combinations, usual
from tests.contract.test_contract import RAMP, RECIPE as CONTRACT, recipe, refused
from tests.model_configs import walk_here
from tests.model_table import tokenizer
from tests.model_types import config_of
from tests.other_tasks import TASKS, make_task
from tests.train.steps import StopAt, also_acting
from tests.train.test_attach import Net, net_recipe

#: every method that trains
TRAINED = list(dict.fromkeys(it.method for it in combinations()))
#: what two processes write -> method, pattern, scope. Copies have the same weights, so that the scope makes no difference
COPIES = {f"copies-{m}": (m, "unstructured", usual(m)) for m in TRAINED}
#: over all shards of all tensors, and where shards end
_CUT = (("unstructured", "global"), ("block(2, 4)", "uniform"))
SHARDS = {f"shards-{m}": (m, *how) for m, how in zip([m for m in TRAINED if METHODS[m].shards], cycle(_CUT))}
CUT_BY_ONE = COPIES["copies-movement"]


def run(path: Path, out: Path, reporter: Reporter | None = None, *, resume: bool = False, shards: bool = False) -> None:
    checked, plan, _ = planned(str(path))
    may_start(plan, shards)
    if processes.main() and not resume:
        with only_one(out):
            fill_folder(out, plan, effective(checked), overwrite=False)
    processes.wait()
    execute(plan, out, reporter or Reporter(), lambda m: judge(checked, m), resume=resume, shard=shards)


def first_of(recipe: Path) -> Any:
    """The model that it begins with, as `load_model` takes it."""
    _, plan, _ = planned(str(recipe))
    keep = None if plan.model.drop is None else plan.model.drop.kept
    return Path(plan.model.path), plan.model, plan.seed, plan.model.redrawn, keep


def contract(folder: Path, *what: str) -> Path:
    """The recipe of the contract for a method, a pattern and a scope, written once."""
    processes.wait()
    if processes.main():
        recipe(folder, Combination(*what))
    processes.wait()
    return folder / "contract.recipe"


def _of_type(folder: Path, kind: str, stage: str = "", dtype: str = "fp32", **changes: object) -> None:
    """A recipe that prunes a small random decoder, which lies in several files."""
    folder.mkdir()
    torch.manual_seed(0)
    made = config_of(kind)
    for name, value in changes.items():
        setattr(made, name, value)
    net = transformers.AutoModelForCausalLM.from_config(made)
    net.save_pretrained(folder / "model", max_shard_size="40KB")
    assert len(list((folder / "model").glob("*.safetensors"))) > 1
    tokenizer(folder / "model", made.vocab_size, False)
    (folder / "a.recipe").write_text(READS % (dtype, stage), "utf-8")


def _bert(folder: Path) -> None:
    folder.mkdir()
    for name in ("model", "train.json", "dev.json"):
        (folder / name).symlink_to(folder.parent / name)
    (folder / "a.recipe").write_text(TINY.format(length="1 epoch", extra=""), "utf-8")


READS = """recipe 1 "reads"
model { base = "model", task = causal_lm, dtype = %s }
stage cut {
  mode = one_shot
  %s
  prune weights { targets = @linear & @decoder, method = magnitude, sparsity = 50%% }
}
"""
#: a kind of model -> what writes it
READ: dict[str, Callable[[Path], None]] = {
    "read-bert": _bert,
    "read-tied": lambda it: _of_type(it, "llama", tie_word_embeddings=True),
    "read-bf16": lambda it: _of_type(it, "llama", dtype="bf16"),
    "read-gpt2": lambda it: _of_type(it, "gpt2"),
    "read-experts": lambda it: _of_type(it, "qwen2_moe"),
    "read-fewer": lambda it: _of_type(it, "llama", "drop layers { keep = [1] }"),
}


# ---------------------------------------------------------------------- scenarios
def the_smallest_of_shards_are_those_of_the_whole(folder: Path) -> None:
    """Counts and ties exactly, for sets that are all candidates and for those that are bracketed."""
    generator = torch.Generator().manual_seed(processes.first(0))
    for trial in range(12):
        shapes = [(7, 5), (1, 9), (160, 130)] if trial % 2 else [(7, 5), (64, 3)]
        levels = [2, 5, 1000, 10**6][trial % 4]  # few: nearly all scores are equal
        scores = [torch.randint(levels, s, generator=generator).float() for s in shapes]
        live = [torch.rand(s, generator=generator) > 0.3 for s in shapes]
        total, dead = sum(m.numel() for m in live), sum(int((~m).sum()) for m in live)
        mine = [Placed(s) for s in scores]
        for zeros in {0, dead // 2, dead, dead + 1, (dead + total) // 2, total - 1, total}:
            whole_masks = [k.clone() for k in live]
            expected = selection.smallest([s.reshape(-1).clone for s in scores], zeros, whole_masks, seed=trial)
            found = selection.smallest(
                [m.cut(s).reshape(-1).clone for m, s in zip(mine, scores, strict=True)],
                zeros,
                [m.cut(k).clone() for m, k in zip(mine, live, strict=True)],
                seed=trial,
                shards=True,
            )
            for m, e, f in zip(mine, expected, found, strict=True):
                assert torch.equal(m.cut(e), f), (trial, zeros)


class Placed:
    """Rows of a plain tensor that would lie here."""

    def __init__(self, tensor: torch.Tensor) -> None:
        each = -(-len(tensor) // processes.world())
        first = min(processes.rank() * each, len(tensor))
        self.rows = slice(first, min(first + each, len(tensor)))

    def cut(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor[self.rows]


def patterns_of_shards_are_those_of_the_whole(folder: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    scores = [torch.rand(s, generator=generator) for s in [(8, 12), (16, 4)]]
    live = [torch.ones_like(s, dtype=torch.bool) for s in scores]
    mine = [Placed(s) for s in scores]
    for pattern, size, scope, zeros in (
        ("N:M", (2, 4), "uniform", [48, 32]),
        ("block", (2, 4), "global", [80]),
        ("block", (2, 4), "uniform", [48, 32]),
        ("unstructured", (0, 0), "row", [40, 32]),
        ("unstructured", (0, 0), "uniform", [41, 33]),
    ):
        whole_masks = [k.clone() for k in live]
        expected = patterns.choose(pattern, size, scope, [s.reshape(-1).clone for s in scores], zeros, whole_masks)
        found = patterns.choose(
            pattern,
            size,
            scope,
            [m.cut(s).reshape(-1).clone for m, s in zip(mine, scores, strict=True)],
            zeros,
            [m.cut(k).clone() for m, k in zip(mine, live, strict=True)],
            heights=[len(s) for s in scores],
        )
        assert all(torch.equal(m.cut(e), f) for m, e, f in zip(mine, expected, found, strict=True)), (pattern, scope)


def every_method_on_copies(folder: Path) -> None:
    for name, what in COPIES.items():
        run(contract(folder, *what), folder / name)


def every_method_that_can_on_shards(folder: Path) -> None:
    for name, what in SHARDS.items():
        run(contract(folder, *what), folder / name, shards=True)


def resumed_on_as_many_is_uninterrupted(folder: Path) -> None:
    """With dropout, so the random streams of every process count; cut by a signal to one of them only."""
    path = folder / "dropout.recipe"
    text = CONTRACT.replace(", dropout = 0%, attention_dropout = 0%", "")
    more = {"method": "movement(scope = global)", "pattern": "unstructured"}
    if processes.main():
        path.write_text(text.format(sparsity="linear(0% -> 60%, over = 1 step .. 7 steps, every = 2 steps)", **more))
    processes.wait()
    run(path, folder / "whole")
    for name, shards in (("cut", False), ("cut-shards", True)):
        with contextlib.suppress(Interrupted):
            run(path, folder / name, StopAt(5) if processes.main() else None, shards=shards)
            raise AssertionError("nobody stopped")
    run(path, folder / "cut", resume=True)
    newest = sorted((folder / "cut-shards" / "checkpoints").glob("stage-*"))[-1]
    assert sorted(p.name for p in newest.iterdir()) == PARTS
    here = f"{processes.rank() + 1}-of-2"
    held = sum(t.numel() for t in load_file(newest / f"model-{here}.safetensors").values())
    (all_of_it,) = {sum(p.numel() for p in load_model(*first_of(path)).parameters())}
    assert held < 0.6 * all_of_it
    assert "random/torch" + "/1" * processes.rank() in load_file(newest / f"state-{here}.safetensors")
    for name in ("as-shards", "damaged"):
        if processes.main():
            shutil.copytree(folder / "cut-shards", folder / name)
    processes.wait()
    run(path, folder / "cut-shards", resume=True)  # shards are copies now
    run(path, folder / "whole-shards", shards=True)
    run(path, folder / "as-shards", resume=True, shards=True)
    if processes.main():  # a part that only the other one reads
        (damaged,) = (folder / "damaged" / "checkpoints").glob(f"{newest.name}/model-2-of-2.safetensors")
        damaged.write_bytes(damaged.read_bytes()[:-4] + b"\1\2\3\4")
    processes.wait()
    told = Messages()
    run(path, folder / "damaged", told, resume=True, shards=True)
    assert "model-2-of-2.safetensors is missing or has changed" in told.messages[0], told.messages


PARTS = sorted(
    ["manifest.json", "state.json", *(f"{k}-{n}-of-2.safetensors" for k in ("model", "state") for n in (1, 2))]
)


class Messages(Reporter):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


class OverflowsHere(Modifier):
    """At one step the loss of this process is infinite, where it is the last one."""

    def on_loss(self, state: State) -> None:
        if state.step == 2 and processes.rank() == processes.world() - 1:
            assert state.loss is not None
            state.loss = state.loss * math.inf


def an_overflow_in_one_process_skips_the_step_of_all(folder: Path) -> None:
    """In fp16, as copies and in shards, cut and resumed."""
    path = folder / "half.recipe"
    if processes.main():
        text = CONTRACT.format(method="movement", pattern="unstructured", sparsity=RAMP)
        path.write_text(text.replace("batch = 8", "batch = 8, precision = fp16"), "utf-8")
    processes.wait()
    with pytest.MonkeyPatch.context() as here:
        also_acting(here, lambda stage: OverflowsHere())
        for name, shards in (("half-copies", False), ("half-shards", True)):
            told = Messages()
            run(path, folder / name, told, shards=shards)
            processes.wait()  # the first one writes the record and the weights
            skipped = {"sparse": {"skipped": 1, "scale": 32768.0}}
            assert json.loads((folder / name / "run.json").read_text())["fp16"] == skipped
            assert len([m for m in told.messages if "step 2" in m]) == processes.main(), told.messages
        with contextlib.suppress(Interrupted):
            run(path, folder / "half-cut", StopAt(4) if processes.main() else None, shards=True)
            raise AssertionError("nobody stopped")
        run(path, folder / "half-cut", resume=True, shards=True)
    processes.wait()
    copies, shards, cut = (load_file(folder / f"half-{n}" / "model.safetensors") for n in ("copies", "shards", "cut"))
    assert all(w.isfinite().all() for w in (*copies.values(), *shards.values()))
    assert all(torch.equal(w, cut[n]) for n, w in shards.items())
    zeros = [{n: int((w == 0).sum()) for n, w in found.items()} for found in (copies, shards)]
    assert sum(zeros[0].values()) == sum(zeros[1].values()) > 0


def rounds_leave_the_same_model_everywhere(folder: Path) -> None:
    """The units and layers that stay are those that the first process chose; optimizers go on alike."""
    path, kept = folder / "rounds.recipe", []
    if processes.main():
        text = CONTRACT.format(method="movement", pattern="unstructured", sparsity=RAMP)
        shrink = "  shrink body { axes = [ffn -> 25%, layers -> 1], rounds = 2, every = 2 steps }\n}\n"
        path.write_text(text.partition("  prune ")[0] + shrink, "utf-8")
    processes.wait()
    with pytest.MonkeyPatch.context() as here:
        cut = stages.cut_optimizer
        here.setattr(stages, "cut_optimizer", lambda *given: (cut(*given), kept.append(given)))
        run(path, folder / "rounds")
    (_, first, _, _), (optimizer, last, _, small) = kept
    units = [{key: stays.tolist() for key, stays in choice.units.items()} for choice in (first, last)]
    sums = [float(p.detach().double().sum()) for p in small.parameters()]
    each = processes.each((units, first.layers, last.layers, sums))
    assert each[0] == each[1]
    assert {p for g in optimizer.param_groups for p in g["params"]} == {*small.parameters()}


def a_teacher_lies_in_shards_too(folder: Path) -> None:
    """Asked for every batch, and once for all items, of which one process has one more and so one pass more."""
    taught, found = folder / "taught.recipe", []
    head, _, body = CONTRACT.format(method="magnitude", pattern="unstructured", sparsity=RAMP).partition(
        "stage sparse {\n"
    )
    head = head.replace("samples = 24", "samples = 25") + body.partition("  prune ")[0].join(["stage dense {\n", "}\n"])
    teach = "  distill { teacher = stage.dense, hardness = 80%%, temperature = 2%s }\n"
    load = Course.in_shards
    with pytest.MonkeyPatch.context() as here:
        here.setattr(Course, "in_shards", lambda run, *given: found.append((given, load(run, *given))) or found[-1][1])
        for name, more in (("running", ", on = [logits, hidden(0..1)]"), ("kept", ", cache = fp32")):
            if processes.main():
                taught.write_text(head + "stage sparse {\n" + teach % more + body, "utf-8")
            processes.wait()
            run(taught, folder / f"taught-{name}")
            assert not found, "nobody asked for shards"
            run(taught, folder / f"taught-{name}-shards", shards=True)
            (_, student), (given, teacher) = found
            assert given[0].name == "dense" and all(is_shard(p) for p in (*student.parameters(), *teacher.parameters()))
            held = sum(local(p).numel() for p in teacher.parameters())
            whole_one = load_model(*given).eval()
            assert held < 0.6 * sum(p.numel() for p in whole_one.parameters())
            batch = {"input_ids": torch.arange(24).view(2, 12) % 9}
            with torch.no_grad():
                assert torch.equal(whole_one(**batch).start_logits, teacher.eval()(**batch).start_logits)
            found.clear()
    zeros = [sum(int((w == 0).sum()) for w in load_file(p / "model.safetensors").values()) for p in _taught(folder)]
    assert len(zeros) == 4 and len({*zeros}) == 1 and zeros[0] > 0, zeros


def _taught(folder: Path) -> list[Path]:
    processes.wait()
    return sorted(p for p in folder.glob("taught-*") if p.is_dir())


def resumed_on_more(folder: Path) -> None:
    """`cut-by-one` was written by a single process."""
    told: list[str] = []

    class Listen(Reporter):
        def found(self, findings: Diagnostics) -> None:
            told.extend(note for d in findings for note in d.notes)

    run(contract(folder, *CUT_BY_ONE), folder / "cut-by-one", Listen(), resume=True)
    assert "processes: 1 before, 2 now" in told, told
    with contextlib.suppress(Interrupted):  # for one process to go on from
        run(folder / "contract.recipe", folder / "cut-by-two", StopAt(5) if processes.main() else None)


def shards_read_by_rows_are_those_of_the_whole_model(folder: Path) -> None:
    """Tied, of two bytes, in several files, with a new head, without layers, and of experts that files hold one by one."""
    with pytest.MonkeyPatch.context() as here:
        walk_here(here)
        for name, write in READ.items():
            if processes.main():
                write(folder / name)
            processes.wait()
            _, plan, _ = planned(str(folder / name / "a.recipe"))
            given = first_of(folder / name / "a.recipe")
            expected = load_model(*given)
            found = sharded_model(*given, torch.device("cpu"))
            assert [n for n, _ in found.named_parameters()] == [n for n, _ in expected.named_parameters()], name
            for (n, a), b in zip(expected.named_parameters(), found.parameters(), strict=True):
                assert is_shard(b) and a.dtype == b.dtype and a.requires_grad == b.requires_grad, (name, n)
                assert local(b).numel() <= -(-len(a) // 2) * a[0].numel()
                assert torch.equal(a, whole(b)), (name, n)
            for (n, a), b in zip(expected.named_buffers(), found.buffers(), strict=True):
                assert a.dtype == b.dtype and torch.equal(a, b), (name, n)
            assert expected.training == found.training
            kept = {k: getattr(m, "generation_config", None) for k, m in (("a", expected), ("b", found))}
            assert str(kept["a"]) == str(kept["b"])
            for model, out in ((expected, "a"), (found, "b")):
                more = {"max_shard": 40_000, "metadata": {"recipe.run": "x"}, "task": plan.model.task}
                save_model(model, folder / name / out, Path(plan.model.path), **more)
            processes.wait()
            written = [{p.name: p.read_bytes() for p in (folder / name / out).iterdir()} for out in ("a", "b")]
            for each in written if name == "read-experts" else ():  # the library counts cut views as it finds them
                del each["model.safetensors.index.json"]
            assert written[0] == written[1] and len(written[0]) > 2, name


def every_task_is_measured_as_by_one_process(folder: Path) -> None:
    """Of random models, bit for bit; the other process would count on its own what it did not compute."""
    for task in (*TASKS, "question_answering"):
        here = folder / task
        if processes.main():
            here.mkdir()
            if task in TASKS:
                make_task(here, task)
            else:
                (folder / "tiny.recipe").write_text(TINY.format(length="1 epoch", extra=""), "utf-8")
        processes.wait()
        path = here / "task.recipe" if task in TASKS else folder / "tiny.recipe"
        _, plan, _ = planned(str(path))
        (evaluation,), (data,) = plan.evaluations, plan.data
        evaluation = evaluation.model_copy(update={"batch": 4})  # so that every process has several
        model = load_model(Path(plan.model.path), plan.model, 1)
        examples, features = load_split(data, "validation", Path(plan.model.path))
        given = (task_of(task), evaluation, examples, features, torch.device("cpu"), contextlib.nullcontext)
        with pytest.MonkeyPatch.context() as alone:
            found = evaluate(model, *given)
            alone.setattr(evaluation_module.processes, "dealt", list)
            alone.setattr(evaluation_module.processes, "most", lambda *values: [int(v) for v in values])
            alone.setattr(evaluation_module.processes, "largest", lambda tensors: None)
            expected = evaluate(model, *given)
        assert found == expected, (task, found, expected)
        assert processes.each(found) == [found] * processes.world()


def what_is_not_there_is_refused_everywhere(folder: Path) -> None:
    cannot = [m for m in TRAINED if not METHODS[m].shards]
    for method, pattern, message in (
        *((m, "unstructured", f"`{m}` on sharded weights") for m in cannot),
        ("magnitude", "block(32, 1)", "spans two shards"),
    ):
        path = contract(folder, method, pattern, usual(method))
        try:
            run(path, folder / f"refused-{method}", shards=True)
        except RecipeError as error:
            (found,) = error.diagnostics
            assert found.code == "E055" and message in found.message, error
        else:
            raise AssertionError(message)


def a_loop_of_ones_own_with_shards(folder: Path) -> None:
    """`fully_shard` by the user; the same steps on one whole model give the same weights, up to rounding."""
    for method in ("magnitude", "movement"):
        torch.manual_seed(0)
        whole_net, net = Net(), Net()
        net.load_state_dict(whole_net.state_dict())
        shard(net, torch.device("cpu"))
        assert all(is_shard(p) for p in net.parameters())
        pairs = []
        for model in (whole_net, net):
            optimizer = torch.optim.AdamW(model.parameters())
            text = net_recipe(method=method, sparsity="cubic(0% -> 75%, over = start..end, every = 2 steps)")
            pairs.append((model, optimizer, recipelang.attach(text, model, optimizer, steps_per_epoch=4)))
        for step in range(4):
            x = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
            for model, optimizer, pruning in pairs:
                mine = processes.mine(8) if model is net else slice(None)
                pruning.step_start()
                pruning.loss(model(x[mine]).square().sum() / 24).backward()
                pruning.gradients()
                optimizer.step()
                optimizer.zero_grad()
                with torch.no_grad():
                    model(x)  # leaves whole weights behind, and nobody minds
                pruning.step_end()
        for _, _, pruning in pairs:
            pruning.end()
        assert pairs[0][2].report() == pairs[1][2].report()
        state = pairs[1][2].state_dict()
        assert state["masks"]["inner.weight"].shape == (16, 6)
        assert pairs[1][2].masks.get("inner.weight").shape == (8, 6), "a mask is as large as what is here"
        for a, b in zip(whole_net.parameters(), net.parameters(), strict=True):
            assert torch.allclose(a, whole(b), atol=1e-6), method
            assert torch.equal(local(b) == 0, of_weight(a == 0, b)), method
        pairs[1][2].load_state_dict(state)


def a_loop_of_ones_own_shares_gradients_of_samples(folder: Path) -> None:
    net = Net()
    wrapped = nn.parallel.DistributedDataParallel(net)
    data = [{"x": torch.randn(4, 6), "labels": torch.randint(3, (4,))} for _ in range(4)]
    data = processes.first(data)
    own = data[processes.mine(4)]

    def loss(model, batch):
        return nn.functional.cross_entropy(model(batch["x"]), batch["labels"])

    expected = sum(torch.autograd.grad(loss(net, b), net.inner.weight)[0] for b in data)
    effect = (net.inner.weight * expected).abs().flatten()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    text = net_recipe(method="snip(batches = 4)", sparsity="50%")
    pruning = recipelang.attach(text, wrapped, optimizer, steps_per_epoch=4, batches=own, task_loss=loss)
    pruning.step_start()
    kept = (net.inner.weight.detach() != 0).flatten()
    assert effect[kept].min() >= effect[~kept].max() and int(kept.sum()) == 48
    # torch's reducer would be the last to hold the group: it ends it with Python's lock, for which the group's threads wait
    del wrapped, pruning
    gc.collect()


def the_whole_contract(folder: Path) -> None:
    """`tests.distributed.whole_contract` asks for it, and says of which combinations."""
    for it in (Combination(*names) for names in json.loads((folder / "chosen.json").read_text())):
        path = contract(folder, it.method, it.pattern, it.scope)
        if refused(path):
            continue
        for shards in (False, True):
            try:
                run(path, folder / f"{'shards' if shards else 'copies'} {it}", shards=shards)
            except RecipeError as error:
                assert shards and error.diagnostics[0].code == "E055", error


def the_whole_contract_of_shrink(folder: Path) -> None:
    """As above, of rows; `units.json` says which units stay."""
    units: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as here:
        walk_here(here)
        for names, how in product(json.loads((folder / "rows.json").read_text()), shrinks.HOW):
            row = shrinks.Row(*names)
            path = folder / f"{row} {how} whole.recipe"
            if processes.main():
                shrinks.recipe(folder, row, how)
            processes.wait()
            with shrinks.watched(units.setdefault(f"{row} {how}", [])):
                run(path, folder / f"copies {row} {how}")
    assert len({json.dumps(one) for one in processes.each(json.loads(json.dumps(units)))}) == 1
    if processes.main():
        (folder / "units.json").write_text(json.dumps(units))


def shards_are_not_shrunk(folder: Path) -> None:
    path = folder / "shrunk.recipe"
    if processes.main():
        text = CONTRACT.format(method="movement", pattern="unstructured", sparsity=RAMP)
        path.write_text(
            text.partition("  prune ")[0] + "  shrink body { axes = [ffn -> 50%], rounds = 2 }\n}\n", "utf-8"
        )
    processes.wait()
    try:
        run(path, folder / "shrunk", shards=True)
    except RecipeError as error:
        (found,) = error.diagnostics
        assert found.code == "E055" and "does not shrink a sharded model" in found.message, error
    else:
        raise AssertionError("a sharded model was shrunk")


ON_DEMAND = {f.__name__: f for f in (the_whole_contract, the_whole_contract_of_shrink)}
SCENARIOS = {
    f.__name__: f
    for f in (
        the_smallest_of_shards_are_those_of_the_whole,
        patterns_of_shards_are_those_of_the_whole,
        every_method_on_copies,
        every_method_that_can_on_shards,
        resumed_on_as_many_is_uninterrupted,
        an_overflow_in_one_process_skips_the_step_of_all,
        rounds_leave_the_same_model_everywhere,
        a_teacher_lies_in_shards_too,
        resumed_on_more,
        shards_read_by_rows_are_those_of_the_whole_model,
        every_task_is_measured_as_by_one_process,
        what_is_not_there_is_refused_everywhere,
        shards_are_not_shrunk,
        a_loop_of_ones_own_with_shards,
        a_loop_of_ones_own_shares_gradients_of_samples,
    )
}


def main(folder: Path, names: list[str]) -> None:
    processes.join()
    results: dict[str, str] = {}
    for name in names or SCENARIOS:
        try:
            (SCENARIOS | ON_DEMAND)[name](folder)
            here = "ok"
        except Exception:
            here = traceback.format_exc()
        everywhere = processes.each(here)
        bad = [f"process {rank}: {text}" for rank, text in enumerate(everywhere) if text != "ok"]
        results[name] = "\n".join(bad) or "ok"
        if processes.main():
            (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
