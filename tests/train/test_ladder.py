"""A stage that repeats is the same stages written out: the same plan, digests and bits, wherever it is cut."""

from __future__ import annotations

import pytest

from recipelang.engine import start
from recipelang.engine.records import Interrupted
from recipelang.loading.plan import planned
from recipelang.planning.types import Plan
from recipelang.reference.schedules import LADDER
from recipelang.source import RecipeError
from recipelang.spec.effective import effective
from tests.cli.command import command

from .steps import StopAt, run, same, stopped_often, weights

HEAD = """recipe 1 "ladder"
let targets = [30%, 50%, 60%]
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 48 tokens, stride = 16 tokens }
stage dense { length = 1 epoch, batch = 8, learning_rate = linear(1e-3 -> 0, over = start..end) }
"""
RUNG = """stage NAME {
  length = LENGTH
  batch = 8
  learning_rate = linear(2e-3 -> 0, over = start..end)
  prune weights { targets = @linear & @encoder, never = @embeddings | @head, method = magnitude, sparsity = TARGET }
  distill { teacher = stage.dense, on = logits, hardness = 50%, temperature = 2 }
}
"""
TAIL = """evaluate dev { }
expect sparsity(@linear & @encoder) == 60% ± 0.1%
prefer dev.f1 >= 0 * stage.down_1.dev.f1 + 0 * stage.down.dev.f1
"""


def rung(name: str, length: str, target: str) -> str:
    return RUNG.replace("NAME", name).replace("LENGTH", length).replace("TARGET", target)


ONCE = HEAD + rung("down", "each([4 steps, 5 steps, 1 epoch])", "each(targets)") + TAIL
OUT = (
    HEAD
    + "".join(
        rung(*each) for each in (("down_1", "4 steps", "30%"), ("down_2", "5 steps", "50%"), ("down", "1 epoch", "60%"))
    )
    + TAIL
)


@pytest.fixture
def both(project):
    path = project()
    once, out = (path.parent / f"{name}.recipe" for name in ("once", "out"))
    once.write_text(ONCE, "utf-8")
    out.write_text(OUT, "utf-8")
    return once, out


def plain(plan: Plan) -> dict:
    return plan.model_dump(exclude={"source"})


def test_it_plans_and_reads_as_the_stages_written_out(both):
    once, out = (planned(str(path)) for path in both)
    assert plain(once[1]) == plain(out[1])
    assert [s.name for s in once[1].stages] == ["dense", "down_1", "down_2", "down"]
    assert effective(once[0]) == effective(out[0])
    assert "each(" not in effective(once[0])


def test_it_trains_as_the_stages_written_out_wherever_it_is_cut(both, tmp_path):
    once, out = both
    expected = run(out, tmp_path / "out")
    assert stopped_often(once, tmp_path / "once", 5) >= 3
    assert same(weights(tmp_path / "once"), weights(tmp_path / "out"))
    with pytest.raises(Interrupted):
        run(once, tmp_path / "cut", StopAt(13))
    found = run(once, tmp_path / "cut", resume=True)
    assert found.measurements.metrics == expected.measurements.metrics
    assert all(v.met for v in found.verdicts) and "stage.down_2.dev.f1" in found.measurements.metrics


def test_the_commands_know_its_stages(both, tmp_path, monkeypatch):
    once, _ = both
    monkeypatch.chdir(once.parent)
    assert command("run", "once.recipe", "-o", "out", "--steps", "1").code == 0
    assert command("verify", "out").code == 0
    shown = command("trace", "once.recipe", "stage.down_2.prune.weights.sparsity")
    assert shown.code == 0 and "50%" in shown.out and "targets" in shown.out, shown.err
    assert command("doc", "once.recipe").code == 0
    told = command("lint", "once.recipe")
    assert "L072" not in told.codes and "L071" not in told.codes


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (("each(targets)", "each([30%, 50%])"), "E267", "this list has 2 values, the first one 3"),
        (("each(targets)", "each([])"), "E270", "the list is empty"),
        (("each(targets)", "each(30%, 50%, 60%)"), "E270", "takes one list"),
        (("each(targets)", "each(60%)"), "E270", "needs a list"),
        (("each(targets)", "eech(targets)"), "E022", "did you mean `each`?"),
        (("stage dense {", "stage down_2 {"), "E269", "`down_2`"),
        (("evaluate dev { }", "evaluate dev { batch = each([1, 2]) }"), "E268", "outside a stage"),
        (("[30%, 50%, 60%]", "each([30%, 50%, 60%])"), "E268", "outside a stage"),
        (("batch = 8\n", "batsh = 8\n"), "E051", "batch"),
        (("stage.dense", "stage.dnse"), "E022", "dense"),
    ],
)
def test_a_slip_in_it_is_one_finding(both, change, code, told):
    once, _ = both
    once.write_text(ONCE.replace(*change, 1), "utf-8")
    ended = command("validate", str(once))
    codes = [c for c in ended.codes if c.startswith("E")]
    wanted = [code, "E022"] if code == "E269" else [code]  # the stage that was renamed is taught by its old name
    assert sorted(set(codes)) == sorted(set(wanted)) and len(codes) <= len(wanted), ended.err
    assert told in " ".join(ended.err.split())


def test_the_ladder_of_the_reference_plans(both):
    once, _ = both
    once.write_text(HEAD + LADDER + "\nevaluate dev { }\n", "utf-8")
    plan = planned(str(once))[1]
    assert [s.prunes[0].events[-1].sparsity for s in plan.stages[1:]] == [0.5, 0.67, 0.75]


def test_a_stage_taught_as_squarehead_and_from_the_student_side_resumes(both, tmp_path):
    once, _ = both
    terms = "on = [reverse_kl, squarehead(weight = 0.1)]"
    once.write_text(ONCE.replace("on = logits", terms), "utf-8")
    plan = planned(str(once))[1]
    assert [(t.kind, len(t.layers)) for t in plan.stages[1].distills[0].terms] == [("reverse", 0), ("squarehead", 2)]
    run(once, tmp_path / "whole")
    assert stopped_often(once, tmp_path / "cut", 9) >= 1
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_squarehead_is_refused_where_processes_would_share_a_batch(both, monkeypatch):
    once, _ = both
    once.write_text(ONCE.replace("on = logits", "on = squarehead"), "utf-8")
    plan = planned(str(once))[1]
    monkeypatch.setattr(start.processes, "world", lambda: 2)
    with pytest.raises(RecipeError) as error:
        start.may_start(plan, shard=False)
    assert [d.code for d in error.value.diagnostics] == ["E271"]
