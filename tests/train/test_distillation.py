"""Distillation in whole runs: teachers of other sizes, hidden states, attention maps, the teacher's cache."""

import os
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipelang.engine import teachers as of_stages
from recipelang.engine.records import Interrupted, Reporter
from recipelang.source import RecipeError

from ..conftest import make_model
from .steps import Steps, StopAt, run, same, weights

DISTILL = "distill { teacher = stage.dense, hardness = 80%, temperature = 2 }"
WIDE = 'distill {{ teacher = "teacher", hardness = 80%, temperature = 2, on = {on} }}'


@pytest.fixture
def wide(project, tmp_path):
    """A recipe whose teacher has 4 layers of width 48; the student has 2 of width 32."""
    make_model(tmp_path / "teacher", hidden=48, layers=4)

    def write(on: str):
        return project(replace=(DISTILL, WIDE.format(on=on)))

    return write


class Told(Reporter):
    def __init__(self):
        self.said = []

    def message(self, text):
        self.said.append(text)


def cached(project, how="true"):
    return project(replace=(DISTILL, DISTILL.replace(" }", f", cache = {how} }}")))


@pytest.fixture
def teachers(monkeypatch):
    """How often a teacher was loaded."""
    loaded = []
    original = of_stages.load_model
    monkeypatch.setattr(
        of_stages, "load_model", lambda folder, *rest: loaded.append(folder.name) or original(folder, *rest)
    )
    return loaded


def losses(recipe, out, **more):
    seen = Steps()
    run(recipe, out, seen, **more)
    return torch.tensor(seen.losses)


# ------------------------------------------------------------- hidden, attention
MIX = "[logits, hidden(0 -> 1, -1, weight = 0.5), attention(weight = linear(1 -> 0, over = start..end))]"


def test_mix_with_a_wider_deeper_teacher_runs_and_exports_the_model_alone(wide, tmp_path):
    recipe = wide(MIX)
    run(recipe, tmp_path / "out")
    assert not [name for name in weights(tmp_path / "out") if "projection" in name]
    from transformers import AutoModelForQuestionAnswering

    loaded = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out")
    assert loaded.config._attn_implementation == "sdpa"


def test_terms_change_what_is_learnt(wide, tmp_path):
    run(wide("logits"), tmp_path / "a")
    run(wide("[logits, hidden]"), tmp_path / "b")
    run(wide("[logits, attention]"), tmp_path / "c")
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert not same(a, b) and not same(a, c) and not same(b, c)


def test_weight_of_nothing_is_as_if_the_term_were_not_there(wide, tmp_path):
    run(wide("logits"), tmp_path / "a")
    run(wide("[logits, hidden(weight = 0)]"), tmp_path / "b")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


@pytest.mark.parametrize("step", [9, 12])
def test_run_with_projections_resumes_bit_for_bit(wide, tmp_path, step):
    recipe = wide(MIX)
    run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(step))
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_micro_batches_give_the_same_losses(wide, tmp_path):
    recipe = wide(MIX)
    recipe.write_text(
        recipe.read_text().replace('base = "model",', 'base = "model", dropout = 0, attention_dropout = 0,')
    )
    whole = losses(recipe, tmp_path / "a")
    cut = losses(recipe, tmp_path / "b", params=("micro=2",))
    torch.testing.assert_close(cut, whole, rtol=1e-3, atol=1e-4)


def test_dense_start_can_be_the_teacher(project, tmp_path):
    run(project(replace=(DISTILL, DISTILL.replace("stage.dense", '"model"'))), tmp_path / "out")
    assert weights(tmp_path / "out")


@pytest.mark.parametrize("shown", [True, False])
def test_attention_that_shows_its_maps_is_the_librarys(tiny, shown):
    from transformers import AutoModelForQuestionAnswering

    from recipelang.engine.attention_maps import show_maps

    ids = torch.randint(5, 24, (2, 9))
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    model, eager = (
        AutoModelForQuestionAnswering.from_pretrained(tiny / "model", attn_implementation=how).eval()
        for how in ("sdpa", "eager")
    )
    show_maps(model, True)
    with torch.no_grad():
        ours = model(input_ids=ids, attention_mask=mask, output_attentions=True)
        theirs = eager(input_ids=ids, attention_mask=mask, output_attentions=True)
    torch.testing.assert_close(ours.start_logits, theirs.start_logits)
    torch.testing.assert_close(torch.stack(ours.attentions), torch.stack(theirs.attentions))
    show_maps(model, shown)
    assert (model.config._attn_implementation != "sdpa") == shown


def test_maps_in_training_are_those_before_dropout(tiny):
    from transformers import AutoModelForQuestionAnswering

    from recipelang.engine.attention_maps import show_maps

    model = AutoModelForQuestionAnswering.from_pretrained(tiny / "model").train()
    model.bert.encoder.layer[0].attention.self.dropout.p = 0.5
    show_maps(model, True)
    first = model(input_ids=torch.randint(5, 24, (2, 9)), output_attentions=True).attentions[0]
    torch.testing.assert_close(first.sum(-1), torch.ones_like(first.sum(-1)))


# ------------------------------------------------------------------------- cache
def test_run_in_full_precision_from_the_cache_is_the_run_without(project, tmp_path):
    plain = losses(project(), tmp_path / "a")
    torch.testing.assert_close(losses(cached(project, "fp32"), tmp_path / "b"), plain, rtol=1e-5, atol=1e-6)


def test_run_from_the_cache_is_the_run_without_to_half_precision(project, tmp_path):
    plain = losses(project(), tmp_path / "a")
    kept = losses(cached(project), tmp_path / "b")
    torch.testing.assert_close(kept, plain, rtol=2e-3, atol=2e-3)
    assert not torch.equal(kept, plain)


def test_cached_teacher_is_loaded_once_and_not_when_resumed(project, tmp_path, teachers):
    recipe = cached(project)
    run(recipe, tmp_path / "whole")
    assert teachers == ["dense"]
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(9))
    run(recipe, tmp_path / "cut", resume=True)
    assert teachers == ["dense"] * 2
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert not (tmp_path / "cut" / "checkpoints").exists()


def shards(out):
    return sorted((out / "checkpoints" / "teacher").glob("*/*.safetensors"))


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damaged_part_of_the_cache_is_made_again(project, tmp_path, monkeypatch, teachers, damage):
    monkeypatch.setattr("recipelang.engine.teacher_cache.SHARD", 16)
    recipe = cached(project)
    run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(9))
    before = {path: path.read_bytes() for path in shards(tmp_path / "cut")}
    assert len(before) == 3
    path = list(before)[1]
    match damage:
        case "flipped":
            path.write_bytes(before[path][:-3] + bytes([before[path][-3] ^ 1]) + before[path][-2:])
        case "cut":
            path.write_bytes(before[path][:200])
        case "gone":
            path.unlink()
    told = Told()
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopFirst(told), resume=True)
    assert {path: path.read_bytes() for path in shards(tmp_path / "cut")} == before
    assert any("damaged" in text for text in told.said) == (damage != "gone")
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert len(teachers) == 3


class StopFirst(StopAt):
    """At the first step, and passes on what it is told."""

    def __init__(self, told):
        super().__init__(1)
        self.message = told.message


def test_signal_while_the_cache_is_filled_keeps_what_is_done(project, tmp_path, monkeypatch, teachers):
    monkeypatch.setattr("recipelang.engine.teacher_cache.SHARD", 16)
    written = []

    def save(tensors, path, metadata):
        save_file(tensors, path, metadata)
        written.append(path)
        if len(written) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("recipelang.engine.teacher_cache.save_file", save)
    recipe = cached(project)
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut")
    assert len(shards(tmp_path / "cut")) == 2
    run(recipe, tmp_path / "cut", resume=True)
    assert len(written) == 3
    run(cached(project), tmp_path / "whole")
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_outputs_that_do_not_fit_are_an_error(project, tmp_path):
    path = tmp_path / "model" / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "qa_outputs.weight": tensors["qa_outputs.weight"] * 1e7}, path, {"format": "pt"})
    recipe = project(replace=(DISTILL, DISTILL.replace("stage.dense", '"model"').replace(" }", ", cache = true }")))
    recipe.write_text(recipe.read_text().replace("length = 1 epoch", "length = 1 step, clip = 1e-6"))
    with pytest.raises(RecipeError, match="E082]: the teacher's outputs are not finite in fp16"):
        run(recipe, tmp_path / "out")
