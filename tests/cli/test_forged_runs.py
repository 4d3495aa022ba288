"""A forger who may rewrite every file of a run, and refits every digest, is still found out, or told of."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from recipelang.engine.card import card
from recipelang.engine.position import Session
from recipelang.engine.records import read_plan, read_record
from recipelang.provenance.contents import LOADED, ending, recipe_of
from recipelang.provenance.recorded import check_recorded
from recipelang.provenance.stage_models import check_stage_files, check_stage_weights
from recipelang.provenance.statement import read_statement
from recipelang.report.run import text
from recipelang.source import RecipeError
from tests.cli.command import command
from tests.cli.test_provenance import STATEMENT, here, made, rewrite  # noqa: F401 (fixtures)
from tests.signing import make_key

HEAD = "qa_outputs.weight"
DENSE = "bert.encoder.layer.0.output.dense.weight"


def refit(out: Path, change: Callable[[dict], object] = lambda body: None) -> None:
    """Change the statement, and make every digest in it true of the files as they are now."""
    body = json.loads((out / STATEMENT).read_text("utf-8"))
    change(body)
    for subject in body["subject"]:
        if (out / subject["name"]).is_file():
            subject["digest"]["sha256"] = hashlib.sha256((out / subject["name"]).read_bytes()).hexdigest()
    for name in body["predicate"]["files"]:
        if (out / name).is_file():
            body["predicate"]["files"][name] = hashlib.sha256((out / name).read_bytes()).hexdigest()
    (out / STATEMENT).write_text(json.dumps(body), "utf-8")


def weights(out: Path, change: Callable[[str, np.ndarray], None]) -> None:
    """Every tensor of the weight file, to be changed in place."""
    path = out / "model.safetensors"
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + at for at in entry["data_offsets"])
            values = np.frombuffer(data, "<f4", (end - begin) // 4, begin)
            change(name, values)
    path.write_bytes(data)


def dense(name: str, values: np.ndarray) -> None:
    values[values == 0] = 0.5


def zeros_of(out: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    weights(out, lambda name, values: found.update({name: int((values == 0).sum())}))
    return found


def recount(out: Path) -> Callable[[dict], None]:
    """Zeros in the statement as they are now."""
    zeros = zeros_of(out)

    def change(body: dict) -> None:
        for name, told in body["predicate"]["tensors"].items():
            told["zeros"] = zeros[name]

    return change


def made_dense_and_emptied(out: Path) -> None:
    weights(out, dense)
    refit(out, lambda b: b["predicate"].update(tensors={}, claims=[], patterns={}))
    rewrite(out / "run.json", lambda b: b.update(claims=[]))
    refit(out)


def made_dense_and_counted(out: Path) -> None:
    weights(out, dense)
    refit(out, recount(out))


def selection_rewritten(out: Path) -> None:
    """All but one matrix are dense, and the plan says that the claim means that one."""
    weights(out, lambda n, v: None if n == DENSE else dense(n, v))

    def narrow(plan: dict) -> None:
        plan["selections"] = {s: [DENSE] for s in plan["selections"]}

    rewrite(out / "recipe/plan.json", narrow)
    refit(out, recount(out))


def head_zeroed(out: Path) -> None:
    weights(out, lambda n, v: v.fill(0) if n == HEAD else None)


def head_zeroed_and_never_emptied(out: Path) -> None:
    head_zeroed(out)
    rewrite(out / "recipe/plan.json", lambda b: b.update(never=[]))
    refit(out, lambda b: (recount(out)(b), b["predicate"].update(never={})))


def head_zeroed_before(out: Path) -> None:
    head_zeroed(out)
    refit(out, lambda b: (recount(out)(b), b["predicate"]["never"].update({HEAD: zeros_of(out)[HEAD]})))


def not_a_number(out: Path) -> None:
    def spoil(name: str, values: np.ndarray) -> None:
        values[values != 0] = np.nan if name == DENSE else values[values != 0]

    weights(out, spoil)
    refit(out)


def fewer_layers(out: Path) -> None:
    rewrite(out / "config.json", lambda b: b.update(num_hidden_layers=1))
    refit(out)


def no_config(out: Path) -> None:
    (out / "config.json").unlink()
    refit(out, lambda b: b.update(subject=[s for s in b["subject"] if s["name"] != "config.json"]))


def said_to_have_failed(out: Path) -> None:
    rewrite(out / "run.json", lambda b: b.update(status="failed"))
    refit(out, lambda b: b["predicate"].update(status="failed"))


def better_in_the_record(out: Path) -> None:
    rewrite(out / "run.json", lambda b: b["metrics"].update({"dev.f1": 0.99}))
    refit(out)


def better_on_the_card(out: Path) -> None:
    text = (out / "README.md").read_text("utf-8")
    (out / "README.md").write_text(text.replace("# tiny", "# tiny, 99 % accurate"), "utf-8")
    refit(out)


def another_page(out: Path) -> None:
    (out / "report.html").write_text("<script>alert(1)</script>", "utf-8")


def another_plot(out: Path) -> None:
    (out / "plots").mkdir()
    (out / "plots" / "loss.svg").write_text("<svg/>", "utf-8")


def added(name: str) -> Callable[[Path], None]:
    def add(out: Path) -> None:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"\x80\x04.")

    return add


def one_name_twice(out: Path) -> None:
    refit(out, lambda b: b["predicate"]["files"].update({"model.safetensors": "0" * 64}))


def no_such_tensor(out: Path) -> None:
    rewrite(out / "recipe/plan.json", lambda b: b.update(selections={s: ["no.such"] for s in b["selections"]}))
    refit(out)


def other_block(out: Path) -> None:
    def change(plan: dict) -> None:
        plan["stages"][-1]["prunes"][0].update(method="hold", events=[])

    rewrite(out / "recipe/plan.json", change)
    refit(out)


def other_evaluation(out: Path) -> None:
    rewrite(out / "recipe/plan.json", lambda b: b["evaluations"][0].update(samples=1))
    refit(out)


def not_a_rehearsal(out: Path) -> None:
    rewrite(out / "recipe/plan.json", lambda b: b.update(rehearsal=1))
    refit(out)


def other_curves(out: Path) -> None:
    (curve,) = (out / "tensorboard").iterdir()
    curve.write_bytes(curve.read_bytes()[:100])
    refit(out)


def listed(name: str) -> Callable[[Path], None]:
    """As `added`, and named by the statement as well."""

    def add(out: Path) -> None:
        added(name)(out)
        refit(out, lambda b: b["predicate"]["files"].update({name: ""}))

    return add


def planned(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        rewrite(out / "recipe/plan.json", change)
        refit(out)

    return forge


def told(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """In the statement alone."""
    return lambda out: refit(out, lambda b: change(b["predicate"]))


def stamped(key: str) -> Callable[[Path], None]:
    """Other words of the same length in the header of the weights."""

    def forge(out: Path) -> None:
        path = out / "model.safetensors"
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header["__metadata__"][key] = "x" * len(header["__metadata__"].get(key, "forged"))
        text = json.dumps(header, ensure_ascii=False).encode("utf-8")
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        refit(out)

    return forge


def other_seed(out: Path) -> None:
    rewrite(out / "run.json", lambda b: b.update(seed=7))
    refit(out, lambda b: b["predicate"].update(seed=7))


def other_columns(out: Path) -> None:
    rewrite(out / "run.json", lambda b: b.update(counted={}))
    refit(out)


def in_half_precision(out: Path, fit: Callable[[], None] | None = None) -> None:
    path = out / "model.safetensors"
    with safe_open(path, "np") as file:
        tensors = {n: file.get_tensor(n).astype(np.float16) for n in file.keys()}  # noqa: SIM118
        stamp = file.metadata()
    save_file(tensors, path, stamp)
    if fit is None:
        refit(out)
    else:
        fit()


def no_tokenizer(out: Path) -> None:
    (out / "tokenizer.json").unlink()
    refit(out, lambda b: b.update(subject=[s for s in b["subject"] if s["name"] != "tokenizer.json"]))


def no_card(out: Path) -> None:
    (out / "README.md").unlink()
    refit(out, lambda b: b["predicate"]["files"].pop("README.md"))


def typed(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Other words in a text of the recipe."""

    def forge(out: Path) -> None:
        text = (out / "recipe" / name).read_text("utf-8")
        assert old in text
        (out / "recipe" / name).write_text(text.replace(old, new), "utf-8")
        refit(out)

    return forge


def nothing_typed(out: Path) -> None:
    shutil.rmtree(out / "recipe/sources")
    refit(out, lambda b: b["predicate"]["files"].pop("recipe/sources/tiny.recipe"))


def no_effective(out: Path) -> None:
    (out / "recipe/effective.recipe").unlink()
    (out / "recipe/effective.recipe").mkdir()
    refit(out, lambda b: b["predicate"]["files"].pop("recipe/effective.recipe"))


def another_parameter(out: Path) -> None:
    """In the two places that name them."""
    rewrite(out / "recipe/origin.json", lambda b: b["parameters"].update(target="99%"))
    refit(out, lambda b: b["predicate"]["parameters"].update(target="99%"))


def started(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        rewrite(out / "run.json", change)
        refit(out)

    return forge


def another_digest(out: Path) -> None:
    """Of the run, wherever it is named but in the weights."""
    rewrite(out / "run.json", lambda b: b["digests"].update(run="sha256:" + "0" * 64))
    refit(out, lambda b: b["predicate"]["digests"].update(run="sha256:" + "0" * 64))


def other_threads(out: Path) -> None:
    rewrite(out / "run.json", lambda b: b["environment"].update(threads=64))
    refit(out, lambda b: b["predicate"]["environment"].update(threads=64))


def listed_weights(name: str) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        shutil.copy(out / "model.safetensors", out / name)
        refit(out, lambda b: b["subject"].append({"name": name, "digest": {"sha256": ""}}))

    return forge


def weights_of_stage(change: Callable[[str, np.ndarray], None]) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        weights(out / "stages/dense", change)
        refit(out)

    return forge


def stage_of_another_run(out: Path) -> None:
    path = out / "stages/dense/model.safetensors"
    data = path.read_bytes()
    run = json.loads((out / STATEMENT).read_text("utf-8"))["predicate"]["digests"]["run"].encode()
    assert run in data
    path.write_bytes(data.replace(run, b"sha256:" + b"0" * 64))
    refit(out)


def stage_converted(out: Path) -> None:
    in_half_precision(out / "stages/dense", lambda: refit(out))


def stage_file(name: str) -> Callable[[Path], None]:
    def forge(out: Path) -> None:
        path = out / "stages/dense" / name
        path.write_text(path.read_text("utf-8") + " ", "utf-8")
        refit(out)

    return forge


def stage_renamed(to: str | None, copied: bool = False) -> Callable[[Path], None]:
    """The files of stage `dense` below another name, or gone, and so in the statement."""

    def change(files: dict[str, str]) -> None:
        for name in [n for n in files if n.startswith("stages/dense/")]:
            digest = files[name] if copied else files.pop(name)
            if to is not None:
                files[name.replace("stages/dense/", f"stages/{to}/")] = digest

    def forge(out: Path) -> None:
        if to is not None:
            shutil.copytree(out / "stages/dense", out / "stages" / to)
        if not copied:
            shutil.rmtree(out / "stages/dense")
        refit(out, lambda b: change(b["predicate"]["files"]))

    return forge


def in_config(**more: object) -> Callable[[Path], None]:
    """Of the final model and of the stage's, which are alike."""

    def forge(out: Path) -> None:
        for path in (out / "config.json", out / "stages/dense/config.json"):
            rewrite(path, lambda b: b.update(more))
        refit(out)

    return forge


def at_another_time(out: Path) -> None:
    rewrite(out / "run.json", lambda b: b.update(time="1999-01-01T00:00:00+00:00"))
    refit(out, lambda b: b["predicate"].update(time="1999-01-01T00:00:00+00:00"))


def one_tensor_more(out: Path) -> None:
    path = out / "model.safetensors"
    with safe_open(path, "np") as file:
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
        stamp = file.metadata()
    save_file({**tensors, "extra.weight": np.ones((2, 2), np.float32)}, path, stamp)
    refit(out)


def judged_rehearsal(out: Path) -> None:
    refit(out, lambda b: b["predicate"].update(rehearsal=1))
    rewrite(out / "run.json", lambda b: b.update(rehearsal=1))
    rewrite(out / "recipe/plan.json", lambda b: b.update(rehearsal=1))
    refit(out)


def drawn_again(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Other figures in the record, with card and page drawn from them."""

    def forge(out: Path) -> None:
        rewrite(out / "run.json", change)
        record, plan = read_record(out), read_plan(out)
        refit(out, lambda b: b["predicate"].update(metrics=record["metrics"]))
        (out / "README.md").write_text(card(plan, record, out), "utf-8")
        (out / "report.html").write_text(text(out, plan), "utf-8")
        refit(out)

    return forge


FORGED = {
    "a higher share of zeros": (drawn_again(lambda b: b["sparsity"].update(targets=0.99)), "E140"),
    "more zeros in all": (drawn_again(lambda b: b["sparsity"].update(all_parameters=0.99)), "E140"),
    "more zeros in a matrix": (drawn_again(lambda b: b["sparsity"]["tensors"].update({DENSE: 0.99})), "E140"),
    "fewer protected": (drawn_again(lambda b: b["never"].update(tensors=1)), "E140"),
    "another metric": (drawn_again(lambda b: b["metrics"].update({"dev.accuracy": 1.0})), "E138"),
    "a metric less": (drawn_again(lambda b: b["metrics"].pop("dev.f1")), "E138"),
    "measured on all": (drawn_again(lambda b: b.update(measured_on={"dev.f1": "all"})), "E138"),
    "another word typed": (typed("sources/tiny.recipe", "batch = 8", "batch = 4"), "E138"),
    "no recipe typed": (typed("sources/tiny.recipe", "recipe 1", "recipe one"), "E138"),
    "another name typed": (typed("sources/tiny.recipe", '"tiny"', '"huge"'), "E138"),
    "another word for resume": (typed("effective.recipe", "batch = 8", "batch = 4"), "E138"),
    "nothing typed": (nothing_typed, "E136"),
    "nothing for resume": (no_effective, "E136"),
    "another parameter": (another_parameter, "E138"),
    "no start": (started(lambda b: b.update(sessions=[])), "E138"),
    "a start with other claims": (started(lambda b: b["sessions"][0].update(claims=[])), "E138"),
    "a start in another environment": (started(lambda b: b["sessions"][0]["environment"].update(threads="64")), "E138"),
    "one start more": (
        started(lambda b: b["sessions"].insert(0, {**b["sessions"][0], "environment": {}, "step": 1})),
        "E138",
    ),
    "another run digest": (another_digest, "E138"),
    "other threads": (other_threads, "E138"),
    "a shard that is listed": (listed_weights("model-00001-of-00002.safetensors"), "E136"),
    "one tensor more": (one_tensor_more, "E140"),
    "judged, and called a rehearsal": (judged_rehearsal, "E140"),
    "pickle that is listed": (listed("pytorch_model.bin"), "E136"),
    "code that is listed": (listed("modeling_tiny.py"), "E136"),
    "checkpoint that is listed": (listed("checkpoints/x.pt"), "E136"),
    "another seed": (other_seed, "E138"),
    "other seeds of stages": (told(lambda p: p.update(stage_seeds={})), "E138"),
    "another format": (told(lambda p: p.update(format_version="2.0")), "E137"),
    "counted by nothing": (other_columns, "E138"),
    "another name in the header": (stamped("recipe.name"), "E138"),
    "another recipe in the header": (stamped("recipe.source"), "E138"),
    "more in the header": (stamped("recipe.certified"), "E138"),
    "no format in the header": (stamped("format"), "E138"),
    "half precision": (in_half_precision, "E140"),
    "no tokenizer": (no_tokenizer, "E076"),
    "no card": (no_card, "E136"),
    "another batch": (planned(lambda p: p["stages"][0].update(batch=3, micro_batch=3)), "E138"),
    "another rate": (planned(lambda p: p["stages"][0]["learning_rate"][0].update(start=0.5)), "E138"),
    "a shape that nobody knows": (planned(lambda p: p["stages"][0]["learning_rate"][0].update(shape="x")), "E137"),
    "no rate": (planned(lambda p: p["stages"][0].update(learning_rate=[])), "E137"),
    "another optimizer": (planned(lambda p: p["stages"][0].update(optimizer_args={})), "E138"),
    "another order": (planned(lambda p: p["data"][0].update(shuffle=False)), "E138"),
    "other data": (planned(lambda p: p["data"][0]["splits"]["train"].update(digest="sha256:" + "0" * 64)), "E138"),
    "another draw": (planned(lambda p: p["data"][0].update(draw_seed=9)), "E138"),
    "more checkpoints kept": (planned(lambda p: p["stages"][0].update(keep=9)), "E138"),
    "compiled": (planned(lambda p: p["stages"][0].update(compile=True)), "E138"),
    "other checkpoints": (planned(lambda p: p["stages"][0].update(checkpoint_every=1)), "E138"),
    "another event": (planned(lambda p: p["stages"][1]["prunes"][0]["events"][0].update(sparsity=0.25)), "E138"),
    "an event less": (planned(lambda p: p["stages"][1]["prunes"][0]["events"].pop(0)), "E138"),
    "other ties": (planned(lambda p: p["stages"][1]["prunes"][0].update(ties="sparseml_1")), "E138"),
    "another temperature": (
        planned(lambda p: p["stages"][1]["distills"][0]["temperature"][0].update(start=9.0)),
        "E138",
    ),
    "another hardness": (planned(lambda p: p["stages"][1]["distills"][0]["hardness"][0].update(start=0.5)), "E138"),
    "no distillation": (planned(lambda p: p["stages"][1].update(distills=[])), "E138"),
    "a group": (
        planned(lambda p: p["stages"][0].update(groups=[{"names": ["x"], "targets": [HEAD], "weights": 1}])),
        "E138",
    ),
    "something frozen": (
        planned(lambda p: p["stages"][0].update(freezes=[{"name": "x", "targets": [HEAD], "weights": 1}])),
        "E138",
    ),
    "norms decay": (planned(lambda p: p["stages"][0].update(undecayed=["x"])), "E138"),
    "measured inside": (planned(lambda p: p["evaluations"][0].update(every={"dense": 1})), "E138"),
    "measured before": (planned(lambda p: p["evaluations"][0].update(dense=True)), "E138"),
    "another dropout": (planned(lambda p: p["model"].update(dropout=0.5)), "E138"),
    "more parameters": (planned(lambda p: p["model"].update(parameters=1)), "E138"),
    "smaller files": (planned(lambda p: p["export"].update(max_shard=1_000_000)), "E138"),
    "another word with a claim": (planned(lambda p: p["claims"][0].update(message="certified")), "E138"),
    "less memory": (planned(lambda p: p.update(peak_memory=1)), "E138"),
    "made dense, and what was counted emptied": (made_dense_and_emptied, "E140"),
    "made dense, and counted anew": (made_dense_and_counted, "E140"),
    "selection rewritten": (selection_rewritten, "E138"),
    "head zeroed, never emptied": (head_zeroed_and_never_emptied, "E138"),
    "head zeroed, and said to have been": (head_zeroed_before, "E140"),
    "weights that are no numbers": (not_a_number, "E187"),
    "fewer layers": (fewer_layers, "E076"),
    "no config": (no_config, "E136"),
    "failed": (said_to_have_failed, "E140"),
    "better in the record": (better_in_the_record, "E138"),
    "better on the card": (better_on_the_card, "E136"),
    "another page": (another_page, "E136"),
    "another plot": (another_plot, "E136"),
    "pickle among checkpoints": (added("checkpoints/pytorch_model.bin"), "E136"),
    "anything among checkpoints": (added("checkpoints/notes"), "E136"),
    "graph beside": (added("onnx/model.onnx"), "E136"),
    "second weights": (added("model-00001-of-00001.safetensors"), "E136"),
    "second weights below": (added("best/model.safetensors"), "E136"),
    "weights in plots": (added("plots/model.bin"), "E136"),
    "one name twice": (one_name_twice, "E137"),
    "selection of no tensor": (no_such_tensor, "E138"),
    "another method": (other_block, "E138"),
    "fewer samples": (other_evaluation, "E138"),
    "called a rehearsal": (not_a_rehearsal, "E138"),
    "other curves": (other_curves, "E138"),
    "a stage gone": (stage_renamed(None), "E136"),
    "two values of one": (drawn_again(lambda b: b["metrics"].update({"dev.f1": 0.99})), "E138"),
    "a stage's weights no numbers": (weights_of_stage(lambda n, v: v.fill(np.nan)), "E187"),
    "code behind a blank": (added("modeling.py "), "E136"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_run_is_found_out_and_not_signed(name: str, here: Path):  # noqa: F811
    forge, code = FORGED[name]
    forge(here / "out")
    ended = command("verify", "out")
    assert (ended.code, code in ended.codes) == (5, True), ended.codes
    make_key(here / "a.pem", here / "a.pub")
    assert command("sign", "out", "--key", "a.pem").code == 1
    assert not (here / "out/recipe/statement.sigstore.json").exists()


def with_its_own_inputs(here: Path, made: Path) -> None:  # noqa: F811
    """The plan's paths, which only this machine has, lead to the copy."""
    path = here / "out/recipe/plan.json"
    path.write_text(path.read_text("utf-8").replace(str(made), str(here)), "utf-8")
    assert command("report", "out").code == 0  # the page shows them
    refit(here / "out")


def test_the_last_line_says_what_was_not_checked(here: Path, made: Path):  # noqa: F811
    with_its_own_inputs(here, made)
    (here / "out/notes.md").write_text("mine", "utf-8")
    ended = command("verify", "out")
    assert ended.code == 0
    last = ended.out.strip().splitlines()[-1]
    for words in ("signature", "evaluations", "1 file that the run did not write"):
        assert words in last, last
    shutil.rmtree(here / "model")
    assert "before the run" in command("verify", "out").out


def test_a_tokenizer_is_the_base_models_where_that_is_here(here: Path, made: Path):  # noqa: F811
    with_its_own_inputs(here, made)
    with (here / "out/tokenizer.json").open("a", encoding="utf-8") as file:
        file.write(" ")
    refit(here / "out")
    ended = command("verify", "out")
    assert (ended.code, set(ended.codes)) == (5, {"E136"})  # nor is it that of the stage
    assert "base model" in ended.err


STAGE = {
    "head zeroed": (weights_of_stage(lambda n, v: v.fill(0) if n == HEAD else None), "E140"),
    "converted": (stage_converted, "E140"),
    "of another run": (stage_of_another_run, "E138"),
    "other tokenizer": (stage_file("tokenizer.json"), "E136"),
    "other config": (stage_file("config.json"), "E136"),
    "renamed": (stage_renamed("Dense"), "E136"),
    "taught nobody": (stage_renamed("sparse", copied=True), "E136"),
}


@pytest.mark.parametrize("name", STAGE)
def test_models_of_stages_are_looked_at(name: str, here: Path):  # noqa: F811
    forge, code = STAGE[name]
    out = here / "out"
    plan, recipe = read_plan(out), recipe_of(out)
    check_stage_files(out, read_statement(out), plan)
    check_stage_weights(out, read_statement(out), plan, recipe)
    forge(out)
    with pytest.raises(RecipeError) as error:
        check_stage_files(out, read_statement(out), plan)
        check_stage_weights(out, read_statement(out), plan, recipe)
    assert [d.code for d in error.value.diagnostics] == [code]


def of_start(**more: object) -> Callable[[dict], object]:
    return lambda b: b["sessions"][0].update(more)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b["metrics"].update({"stage.dense.dev.f1": 7.5}),
        lambda b: b["metrics"].update({"stage.dense.dev.f1": -0.5}),
        lambda b: b["metrics"].update({"dev.exact_match": 0.99}),
        lambda b: b["seconds"].update(more=1.0),
        lambda b: b.update(time="1999-01-01T00:00:00+00:00"),
        lambda b: b.update(time="2999-01-01T00:00:00+00:00"),
        lambda b: b.update(time="soon"),
        lambda b: b["sessions"].append({**b["sessions"][0], "step": 999}),
        lambda b: b["sessions"].append({**b["sessions"][0], "stage": 3}),
        of_start(stage=1, step=1),
        of_start(started="2999-01-01T00:00:00+00:00"),
        of_start(started="yesterday"),
    ],
)
def test_a_record_says_what_a_run_can_say(change: Callable[[dict], object], made: Path):  # noqa: F811
    record, plan = read_record(made / "out"), read_plan(made / "out")

    def check() -> None:
        check_recorded(record, [Session.model_validate(s) for s in record["sessions"]], plan)

    check()
    change(record)
    with pytest.raises(RecipeError) as error:
        check()
    assert [d.code for d in error.value.diagnostics] == ["E138"]


@pytest.mark.parametrize(
    "name", ["modeling.py ", "modeling\uff0epy", "Model.ZIP", "model.engine", "m.llamafile", "k.dll"]
)
def test_what_a_program_would_load_is_known_by_its_ending(name: str):
    assert ending(name) in LOADED


@pytest.mark.parametrize("more", [{"auto_map": {"AutoModel": "x.Y"}}, {"hidden_act": "relu"}])
def test_a_config_computes_as_the_base_models_does(more: dict[str, object], here: Path, made: Path):  # noqa: F811
    with_its_own_inputs(here, made)
    in_config(**more)(here / "out")
    ended = command("verify", "out")
    assert (ended.code, ended.codes) == (5, ["E136"])
    assert next(iter(more)) in ended.err


def test_a_signature_is_of_the_statement_whoever_is_asked_for(here: Path):  # noqa: F811
    make_key(here / "a.pem", here / "a.pub")
    assert command("sign", "out", "--key", "a.pem").code == 0
    assert command("verify", "out").code == 0
    bundle = here / "out/recipe/statement.sigstore.json"
    whole = bundle.read_text("utf-8")
    refit(here / "out", lambda b: b["predicate"].update(noted=1))
    for words in (whole, "{}"):
        bundle.write_text(words, "utf-8")
        ended = command("verify", "out")
        assert (ended.code, ended.codes) == (5, ["E142"])
        assert command("push", "out", "shared").codes == ["E142"]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(status="interrupted"),
        lambda p: p.update(claims=[]),
        lambda p: p["claims"][-1].update(met=False),
        lambda p: p["claims"][-1].update(measured="99.00 %"),
        lambda p: p["metrics"].update({"dev.f1": 0.99}),
    ],
)
def test_a_run_that_contradicts_itself_is_not_published(change: Callable[[dict], object], here: Path):  # noqa: F811
    refit(here / "out", lambda b: change(b["predicate"]))
    ended = command("push", "out", "shared")
    assert (ended.code, ended.codes) == (1, ["E138"])
    assert not (here / "shared").exists()


def test_inspect_says_when_a_run_did_not_finish(here: Path):  # noqa: F811
    said_to_have_failed(here / "out")
    assert re.search(r"^ *status +failed", command("inspect", "out").out, re.MULTILINE)


def test_what_no_run_can_say_is_not_shown_as_one(here: Path):  # noqa: F811
    """Anybody who may push can attach a statement."""
    from recipelang.artifact.referrers import STATEMENT as KIND, Referrer
    from recipelang.cli.packed import packed
    from recipelang.provenance.checks import Verified
    from recipelang.provenance.published import verify_published

    artifact = packed("out").artifact
    recipe = recipe_of(here / "out")
    good = (here / "out" / STATEMENT).read_bytes()
    body = json.loads(good)
    body["predicate"] |= {"status": "failed", "time": "2998-01-01T00:00:00+00:00"}
    forged = json.dumps(body).encode()

    done = Verified()
    verify_published(artifact, recipe, [Referrer(KIND, good), Referrer(KIND, forged)], [], done)
    assert done.ok and any("did not finish" in note for note in done.notes)
    done = Verified()
    verify_published(artifact, recipe, [Referrer(KIND, forged)], [], done)
    assert [d.code for d in done.findings] == ["E138"] and not done.claims


def test_evaluations_are_of_the_data_that_the_run_read(here: Path, made: Path):  # noqa: F811
    with_its_own_inputs(here, made)
    shutil.copy(here / "train.json", here / "dev.json")
    ended = command("verify", "out", "--evaluate")
    assert (ended.code, ended.codes) == (5, ["E195"])
    assert "is not the data" in ended.err


def test_a_rehearsal_is_called_one(here: Path):  # noqa: F811
    assert command("run", "tiny.recipe", "-o", "short", "--steps", "1").code == 0
    ended = command("verify", "short")
    assert ended.code == 0
    assert "a rehearsal" in ended.out.replace("\n", " ")
    claims = [line for line in ended.out.splitlines() if line.startswith(("expect ", "prefer "))]
    assert len(claims) == 3 and all("not checked" in line for line in claims)
