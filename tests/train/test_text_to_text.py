"""Whole runs of models of an encoder and a decoder: trained, distilled, resumed, pruned in one shot, planned from the library."""

import copy
import math

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

import recipelang
from recipelang.engine.records import Interrupted
from recipelang.loading.plan import planned
from recipelang.loops.attach import attach
from recipelang.modifiers.distill_terms import kd_loss
from recipelang.source import RecipeError
from recipelang.tasks import text_to_text as task
from tests.cli.command import command
from tests.model_configs import walk_here
from tests.model_table import make

from .steps import Steps, StopAt, run, same, weights

RECIPE = """recipe 1 "written"
model { base = "model", task = text_to_text, dropout = 0% }
data { train = "data.jsonl", validation = "data.jsonl", max_length = 12 tokens, prefix = "the " }
stage sparse {
  length = 6 steps, batch = 8, micro_batch = MICRO, learning_rate = constant(5e-3)
  distill { teacher = "model", on = logits, hardness = HARD, temperature = 2 }
  prune weights {
    targets = @linear & (@encoder | @decoder), never = @embeddings | @head, method = magnitude, sparsity = 50%
  }
}
evaluate dev { compare = dense }
"""


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """No process for each: the walk has tests of its own."""
    walk_here(monkeypatch)


def written(folder, micro=8, hard="0%", change=("", "")):
    (folder / "a.recipe").write_text(
        RECIPE.replace("MICRO", str(micro)).replace("HARD", hard).replace(*change), "utf-8"
    )
    return folder / "a.recipe"


def test_both_stacks_are_trained_and_pruned_and_a_cut_run_is_the_whole_one(tmp_path):
    make(tmp_path, "t5", "text_to_text")
    seen = Steps()
    result = run(written(tmp_path), tmp_path / "whole", seen)
    found = result.measurements.metrics
    assert set(found) == {f"{n}dev.{m}perplexity" for n, m in (("", "dense."), ("stage.sparse.", ""), ("", ""))}
    assert found["dev.perplexity"] < found["dev.dense.perplexity"] < 64**2
    plan = planned(str(tmp_path / "a.recipe"))[1]
    (prune,) = plan.stages[0].prunes
    assert {"encoder", "decoder"} == {t.name.partition(".")[0] for t in prune.targets}
    zeros = [result.measurements.zeros[t.name] for t in prune.targets]
    assert zeros == list(prune.events[-1].zeros) and not result.gained
    assert plan.data[0].meaning.prefix == "the "
    with pytest.raises(Interrupted):
        run(tmp_path / "a.recipe", tmp_path / "cut", StopAt(3))
    again = run(tmp_path / "a.recipe", tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole")) and again.measurements.metrics == found
    # the perplexity again, by the library's own loss of what was written
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "whole").eval()
    examples = task.TASK.open_split(*[str(tmp_path / "data.jsonl"), "validation"], None, None, plan.data[0].meaning)
    rows = task.featurize(examples, task.load_tokenizer(tmp_path / "model"), 12, 0)
    assert examples[0].source.startswith("the ") and rows.tokens_predicted == plan.data[0].tokens_predicted["train"]
    batch = {k: torch.from_numpy(v) for k, v in rows.batch(range(len(rows))).items()}
    with torch.no_grad():
        assert math.exp(float(model(**batch).loss)) == pytest.approx(found["dev.perplexity"], rel=1e-4)


def test_a_teacher_is_compared_at_the_targets_however_a_batch_is_cut(tmp_path):
    make(tmp_path, "bart", "text_to_text")
    losses = []
    for micro in (8, 2):
        seen = Steps()
        run(written(tmp_path, micro, "50%"), tmp_path / f"m{micro}", seen)
        losses.append(torch.tensor(seen.losses))
    assert torch.allclose(*losses, rtol=2e-4)
    seen = Steps()  # a teacher that is the student itself teaches nothing at first
    run(written(tmp_path, 8, "100%", ("sparsity = 50%", "sparsity = 0%")), tmp_path / "same", seen)
    assert abs(seen.losses[0]) < 1e-5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("on = logits", "on = hidden(-1)"), "does not compare `hidden` of an encoder and its decoder"),
        (("temperature = 2", "temperature = 2, cache = true"), "does not support `cache` for language models"),
        (("  distill", "  drop layers { keep = [0] }\n  distill"), "does not say which stack of a `t5`"),
        (('prefix = "the "', "stride = 4 tokens"), "`stride` does not apply to text_to_text"),
    ],
)
def test_what_two_stacks_lack_is_refused_by_the_plan(tmp_path, change, words):
    make(tmp_path, "t5", "text_to_text")
    with pytest.raises(RecipeError) as error:
        planned(str(written(tmp_path, change=change)))
    assert words in " ".join(d.message for d in error.value.diagnostics)


def test_each_stack_loses_layers_of_its_own(tmp_path):
    make(tmp_path, "t5", "text_to_text")
    drops = "drop encoder_layers { keep = [0] }\n  drop decoder_layers { keep = [0..1] }"
    distill = next(line for line in RECIPE.splitlines() if "distill" in line).replace("HARD", "0%")
    path = written(tmp_path, change=(distill, f"  {drops}"))
    plan = planned(str(path))[1]
    assert plan.model.drop.kept == {"encoder": (0,), "decoder": (0, 1)}
    assert (plan.model.drop.layers, plan.model.drop.decoder.layers) == (2, 2)
    assert {t.name.split(".")[2] for t in plan.stages[0].prunes[0].targets if t.name.startswith("encoder")} == {"0"}
    assert "encoder layer 0 of 2 kept, decoder layers 0..1 of 2 kept (numbered from 0)" in " ".join(
        str(recipelang.plan(path)).split()
    )
    before = dict(AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model").named_parameters())
    recipelang.run(path, out=tmp_path / "out")
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    assert (model.config.num_layers, model.config.num_decoder_layers) == (1, 2)
    assert {n for n, _ in model.named_parameters()} == {n for n in before if not n.startswith("encoder.block.1.")}
    assert command("verify", str(tmp_path / "out")).code == 0
    whole = path.read_text("utf-8")
    for change, code in (
        ((drops, drops[: drops.index("\n")]), None),
        (("[0..1]", "[0, 2]"), "E073"),
        (("[0..1]", "[1]"), "E200"),
    ):
        path.write_text(whole.replace(*change), "utf-8")
        if code is None:  # a stack that is not named stays whole
            assert planned(str(path))[1].model.drop == plan.model.drop
            continue
        with pytest.raises(RecipeError, match=code):
            planned(str(path))


def test_the_recipe_of_the_library_runs(tmp_path):
    make(tmp_path, "t5", "text_to_text")
    given = {"base": "model", "train": "data.jsonl", "dev": "data.jsonl", "config": "", "length": "4 steps"}
    given |= {"max_length": "12 tokens", "batch": "8", "updates": "1 per epoch", "prefix": ""}
    params = tuple(f"{k}={tmp_path / v if k in ('base', 'train', 'dev') else v}" for k, v in given.items())
    found = run("lib://cnn/summaries-50", tmp_path / "out", params=params).measurements.metrics
    assert {"dev.dense.perplexity", "dev.perplexity"} <= set(found)


def test_in_a_loop_of_ones_own_a_teacher_is_compared_at_the_labels(tmp_path):
    model = make(tmp_path, "bart", "text_to_text").eval()
    teacher = copy.deepcopy(model)
    with torch.no_grad():
        model.model.decoder.layers[0].fc1.weight.mul_(1.5)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    recipe = written(tmp_path, hard="100%", change=("dropout = 0%", "dtype = fp32")).read_text("utf-8")
    pruning = attach(recipe, model, optimizer, steps_per_epoch=3, teacher=teacher)
    rows = task.featurize(
        task.TASK.open_split(str(tmp_path / "data.jsonl"), "train"), task.load_tokenizer(tmp_path / "model"), 12, 0
    )
    batch = {k: torch.from_numpy(v) for k, v in rows.batch(range(4)).items()}
    pruning.step_start()
    outputs = model(**batch)
    found = pruning.loss(outputs.loss, outputs, batch)
    expected = kd_loss(outputs.logits, teacher(**batch).logits, 2.0, batch["labels"] >= 0)
    assert found.item() == pytest.approx(expected.item()) and found.item() > 0
    with pytest.raises(RecipeError, match="labels"):
        pruning.loss(outputs.loss, outputs, {k: v for k, v in batch.items() if k != "labels"})
