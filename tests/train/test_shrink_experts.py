"""`shrink` drops experts of mixtures: those that REAP ranks last; what is left computes what the whole does without them."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM

import recipelang
from recipelang.engine.cuts import summed, taken
from recipelang.engine.records import Interrupted
from recipelang.engine.routed import Routed
from recipelang.engine.shrink import can_shrink, smaller
from recipelang.engine.worth import Read
from recipelang.loops.notices import RecipeWarning
from recipelang.planning.facts import read_model_facts
from recipelang.planning.shrink import before, plan_shrink
from recipelang.planning.shrink_plan import CutPlan, ShrinkPlan
from recipelang.source import RecipeError
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Size
from tests.decoders import make_text
from tests.mixtures import make_avoiding
from tests.model_configs import walk_here
from tests.model_table import make, tokenizer
from tests.model_types import config_of

from .steps import StopAt, chosen, run, same, weights
from .test_shrink import Rows, failed, logits
from .test_shrink_types import task_of

SAMPLE = ["mixtral", "qwen2_moe", "gpt_oss", "deepseek_v3", "afmoe", "llama4_text"]
EVERY = [
    *SAMPLE, "openai_privacy_filter", "qwen3_moe", "olmoe", "granitemoe", "ernie4_5_moe", "jamba", "phimoe", "flex_olmo",
    "qwen3_next", "qwen3_5_moe_text", "glm4_moe", "glm4_moe_lite", "minimax", "minimax_m2", "granitemoehybrid",
    "granitemoeshared", "dots1", "exaone_moe", "deepseek_v2", "deepseek_v32", "hunyuan_v1_moe", "lfm2_moe", "mimo_v2_flash",
    "solar_open", "cohere2_moe", "granitemoe_swa", "kimi_linear", "aria_text",
]  # fmt: skip
KINDS = EVERY if os.environ.get("RECIPELANG_EVERY_TYPE") else SAMPLE
READ = Read(Rows(), (), 2, torch.no_grad)


class Without(TorchFunctionMode):
    """The router never chooses some experts: `gone`, by the weights of routers, whose logits for them are -inf."""

    def __init__(self, gone: dict[int, list[int]]) -> None:
        super().__init__()
        self.gone = gone

    def __torch_function__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if getattr(function, "__name__", "") == "linear" and (places := self.gone.get(args[1].data_ptr())):
            out = out.clone()
            out[..., places] = -torch.inf
        return out


@torch.no_grad()
def without(model, facts, kept, rows) -> torch.Tensor:
    """What the whole model computes without the experts that go."""
    gone = {}
    (experts,) = {t.shape[0] for t in facts.tensors if "experts" in t.roles and len(t.shape) == 3}
    for (_, where), units in kept.units.items():
        places = sorted({*range(experts)} - {*units.tolist()})
        for name, table in [*model.named_parameters(), *model.named_buffers()]:
            if not name.startswith(f"{where}."):
                continue
            if name in {t.name for t in facts.tensors if "router" in t.roles and "linear" not in t.roles} or (
                name.rpartition(".")[0].rpartition(".")[2] in ("router", "gate", "wg")
            ):
                gone[table.data_ptr()] = places
            if name.rpartition(".")[2] in ("e_score_correction_bias", "expert_bias"):
                table[..., places] = -torch.inf  # what is added to choose by
    with Without(gone):
        return logits(model, rows)


def whole(tmp_path, monkeypatch, kind):
    walk_here(monkeypatch)
    model = make(tmp_path, kind, task_of(kind)).eval()
    model.config.use_cache = False  # as in runs
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for table in [p for p in model.parameters() if p.dim() in (2, 3) and not p.any()] + [
            b for n, b in model.named_buffers() if n.endswith("bias")
        ]:
            table.normal_(0, 0.1, generator=rng)
    return model, read_model_facts(tmp_path / "model", task_of(kind))


def plan_of(facts, to, by="activation") -> tuple[ShrinkPlan, object]:
    return plan_shrink(ShrinkSpec(name="b", axes=(Size("experts", to),), by=by), facts, ())


@pytest.mark.parametrize("kind", KINDS)
def test_without_some_experts_it_computes_what_the_whole_does_without_them_and_loads(tmp_path, monkeypatch, kind):
    model, facts = whole(tmp_path, monkeypatch, kind)
    plan, left = plan_of(facts, Fraction(1, 2))
    can_shrink(model, plan)
    assert before(plan, left).tensors == facts.tensors
    assert ShrinkPlan.model_validate_json(plan.model_dump_json()) == plan
    kept = chosen(model, plan, READ)
    small = smaller(model, kept)
    out, dense = logits(small), logits(model)
    assert not torch.equal(out, dense)
    torch.testing.assert_close(out, without(model, facts, kept, Rows()), rtol=1e-4, atol=1e-5)
    small.save_pretrained(tmp_path / "small")
    again = type(small).from_pretrained(tmp_path / "small").eval()
    assert torch.equal(logits(again), out)
    assert sum(p.numel() for p in again.parameters()) == plan.parameters[1]


def mixture(folder, monkeypatch, kind="mixtral", **more):
    """With experts that differ much in what they put out."""
    walk_here(monkeypatch)
    torch.manual_seed(1)
    config = config_of(kind)
    for key, value in more.items():
        setattr(config, key, value)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.config.use_cache = False
    with torch.no_grad():
        for layer in model.model.layers:
            if hasattr(layer.mlp, "experts"):
                layer.mlp.experts.down_proj.mul_(
                    torch.tensor([3.0, 0.3, 1.0, 2.0]).repeat(4)[: len(layer.mlp.experts.down_proj), None, None]
                )
    model.save_pretrained(folder)
    return model, read_model_facts(folder, "causal_lm")


def test_scores_are_those_of_the_paper_in_float64(tmp_path, monkeypatch):
    """S_j: over the tokens sent to expert j the mean of g_j(x) · |f_j(x)| (arXiv 2510.13999)."""
    model, facts = mixture(tmp_path, monkeypatch)
    plan, _ = plan_of(facts, 2)
    states, routed = [], Routed()
    layers = [layer.mlp for layer in model.model.layers]
    hooks = [m.register_forward_pre_hook(lambda m, args: states.append(args[0].detach())) for m in layers]
    batch = Rows().batch(np.arange(6))
    real = torch.from_numpy(batch["attention_mask"]).bool().flatten()
    for i, block in enumerate(layers):
        hooks.append(block.experts.register_forward_hook(routed.looks(f"{i}", 4, lambda: real)))
    with torch.no_grad():
        model(**{k: torch.from_numpy(v) for k, v in batch.items()})
    for hook in hooks:
        hook.remove()
    kept = chosen(model, plan, READ)
    for number, block in enumerate(layers):
        x = states[number].double().flatten(0, 1)[real]
        gates = torch.softmax(x @ block.gate.weight.double().T, dim=-1)
        first, sent = gates.topk(2, dim=-1)
        first = first / first.sum(-1, keepdim=True)
        scores = []
        for j in range(4):
            a, b = (x @ block.experts.gate_up_proj[j].double().T).chunk(2, dim=-1)
            out = (torch.nn.functional.silu(a) * b) @ block.experts.down_proj[j].double().T
            weighted = (first * (sent == j)).sum(-1) * out.norm(dim=-1)
            scores.append(weighted[(sent == j).any(-1)].mean())
        best = torch.stack(scores).topk(2).indices.sort().values
        assert kept.units["experts", f"model.layers.{number}"].tolist() == best.tolist()
        torch.testing.assert_close(routed.scores()[f"{number}"], torch.stack(scores), rtol=1e-5, atol=1e-8)


def test_its_choice_has_a_lower_error_than_the_mean_of_all_choices(tmp_path, monkeypatch):
    model, facts = mixture(tmp_path, monkeypatch)
    plan, _ = plan_of(facts, 2)
    dense, kept = logits(model), chosen(model, plan, READ)

    def error(units) -> float:
        other = type(kept)(**{**vars(kept), "units": units})
        return float((logits(smaller(model, other)) - dense).square().mean())

    pairs = [torch.tensor([i, j]) for i in range(4) for j in range(i + 1, 4)]
    others = [error(dict(zip(kept.units, (a, b), strict=True))) for a in pairs for b in pairs]
    assert error(kept.units) < 0.75 * sum(others) / len(others)


def test_experts_go_from_each_group_of_the_router(tmp_path, monkeypatch):
    sizes = {"n_routed_experts": 8, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 0}
    model, facts = mixture(tmp_path, monkeypatch, "deepseek_v3", **sizes)
    plan, _ = plan_of(facts, 4)
    assert plan.routing == 2
    kept = chosen(model, plan, READ)
    for units in kept.units.values():
        assert (units < 4).tolist() == [True, True, False, False]
    small = smaller(model, kept)
    out = logits(small)
    torch.testing.assert_close(out, without(model, facts, kept, Rows()), rtol=1e-4, atol=1e-5)
    for to, told in (
        (5, "5 experts cannot be shared out to 2 groups of the router"),
        (2, "2 experts of each layer would"),
    ):
        with pytest.raises(RecipeError, match=f"E170.*{told}"):
            plan_of(facts, to)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("llama", "has no experts"),
        ("dbrx", "in one stack"),
        ("jetmoe", "its attention has experts too"),
        ("longcat_flash", "different numbers"),
        ("inkling_text", "would have the shape"),
    ],
)
def test_other_experts_are_refused_with_the_reason(tmp_path, monkeypatch, kind, told):
    walk_here(monkeypatch)
    make(tmp_path, kind, "causal_lm")
    with pytest.raises(RecipeError, match=rf"E152(.|\n)*{told}"):
        plan_of(read_model_facts(tmp_path / "model", "causal_lm"), 2)


def test_by_magnitude_the_smallest_experts_go_and_no_data_is_read(tmp_path, monkeypatch):
    model, facts = whole(tmp_path, monkeypatch, "mixtral")
    with torch.no_grad():
        for i, layer in enumerate(model.model.layers):
            layer.mlp.experts.gate_up_proj[[i, 3]] *= 0.01
            layer.mlp.experts.down_proj[[i, 3]] *= 0.01
    kept = chosen(model, plan_of(facts, 2, by="magnitude")[0], None)
    assert [u.tolist() for u in kept.units.values()] == [[1, 2], [0, 2]]


def test_a_dimension_of_blocks_with_places_that_stay_is_cut_in_each():
    cut = CutPlan(dim=0, axis="heads", unit=2, rest=2, blocks=2)
    line = torch.arange(16)  # in each block three units of two places, and two places that stay
    assert taken(line, cut, torch.tensor([0, 2, 3, 4])).tolist() == [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15]
    assert summed(line.double(), cut).tolist() == [1, 5, 9, 17, 21, 25]


# -------------------------------------------------------------------------- runs
RECIPE = """recipe 1 "mixture"
model { base = "model", task = causal_lm }
data { train = "train.jsonl", validation = "train.jsonl", max_length = 16 tokens, samples = 24 samples }
STAGES
evaluate dev { metrics = [perplexity] }
"""
SLIM = """stage slim {
  mode = one_shot
  shrink body { axes = [experts -> 50%] }
}"""
AT_ONCE = """stage dense {
  length = 4 steps, batch = 4, learning_rate = 1e-3
  prune weights { targets = @experts, never = @embeddings | @head, method = magnitude, sparsity = 50% }
}
SLIM
stage recover { length = 4 steps, batch = 4, learning_rate = 1e-3 }
""".replace("SLIM", SLIM)
IN_ROUNDS = """stage slim {
  length = 6 steps, batch = 4, learning_rate = 1e-3
  shrink body { axes = [experts -> 2], rounds = 2, every = 3 steps }
}
"""


def ready(folder, stages):
    torch.manual_seed(0)
    config = config_of("mixtral")
    (folder / "model").mkdir()
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "model")
    tokenizer(folder / "model", config.vocab_size, False)
    make_text(folder / "train.jsonl", 40)
    (folder / "a.recipe").write_text(RECIPE.replace("STAGES", stages), "utf-8")
    return folder / "a.recipe"


@pytest.mark.filterwarnings("ignore:(.|\n)*W161")
@pytest.mark.parametrize("stages", [AT_ONCE, IN_ROUNDS], ids=["at once", "in rounds"])
def test_it_is_run_resumed_and_verified(tmp_path, stages):
    recipe = ready(tmp_path, stages)
    recipelang.run(recipe, out=tmp_path / "whole")
    config = AutoConfig.from_pretrained(tmp_path / "whole")
    assert (config.num_local_experts, config.num_experts_per_tok) == (2, 2)
    AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    assert failed(tmp_path / "whole") == []
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "part", StopAt(5))
    run(recipe, tmp_path / "part", resume=True)
    assert same(weights(tmp_path / "part"), weights(tmp_path / "whole"))
    if stages is AT_ONCE:  # whole experts take their zeros with them, and the rest stay
        for name, tensor in weights(tmp_path / "whole").items():
            if "experts" in name:
                assert 0.2 < float((tensor == 0).float().mean()) < 0.8


def test_experts_that_no_token_reaches_go_first_and_are_told(tmp_path):
    make_avoiding(tmp_path)
    text = RECIPE.replace("train.jsonl", "data.jsonl").replace("STAGES", SLIM)
    (tmp_path / "a.recipe").write_text(text, "utf-8")
    with pytest.warns(RecipeWarning, match=r"W161(.|\n)*reached 4 of 8 experts"):
        recipelang.run(tmp_path / "a.recipe", out=tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    whole_one = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    for small, large in zip(model.model.layers, whole_one.model.layers, strict=True):
        assert torch.equal(small.mlp.experts.down_proj, large.mlp.experts.down_proj[:2])
