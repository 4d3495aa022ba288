"""The callbacks of two trainers do what the engine does: the same masks, the same weights."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import nn

from recipelang.loading.read import read_around
from recipelang.loops.notices import RecipeWarning
from recipelang.source import RecipeError

from .loops import RECIPE, Loop, same, write
from .steps import run, weights


@pytest.fixture
def recipe(project, tmp_path):
    return write(tmp_path)


def loop_of(recipe, *params):
    return Loop(recipe, read_around(list(params)))


# ----------------------------------------------------------------- transformers
def trainer(loop, folder, callback, **arguments):
    from transformers import Trainer, TrainingArguments

    arguments = {"max_grad_norm": 0, "save_strategy": "no", "num_train_epochs": 2, **arguments}
    settings = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        logging_steps=1,
        **arguments,
    )
    return Trainer(
        loop.model,
        settings,
        data_collator=loop.collate,
        train_dataset=range(len(loop.features)),
        eval_dataset=range(8),
        callbacks=[callback],
        optimizers=(loop.optimizer, None),
    )


def callback(loop, recipe, **options):
    from recipelang.loops.trainer import RecipeCallback

    return RecipeCallback(recipe, teacher=loop.teacher, **options)


@pytest.mark.parametrize("on", ["", "on = [hidden, logits],"])
def test_transformers_trainer_is_the_engine_bit_for_bit(recipe, tmp_path, on):
    recipe.write_text(RECIPE.replace("hardness = 60%", f"{on} hardness = 60%"), "utf-8")
    run(recipe, tmp_path / "out", params=("method=movement",))
    loop = loop_of(recipe, "method=movement")
    pruned = callback(loop, recipe, params={"method": "movement"})
    it = trainer(loop, tmp_path / "trainer", pruned)
    it.train()
    assert same(loop.model, weights(tmp_path / "out"))
    assert str(pruned.pruning.report()) == "step 12 of 12: 70.00% zeros, 70.00% planned"
    rates = [entry["learning_rate"] for entry in it.state.log_history if "learning_rate" in entry]
    assert rates[0] == 1e-3 and rates[-1] == pytest.approx(1e-4 + 9e-4 / 12)
    assert not loop.model._forward_hooks and not loop.model._forward_pre_hooks


def test_transformers_trainer_goes_on_from_a_checkpoint(recipe, tmp_path):
    """A whole training that saves on the way, and another that goes on from the middle."""
    whole = loop_of(recipe, "method=movement")
    options = {"params": {"method": "movement"}}
    saving = {"save_strategy": "steps", "save_steps": 5}
    trainer(whole, tmp_path / "trainer", callback(whole, recipe, **options), **saving).train()
    again = loop_of(recipe, "method=movement")
    it = trainer(again, tmp_path / "trainer", callback(again, recipe, **options), **saving)
    it.train(resume_from_checkpoint=str(tmp_path / "trainer" / "checkpoint-5"))
    assert same(again.model, dict(whole.model.named_parameters()))

    (tmp_path / "trainer" / "checkpoint-10" / "recipelang.safetensors").unlink()
    third = loop_of(recipe)
    it = trainer(third, tmp_path / "trainer", callback(third, recipe, **options), **saving)
    with pytest.raises(RecipeError, match=r"E083]: there is no `.*checkpoint-10/recipelang.safetensors`"):
        it.train(resume_from_checkpoint=str(tmp_path / "trainer" / "checkpoint-10"))


def test_transformers_trainer_accumulates(recipe, tmp_path):
    """Batches of 4, twice: the mean of two means, so equal up to rounding; counts are exact."""
    loop = loop_of(recipe)
    pruned = callback(loop, recipe)
    it = trainer(loop, tmp_path / "trainer", pruned, gradient_accumulation_steps=2)
    it.args.per_device_train_batch_size = it._train_batch_size = 4
    it.train()
    assert str(pruned.pruning.report()) == "step 12 of 12: 70.00% zeros, 70.00% planned"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_grad_norm": 1.0}, "E086]: the Trainer would clip too early"),
        ({"num_train_epochs": 3}, "E086]: the stage has 12 steps, the Trainer takes 18"),
        (
            {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "epoch"},
            "E086]: the best model may predate the last pruning event",
        ),
    ],
)
def test_transformers_trainer_that_would_undo_the_recipe_is_stopped(recipe, tmp_path, arguments, message):
    loop = loop_of(recipe)
    it = trainer(loop, tmp_path / "trainer", callback(loop, recipe), **arguments)
    with pytest.raises(RecipeError, match=message):
        it.train()


def test_transformers_trainer_that_stops_early_is_warned_of(recipe, tmp_path):
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **more):
            control.should_training_stop = state.global_step == 7

    loop = loop_of(recipe)
    it = trainer(loop, tmp_path / "trainer", callback(loop, recipe))
    it.add_callback(Stop())
    with pytest.warns(RecipeWarning, match="the loop ended at step 7 of 12"):
        it.train()


# --------------------------------------------------------------------- lightning
lightning = pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="lightning is not installed")


def lit(loop, pruned):
    import lightning.pytorch as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = loop.model

        def training_step(self, batch, index):
            outputs = self.model(**batch, **pruned.pruning.asks)
            return pruned.loss(outputs.loss, outputs, batch)

        def configure_optimizers(self):
            return loop.optimizer

    return Module()


def pl_trainer(folder, pruned, **arguments):
    import lightning.pytorch as pl

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(
        default_root_dir=folder,
        callbacks=[pruned],
        gradient_clip_val=0.5,
        **{"max_epochs": 2, "enable_checkpointing": False, **quiet, **arguments},
    )


def loader(loop, size=8):
    return torch.utils.data.DataLoader(range(len(loop.features)), batch_size=size, collate_fn=loop.collate)


def lightning_callback(loop, recipe, **options):
    from recipelang.loops.lightning import RecipeCallback

    return RecipeCallback(recipe, part="model", teacher=loop.teacher, **options)


@lightning
def test_lightning_is_the_engine_bit_for_bit(recipe, tmp_path):
    run(recipe, tmp_path / "out", params=("method=movement",))
    loop = loop_of(recipe, "method=movement")
    pruned = lightning_callback(loop, recipe, params={"method": "movement"})
    pl_trainer(tmp_path, pruned).fit(lit(loop, pruned), loader(loop))
    assert same(loop.model, weights(tmp_path / "out"))
    assert str(pruned.pruning.report()) == "step 12 of 12: 70.00% zeros, 70.00% planned"


@lightning
def test_lightning_goes_on_from_a_checkpoint(recipe, tmp_path):
    """From the end of an epoch: within one, Lightning would draw its batches anew."""
    import lightning.pytorch as pl

    options = {"params": {"method": "movement"}}
    whole = loop_of(recipe, "method=movement")
    pruned = lightning_callback(whole, recipe, **options)
    saving = pl.callbacks.ModelCheckpoint(tmp_path / "ckpt", every_n_train_steps=6, save_top_k=-1, filename="{step}")
    it = pl_trainer(tmp_path, pruned, enable_checkpointing=True)
    it.callbacks.append(saving)
    it.fit(lit(whole, pruned), loader(whole))

    again = loop_of(recipe, "method=movement")
    pruned = lightning_callback(again, recipe, **options)
    it = pl_trainer(tmp_path, pruned)
    it.fit(lit(again, pruned), loader(again), ckpt_path=str(tmp_path / "ckpt" / "step=6.ckpt"))
    assert same(again.model, dict(whole.model.named_parameters()))


@lightning
def test_lightning_accumulates(recipe, tmp_path):
    loop = loop_of(recipe)
    pruned = lightning_callback(loop, recipe)
    pl_trainer(tmp_path, pruned, accumulate_grad_batches=2).fit(lit(loop, pruned), loader(loop, 4))
    assert str(pruned.pruning.report()) == "step 12 of 12: 70.00% zeros, 70.00% planned"


@lightning
def test_lightning_that_takes_other_steps_is_stopped(recipe, tmp_path):
    loop = loop_of(recipe)
    pruned = lightning_callback(loop, recipe)
    with pytest.raises(RecipeError, match="E086]: the stage has 12 steps, the Trainer takes 6"):
        pl_trainer(tmp_path, pruned, max_epochs=1).fit(lit(loop, pruned), loader(loop))


@lightning
def test_lightning_prunes_a_module_without_roles_by_names(tmp_path):
    import lightning.pytorch as pl

    from recipelang.loops.lightning import RecipeCallback

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 4)

        def training_step(self, batch, index):
            return self.layer(batch).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    text = """recipe 1 "names"
model { base = "none", task = question_answering }
data { train = "none.json" }
stage s {
  length = 2 epochs, batch = 2, learning_rate = constant(0.1)
  prune p { targets = "layer.weight", method = magnitude, sparsity = linear(0% -> 50%, over = start..end, every = 1 steps) }
}
"""
    module, pruned = Module(), RecipeCallback(text)
    pl_trainer(tmp_path, pruned).fit(module, torch.utils.data.DataLoader(torch.randn(6, 8), batch_size=2))
    assert int((module.layer.weight == 0).sum()) == 16
