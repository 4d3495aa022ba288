"""A model whose weights stay on disk is pruned, measured and written as one in memory is, bit for bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import recipelang
from recipelang.engine import offload, spill
from recipelang.engine.course import Course
from recipelang.engine.offload import Offloaded
from recipelang.engine.records import Interrupted, Reporter
from recipelang.loading.plan import planned
from recipelang.source import RecipeError
from tests.cli.command import command
from tests.decoders import make_decoder, make_text
from tests.model_configs import walk_here
from tests.model_table import tokenizer
from tests.model_types import config_of

from .steps import weights
from .test_dtypes import stored_in
from .test_one_shot import StopAtLayer

pytestmark = pytest.mark.filterwarnings("ignore::recipelang.loops.notices.RecipeWarning")

SHOT = """recipe 1 "shot"
model { base = "model", task = causal_lm, dtype = auto }
data { train = "train.jsonl", validation = "dev.jsonl", max_length = 16 tokens, samples = 12 samples }
stage cut {
  mode = one_shot
  prune weights { targets = @linear & @decoder, never = @embeddings | @head, sparsity = 50%, HOW }
}
evaluate dev { metrics = [perplexity], compare = dense, batch = 3 }
export { max_shard = 20 kB }
expect sparsity(@linear & @decoder) == 50%
"""
HOW = (
    "method = wanda",
    "method = wanda, order = parallel, pattern = 2:4",
    "method = sparsegpt(block = 16)",
    "method = alps",
    "method = alps(scope = row), pattern = 2:4",
    "method = magnitude(scope = uniform)",
    "method = random(scope = erk)",
    "method = magnitude(scope = global)",
    "method = random(scope = global), pattern = block(4, 2)",
)


@pytest.fixture
def decoder(tmp_path, monkeypatch):
    """Call it with how to prune."""
    monkeypatch.chdir(tmp_path)
    make_text(tmp_path / "train.jsonl", 40)
    make_text(tmp_path / "dev.jsonl", 10, seed=1)

    def write(how: str, *, tied: bool = False, dtype: torch.dtype = torch.bfloat16) -> Path:
        make_decoder(tmp_path / "model", layers=3, tied=tied)
        stored_in(tmp_path / "model", dtype)
        (tmp_path / "a.recipe").write_text(SHOT.replace("HOW", how), "utf-8")
        return tmp_path / "a.recipe"

    return write


def files(out: Path) -> dict[str, bytes]:
    """The model as it is published."""
    names = [p.name for p in out.iterdir() if p.suffix == ".safetensors" or p.name.endswith("config.json")]
    return {n: (out / n).read_bytes() for n in [*names, "model.safetensors.index.json"]}


@pytest.mark.parametrize(("how", "tied", "dtype"), [
    *((how, False, torch.bfloat16) for how in HOW),
    ("method = wanda", True, torch.float32),
])  # fmt: skip
def test_the_model_and_what_is_measured_of_it_are_the_same(decoder, tmp_path, how, tied, dtype):
    recipe = decoder(how, tied=tied, dtype=dtype)
    memory = recipelang.run(recipe, out=tmp_path / "memory")
    disk = recipelang.run(recipe, out=tmp_path / "disk", offload=True)
    assert files(tmp_path / "disk") == files(tmp_path / "memory")
    assert len(files(tmp_path / "disk")) > 4  # several shards
    assert disk.metrics == memory.metrics
    told = [json.loads((tmp_path / o / "run.json").read_text("utf-8")) for o in ("memory", "disk")]
    assert told[0]["sparsity"] == told[1]["sparsity"] and told[0]["digests"] == told[1]["digests"]
    assert not (tmp_path / "disk" / "checkpoints").exists()


#: stages after `cut`, each on what the one before it left
MORE = {
    "magnitude(scope = uniform)": "magnitude(scope = uniform)",
    "wanda": "wanda",
    "sparsegpt(block = 16)": "sparsegpt(block = 16)",
    "wanda(scope = row)": "alps(scope = uniform)",
    "magnitude(scope = global)": "magnitude(scope = global)",
    "wanda(scope = uniform)": "magnitude(scope = global)",
}


@pytest.mark.parametrize(("first", "then"), [*MORE.items(), ("hold", "magnitude(scope = uniform)")])
def test_several_stages_are_the_same_as_in_memory(decoder, tmp_path, first, then):
    """Zeros of an earlier stage stay, those that the model came with count as other weights do."""
    recipe = decoder(f"method = {first}")
    path = tmp_path / "model" / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.mlp.up_proj.weight"][:3] = 0.0
    save_file(tensors, path, {"format": "pt"})
    text = recipe.read_text("utf-8").replace("== 50%", "== 70%")
    again = text[text.index("stage cut") : text.index("evaluate")].replace("stage cut", "stage more")
    again = again.replace("50%", "70%").replace(f"method = {first}", f"method = {then}")
    if first == "hold":
        text = text.replace("sparsity = 50%, ", "")
    recipe.write_text(text.replace("evaluate dev", again + "evaluate dev"), "utf-8")
    memory = recipelang.run(recipe, out=tmp_path / "memory")
    disk = recipelang.run(recipe, out=tmp_path / "disk", offload=True)
    assert files(tmp_path / "disk") == files(tmp_path / "memory")
    assert disk.metrics == memory.metrics and "stage.more.dev.perplexity" in disk.metrics
    told = [json.loads((tmp_path / o / "run.json").read_text("utf-8")) for o in ("memory", "disk")]
    assert told[0]["sparsity"] == told[1]["sparsity"] and told[0]["digests"] == told[1]["digests"]


def test_what_an_earlier_stage_left_is_removed_when_it_is_written_again(decoder, tmp_path, monkeypatch):
    recipe = decoder("method = magnitude(scope = uniform)")
    text = recipe.read_text("utf-8")
    again = text[text.index("stage cut") : text.index("evaluate")].replace("stage cut", "stage more")
    recipe.write_text(text.replace("evaluate dev", again.replace("50%", "60%") + "evaluate dev"), "utf-8")
    left, tidy = [], Offloaded.tidy
    monkeypatch.setattr(Offloaded, "tidy", lambda self: (tidy(self), left.append(len([*self.kept.iterdir()]))))
    recipelang.run(_without_measures(recipe), out=tmp_path / "out", offload=True)
    assert left == [21, 21]  # a file a matrix


def of_type(folder: Path, kind: str) -> None:
    """`model`, in fp32."""
    torch.manual_seed(0)
    config = config_of(kind)
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder / "model")
    tokenizer(folder / "model", config.vocab_size, False)


@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_neox"])
def test_other_types_are_the_same_too(decoder, tmp_path, monkeypatch, kind):
    walk_here(monkeypatch)
    recipe = decoder("method = sparsegpt(block = 16)")
    shutil.rmtree(tmp_path / "model")
    of_type(tmp_path, kind)
    memory = recipelang.run(recipe, out=tmp_path / "memory")
    disk = recipelang.run(recipe, out=tmp_path / "disk", offload=True)
    assert files(tmp_path / "disk") == files(tmp_path / "memory")
    assert disk.metrics == memory.metrics


def test_never_more_than_a_layer_is_in_memory(decoder, tmp_path, monkeypatch):
    recipe = decoder("method = wanda")
    most, put = [0], Offloaded._put

    def watched(self, parameters):
        put(self, parameters)
        held = [p.numel() for p in self.model.parameters() if not p.is_meta]
        most.append(sum(held))

    monkeypatch.setattr(Offloaded, "_put", watched)
    recipelang.run(recipe, out=tmp_path / "out", offload=True)
    sizes = {n: t.numel() for n, t in weights(tmp_path / "model").items()}
    layer = sum(size for n, size in sizes.items() if ".layers.0." in n)
    outside = sum(size for n, size in sizes.items() if ".layers." not in n)
    assert most[-1] == 0
    assert max(most) == layer + outside  # while all is called; a layer is pruned by itself


def test_interrupted_and_begun_again_is_the_same(decoder, tmp_path):
    recipe = decoder("method = wanda")
    recipelang.run(recipe, out=tmp_path / "whole", offload=True)
    for done in (1, 3):
        with pytest.raises(Interrupted):
            recipelang.run(recipe, out=tmp_path / f"cut{done}", offload=True, reporter=StopAtLayer(done))
        left = sorted(p.name for p in (tmp_path / f"cut{done}" / "checkpoints" / "layers").iterdir())
        assert left == [f"{i}.safetensors" for i in range(done)]
        offloaded = ["--offload"] if done == 3 else []
        assert command("resume", str(tmp_path / f"cut{done}"), *offloaded).code == 0
        assert files(tmp_path / f"cut{done}") == files(tmp_path / "whole")
        assert not (tmp_path / f"cut{done}" / "checkpoints").exists()


def test_weights_stay_on_disk_where_they_do_not_fit(decoder, tmp_path, monkeypatch):
    recipe = decoder("method = magnitude(scope = uniform)")
    monkeypatch.setattr(offload, "free_memory", lambda device: 1000)
    told, made = [], offload.Offloaded.__init__
    monkeypatch.setattr(Reporter, "message", lambda self, text: told.append(text))
    monkeypatch.setattr(offload.Offloaded, "__init__", lambda self, *a: (told.append("made"), made(self, *a))[1])
    recipelang.run(recipe, out=tmp_path / "out", reporter=Reporter())
    assert "made" in told and any("its weights stay on disk" in text for text in told)


@pytest.mark.parametrize(("change", "why"), [
    (("method = wanda", "method = snip(batches = 1)"), "`snip` needs all weights in memory"),
    (("evaluate dev", "stage more { length = 1 step, batch = 2, learning_rate = constant(1e-5, over = start..end) }\nevaluate dev"), "only in one-shot stages"),
    (("stage cut {", "stage cut {\n  drop layers { keep = [0, 2] }"), "the model loses layers"),
])  # fmt: skip
def test_what_needs_its_weights_in_memory_is_refused(decoder, tmp_path, change, why):
    recipe = decoder("method = wanda")
    text = recipe.read_text("utf-8")
    assert change[0] in text
    recipe.write_text(text.replace(*change), "utf-8")
    with pytest.raises(RecipeError) as error:
        recipelang.run(recipe, out=tmp_path / "out", offload=True)
    (found,) = error.value.diagnostics
    assert found.code == "E223" and why in found.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("kind", "how"), [
    ("mixtral", "method = magnitude(scope = uniform)"),
    ("mixtral", "method = wanda"),
    ("qwen2_moe", "method = sparsegpt(block = 16)"),
    ("qwen2_moe", "method = alps"),
    ("qwen3_moe", "method = magnitude(scope = global)"),
])  # fmt: skip
def test_experts_that_files_hold_one_by_one_are_the_same_too(decoder, tmp_path, monkeypatch, kind, how):
    walk_here(monkeypatch)
    recipe = decoder(how)
    shutil.rmtree(tmp_path / "model")
    of_type(tmp_path, kind)
    assert any(".experts.0." in name for name in load_file(tmp_path / "model" / "model.safetensors"))
    memory = recipelang.run(recipe, out=tmp_path / "memory")
    disk = recipelang.run(recipe, out=tmp_path / "disk", offload=True)
    assert files(tmp_path / "disk") == files(tmp_path / "memory")
    assert disk.metrics == memory.metrics


def test_one_process_is_told_to_do_what_several_would(decoder):
    plan = planned(str(decoder("method = wanda")))[1]
    with pytest.raises(RecipeError) as error:
        offload.offloads(plan, True, shard=True)
    (found,) = error.value.diagnostics
    assert found.code == "E223" and "exclude each other" in found.message and "one process" in found.help[0]
    assert offload.offloads(plan, False, shard=True) is None


def test_a_weight_that_is_no_number_is_found_before_its_layer_is_written(decoder, tmp_path):
    recipe = decoder("method = wanda")
    path = tmp_path / "model" / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.2.mlp.down_proj.weight"][0, 0] = torch.nan
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(RecipeError, match="E187"):
        recipelang.run(_without_measures(recipe), out=tmp_path / "out", offload=True)
    assert not list((tmp_path / "out").glob("*.safetensors"))


def _without_measures(recipe: Path) -> Path:
    lines = recipe.read_text("utf-8").splitlines()
    recipe.write_text("\n".join(line for line in lines if not line.startswith("evaluate")), "utf-8")
    return recipe


@pytest.mark.parametrize("order", ["sequential", "parallel"])
def test_samples_that_memory_has_no_room_for_lie_in_a_file(decoder, tmp_path, monkeypatch, order):
    recipe = decoder(f"method = wanda, order = {order}")
    text = recipe.read_text("utf-8").replace("mode = one_shot", "mode = one_shot\n  micro_batch = 5")
    recipe.write_text(text, "utf-8")
    recipelang.run(recipe, out=tmp_path / "memory")
    monkeypatch.setattr(spill, "ROOM", 5 * 16 * 32 * 2)  # samples, tokens, width, bytes: the first portion of three
    made, scratch = [], spill.scratch_file
    monkeypatch.setattr(spill, "scratch_file", lambda folder: made.append(scratch(folder)) or made[-1])
    recipelang.run(recipe, out=tmp_path / "disk", offload=True)
    assert files(tmp_path / "disk") == files(tmp_path / "memory")
    assert [f.closed for f in made] == [True]


def test_a_measurement_reads_every_layer_once_for_all_its_batches(decoder, tmp_path, monkeypatch):
    recipe = decoder("method = magnitude(scope = uniform)")
    read, present = [], Offloaded.read

    def watched(self, names):
        names = list(names)
        read.append("model.layers.1.mlp.up_proj.weight" in names)
        return present(self, names)

    def measured(self, *a, **named):
        before = sum(read)
        found = measure(self, *a, **named)
        passes.append(sum(read) - before)
        return found

    measure, passes = Course.measure, []
    monkeypatch.setattr(Offloaded, "read", watched)
    monkeypatch.setattr(Course, "measure", measured)
    recipelang.run(recipe, out=tmp_path / "out", offload=True)
    assert passes == [2, 2]  # to learn what it gives, and for the batches; dense, and pruned


def test_the_plan_says_what_it_takes(decoder):
    shown = " ".join(command("plan", decoder("method = wanda")).out.split())
    assert "with `run --offload`" in shown
    assert "--offload" not in command("plan", decoder("method = snip(batches = 1)")).out
