"""The advice of E081 is about what was under way when memory ran out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from recipelang.engine.run import _less_memory


def course(
    *, micro: int = 8, recompute: bool = False, steps: int = 10, can: bool = True, measuring: int = 0
) -> SimpleNamespace:
    stage = SimpleNamespace(
        name="sparse", micro_batch=micro, steps=steps, activation_checkpointing=recompute, data="", distills=()
    )
    model = SimpleNamespace(supports_gradient_checkpointing=can)
    measured = SimpleNamespace(name="dev", batch=measuring) if measuring else None
    plan = SimpleNamespace(stages=(stage,), data=(), model=SimpleNamespace(task="masked_lm"))
    return SimpleNamespace(plan=plan, model=model, measuring=measured, position=SimpleNamespace(stage=0))


@pytest.mark.parametrize(
    ("of", "advice"),
    [
        (course(), "`micro_batch` of stage `sparse` below 8"),
        (course(measuring=32), "`batch` of `evaluate dev` below 32"),
        (course(micro=1), "`activation_checkpointing = true` in stage `sparse`"),
        (course(micro=1, recompute=True), "more memory"),
        (course(micro=1, can=False), "more memory"),
        (course(micro=1, steps=0), "more memory"),
        (course(measuring=1, micro=1, recompute=True), "more memory"),
    ],
)
def test_advice_is_about_what_was_under_way(of, advice):
    assert advice in _less_memory(of)


def test_a_model_that_does_not_fit_is_told_of_its_dtype():
    of = course()
    del of.model
    assert "`dtype = bf16`" in _less_memory(of)
