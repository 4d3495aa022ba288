"""Claims about size and speed in runs of a tiny model: measured once at the end, recorded, verified. No real clock."""

import json
import shutil
import signal

import pytest

import recipelang
from recipelang.engine import figures, paired, speeds
from recipelang.engine.macs import counted, inputs, of_config
from recipelang.engine.records import Interrupted, Reporter, read_record
from recipelang.planning.figure_plan import FigurePlan
from recipelang.provenance.checks import Verified
from recipelang.provenance.contents import verify_digests
from recipelang.provenance.recount import verify_weights
from recipelang.provenance.verify import judge_claims
from tests.cli.test_forged_runs import refit
from tests.model_configs import count_here
from tests.unit.planning.test_shrink import RECIPE, TRAIN

from .steps import StopAt, run, same, weights

DENSE, LATER = (TRAIN.replace("NAME", name).replace("MORE", "") for name in ("dense", "later"))
SLIM = "stage slim {\n  mode = one_shot\n  shrink body { axes = ffn -> 50%, by = magnitude }\n}\n"
CLAIMS = """expect params() <= 90% * stage.dense.params
expect size() <= 90% * stage.dense.size
expect flops(length = 64 tokens) <= 10e6
expect params() < base.params and size() < base.size
expect speedup(torch, over = stage.dense, length = 64 tokens) >= 1.8
prefer latency(torch, length = 64 tokens) <= 0.5 s
prefer speedup(torch, over = base, length = 32 tokens, threads = 2) >= 3
"""
FAST = "speedup(torch, over = stage.dense, batch = 1, length = 64 tokens, threads = 1)"


@pytest.fixture(scope="module")
def counting():
    with pytest.MonkeyPatch.context() as monkeypatch:
        count_here(monkeypatch)
        yield monkeypatch


@pytest.fixture(scope="module")
def clock(counting):
    """The result takes a second, every other model two; no more rounds than an interval needs."""

    def times(passes, rounds, clock, between):
        for each in passes:
            each()
        return [[1.0 if at == 0 else 2.0] * rounds for at in range(len(passes))]

    counting.setattr(paired, "interleaved", times)
    counting.setattr(figures, "ROUNDS", paired.LEAST_ROUNDS)
    return counting


def recipe(folder, tiny, claims: str = CLAIMS):
    shutil.copytree(tiny, folder, dirs_exist_ok=True)
    (folder / "a.recipe").write_text(RECIPE.replace("STAGES", DENSE + SLIM + LATER) + claims, "utf-8")
    return folder / "a.recipe"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny, clock):
    where = tmp_path_factory.mktemp("claimed")
    return recipelang.run(recipe(where, tiny), out=where / "out", reporter=Reporter())


@pytest.fixture
def out(finished, tmp_path):
    shutil.copytree(finished.out, tmp_path / "out")
    return tmp_path / "out"


def verified(folder):
    done = Verified()
    said = verify_digests(folder, done)
    judge_claims(folder, said, done, verify_weights(folder, said, done), {})
    return done


def test_every_figure_is_measured_and_recorded(finished):
    record, plan = read_record(finished.out), finished.plan
    assert [v.met for v in finished.verdicts] == [True, True, True, True, True, False, False]
    found = record["figures"]
    assert found.keys() == {f.text for f in plan.figures}
    assert found["params()"] == plan.parameters() and found["stage.dense.params"] == plan.parameters("dense")
    assert found["base.params"] == plan.model.parameters
    assert found["base.size"] == (finished.out.parent / "model/model.safetensors").stat().st_size
    assert found["size(safetensors)"] == (finished.out / "model.safetensors").stat().st_size
    assert found["stage.dense.size"] == (finished.out / "stages/dense/model.safetensors").stat().st_size
    assert (
        found["flops(batch = 1, length = 64 tokens)"] == next(f for f in plan.figures if f.name == "flops").planned[0]
    )
    assert found[FAST] == 2.0
    both, other = (speeds.SpeedForm.model_validate(s) for s in record["speeds"])
    assert [(m.model, m.runtime) for m in both.models] == [("", "torch"), ("stage.dense", "torch")]
    assert [(m.model, m.runtime) for m in other.models] == [("", "torch"), ("base", "torch")]
    assert (both.threads, both.clock, other.threads, other.clock) == (1, "processor time", 2, "wall-clock time")
    assert {"torch", "transformers"} <= both.versions.keys() and both.machine


def test_an_unmet_speed_says_how_it_was_measured(finished):
    said = finished.verdicts[-1].diagnostic
    assert said.code == "W102"
    assert said.notes[0].startswith(
        "2.00x (2.00 to 2.00) over the model that the run starts with; PyTorch, 1 text of 32"
    )
    assert "wall-clock time on 2 threads" in said.notes[0] and "6 rounds" in said.notes[0]


def test_verify_counts_sizes_again_and_repeats_no_time(out):
    done = verified(out)
    assert done.ok, [d.message for d in done.findings]
    assert [c.by for c in done.claims] == ["re-measured here"] * 3 + ["measured by the run"] + [
        "recorded, not repeated"
    ] * 3
    assert any("speed" in what for what in done.open)


def test_a_signal_is_heard_between_two_rounds_and_the_run_goes_on_to_its_end(
    finished, tmp_path, tiny, clock, monkeypatch
):
    path, rounds = recipe(tmp_path, tiny), []

    def times(passes, of, clock, between):
        for done in range(of):
            between()
            rounds.append(done)
            if len(rounds) == 2:
                signal.raise_signal(signal.SIGINT)
        return [[1.0 if at == 0 else 2.0] * of for at in range(len(passes))]

    monkeypatch.setattr(paired, "interleaved", times)
    with pytest.raises(Interrupted):
        run(path, tmp_path / "cut")
    assert rounds == [0, 1]
    assert read_record(tmp_path / "cut")["status"] == "interrupted"
    run(path, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(finished.out))
    mine, whole = (read_record(out)["figures"] for out in (tmp_path / "cut", finished.out))
    assert mine.keys() == whole.keys() and mine[FAST] == whole[FAST] and mine["params()"] == whole["params()"]


def forge(out, change):
    record = json.loads((out / "run.json").read_text("utf-8"))
    predicate = {}
    change(record, predicate)
    (out / "run.json").write_text(json.dumps(record), "utf-8")
    refit(out, lambda body: body["predicate"].update(predicate))


def faster(record, predicate):
    record["figures"][FAST] = 3.0
    predicate["figures"] = record["figures"]


def faster_times(record, predicate):
    """The rounds too: then the claim that the statement says to be unmet holds."""
    (_, other) = record["speeds"]
    other["models"][1]["seconds"] = [9.0] * 6
    record["figures"][next(n for n in record["figures"] if "over = base" in n)] = 9.0
    predicate["figures"] = record["figures"]


def smaller(record, predicate):
    record["figures"]["params()"] -= 1
    predicate["figures"] = record["figures"]


def fewer_operations(record, predicate):
    record["figures"]["flops(batch = 1, length = 64 tokens)"] = 2.0
    predicate["figures"] = record["figures"]


def untold(record, predicate):
    del record["figures"][FAST]
    predicate["figures"] = record["figures"]


def only_the_statement(record, predicate):
    predicate["figures"] = {**record["figures"], FAST: 9.0}


def another_setting(record, predicate):
    record["speeds"][0]["batch"] = 8


def a_round_less(record, predicate):
    record["speeds"][0]["models"][0]["seconds"].pop()


def verdict(record, predicate):
    record["claims"][-1]["met"] = True
    predicate["claims"] = record["claims"]


def test_what_was_only_written_again_still_verifies(out):
    forge(out, lambda record, predicate: None)
    assert verified(out).ok


@pytest.mark.parametrize(
    "change",
    [
        faster,
        faster_times,
        smaller,
        fewer_operations,
        untold,
        only_the_statement,
        another_setting,
        a_round_less,
        verdict,
    ],
)
def test_a_forged_size_or_speed_is_found(out, change):
    forge(out, change)
    assert not verified(out).ok


def test_a_stage_that_ended_before_it_was_claimed_leaves_its_claim_open(tmp_path, tiny, clock):
    path = recipe(tmp_path, tiny, "")
    with pytest.raises(Exception, match="stopped"):
        run(path, tmp_path / "out", StopAt(8))
    assert not (tmp_path / "out/stages").exists()
    recipe(tmp_path, tiny, CLAIMS)
    ended = run(path, tmp_path / "out", resume=True)
    assert [v.met for v in ended.verdicts] == [None, None, True, True, None, False, False]
    assert ended.failed


def test_a_reference_that_no_claim_names_any_more_is_not_kept(tmp_path, tiny, clock):
    path = recipe(tmp_path, tiny)
    with pytest.raises(Exception, match="stopped"):
        run(path, tmp_path / "out", StopAt(8))
    assert (tmp_path / "out/stages/dense").is_dir()
    recipe(tmp_path, tiny, "expect params() >= 1\n")
    ended = run(path, tmp_path / "out", resume=True)
    assert not (tmp_path / "out/stages/dense").exists() and not ended.failed
    assert "speeds" not in read_record(tmp_path / "out")


def test_a_rehearsal_measures_nothing(tmp_path, tiny, clock):
    ended = run(recipe(tmp_path, tiny), tmp_path / "out", rehearsal=1)
    record = read_record(tmp_path / "out")
    assert "figures" not in record and "speeds" not in record and ended.verdicts == ()
    assert not (tmp_path / "out/stages").exists()


def test_operations_are_counted_the_same_with_and_without_weights():
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForQuestionAnswering, BertConfig, LlamaConfig

    small = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    for auto, config in (
        (AutoModelForQuestionAnswering, BertConfig(vocab_size=40, **small)),
        (AutoModelForCausalLM, LlamaConfig(vocab_size=40, num_key_value_heads=2, use_cache=False, **small)),
    ):
        model, tokens = auto.from_config(config).eval(), torch.ones(2, 16, dtype=torch.long)
        with torch.inference_mode():
            real = counted(lambda m=model, t=tokens: m(**inputs(m, t)))
        assert of_config(config, auto.__name__, False, 2, 16) == real > 0


def test_a_quantized_model_is_compared_with_one_that_is_not():
    settings = {"batch": 1, "length": 8, "threads": 1}
    figure = FigurePlan(name="speedup", format="onnx_int8", over="stage.dense", **settings)
    took = {("", "onnx_int8"): 1.0, ("stage.dense", "onnx"): 3.0, ("stage.dense", "onnx_int8"): 2.0}
    models = [{"model": m, "runtime": r, "seconds": [s] * 6} for (m, r), s in took.items()]
    form = speeds.SpeedForm.model_validate(
        {
            **settings,
            "rounds": 6,
            "seed": 0,
            "clock": "processor time",
            "machine": "one",
            "versions": {},
            "models": models,
        }
    )
    assert speeds.values([form], [figure]) == {figure.text: 3.0}
    assert speeds.how([form], [figure])[figure.text].startswith(
        "3.00x (3.00 to 3.00) over stage.dense in ONNX Runtime;"
    )
