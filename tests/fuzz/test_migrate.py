"""Whatever stands in an old recipe: a migration ends, in a valid recipe or with a reason, and says so quickly."""

from __future__ import annotations

import random
import time

import pytest

from recipelang.migrate.migrate import migrate
from recipelang.source import Source
from recipelang.spec.check import check
from recipelang.syntax.fmt import format

LEGACY = """\
version: 1.1.0
num_epochs: &epochs 10
init_lr: 5e-5  # the usual
last: 0.9
training_modifiers:
  - !EpochRangeModifier
    start_epoch: 0.0
    end_epoch: eval(num_epochs)
  # as in the paper
  - !LearningRateFunctionModifier
    start_epoch: 2
    end_epoch: *epochs
    lr_func: cyclic_linear
    cycle_epochs: 2
    init_lr: eval(init_lr)
    final_lr: 0
pruning_modifiers:
  - !GMPruningModifier
    params: ["re:bert.encoder.layer.*.output.dense.weight", bert.encoder.layer.3.attention.self.key.weight]
    init_sparsity: 0.05
    final_sparsity: eval(last - 0.1)
    start_epoch: eval(num_epochs / 5)
    end_epoch: 8
    update_frequency: 0.1
    mask_type: [1, 4]
    leave_enabled: True
distillation_modifiers:
  - !DistillationModifier {hardness: 1.0, temperature: 2.0, distill_output_keys: [logits]}
"""
NEWER = """\
sparsity_stage:
  run_type: oneshot
  sparsity_modifiers:
    SparseGPTModifier:
      sparsity: 0.5
      mask_structure: "2:4"
      targets: [Linear, "re:model.layers.[0-3]$"]
      ignore: ["re:.*lm_head"]
train_stage:
  pruning_modifiers:
    ConstantPruningModifier: {targets: ["re:.*q_proj.weight"], start: 0}
    MagnitudePruningModifier: {targets: __ALL__, start: 0, end: 2, init_sparsity: 0.1, final_sparsity: eval(x)}
"""
_PIECES = (
    "eval(", ")", "*epochs", "&a", "*a", "[", "]", "{", "}", ": ", "\n", "\n  - ", '"', "'", "!", "!GMPruningModifier", "0", "-1",
    "1e99", "9" * 50, "2:4", "no", "null", "~", "re:(", "re:(?=a)", "__ALL__", "\x00", "\u202e", "²", "\U0001f600", '" | "', "${", "\\", "#", "---",
)  # fmt: skip


def _changed(rng: random.Random) -> str:
    text = rng.choice((LEGACY, NEWER))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(text))
        until = min(len(text), at + rng.choice((0, 0, 1, 3, 12, 60)))
        text = text[:at] + rng.choice(_PIECES) + text[until:]
    return text


def keep(text: str) -> None:
    start = time.process_time()
    migration = migrate(Source("old.yaml", text))
    assert time.process_time() - start < 2
    if migration.text is None:
        assert migration.lost
        return
    assert format(migration.text) == migration.text
    assert not check(Source("new.recipe", migration.text)).diagnostics.errors


@pytest.mark.parametrize(("text", "outcome"), [(LEGACY, "whole"), (NEWER, "partly")])  # `__ALL__` is not matrices only
def test_the_samples_end_as_they_should(text: str, outcome: str) -> None:
    assert migrate(Source("old.yaml", text)).outcome == outcome


@pytest.mark.parametrize("seed", range(40))
def test_changed_texts(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        keep(_changed(rng))
