"""A checkpoint is believed only when every file, field and tensor is what the run would have written there."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipelang.engine import checkpoint
from recipelang.engine.environment import environment
from recipelang.engine.models import load_model
from recipelang.engine.position import Position, environments
from recipelang.engine.sessions import session
from recipelang.engine.statement import run_digest
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.modifiers.distill import Distill
from recipelang.modifiers.prune import Prune
from recipelang.modifiers.pruners import pruner
from recipelang.planning.prune_plan import PruneEvent, PrunePlan, Target
from recipelang.planning.types import DistillPlan, Plan, Segment, TermPlan
from recipelang.pruning.masks import Masks
from recipelang.source import RecipeError
from tests.conftest import RECIPE


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, torch.nn.Module, Path]:
    """A plan, its model, and a checkpoint after three steps of the sparse stage."""
    here = tmp_path_factory.mktemp("checkpoints")
    shutil.copytree(tiny, here, dirs_exist_ok=True)
    (here / "tiny.recipe").write_text(RECIPE.format(length="2 epochs", extra=""), "utf-8")
    _, plan, _ = planned(str(here / "tiny.recipe"), read_around([]))
    model = load_model(Path(plan.model.path), plan.model, plan.seed)
    parameters = dict(model.named_parameters())
    masks = Masks()
    (prune,) = plan.stages[1].prunes
    for target, zeros in zip(prune.targets, [e for e in prune.events if e.step < 3][-1].zeros, strict=True):
        order = torch.randperm(target.size).reshape(target.shape)
        masks.set(target.name, parameters[target.name], order >= zeros)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    position = Position(behaviour=plan.behaviour_digest, stage=1, step=3, stage_models={"dense": "sha256:" + 64 * "a"})
    position.zeros_at_start = dict.fromkeys(plan.never, 0)
    position.metrics = {"dev.f1": 0.5, "dev.perplexity": float("inf")}
    position.sessions = [session(plan, environment(torch.device("cpu"), False), "cpu", position)]
    return plan, model, checkpoint.save(here / "checkpoints", position, model, masks, optimizer, keep=2)


@pytest.fixture
def copy(made: tuple[Plan, torch.nn.Module, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[2], tmp_path / made[2].name))


def sealed(path: Path) -> None:
    """With a manifest of what is there now, as somebody who means it would leave it."""
    names = ("model.safetensors", "state.json", "state.safetensors")
    digests = {n: hashlib.sha256((path / n).read_bytes()).hexdigest() for n in names}
    (path / "manifest.json").write_text(json.dumps(digests))


def test_what_was_saved_is_loaded(made):
    plan, model, path = made
    loaded = checkpoint.load(path, plan, model)
    assert (loaded.position.stage, loaded.position.step) == (1, 3)
    assert loaded.position.metrics["dev.perplexity"] == float("inf")


WRONG: list[object] = [None, "x", [], {}, -1, 1.5, True, 10**30, [[]], {"a": []}]
FIELDS = (
    "format", "behaviour", "stage", "step", "metrics", "seconds", "zeros_at_start", "stage_models", "sessions", "python",
)  # fmt: skip
#: of these, values that are as good as what was there
SOUND: dict[str, tuple[object, ...]] = {"metrics": ({},), "seconds": ({},)}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_is_missing_or_of_another_type_is_damage(made, copy, field):
    plan, model, _ = made
    body = json.loads((copy / "state.json").read_text())
    wrongs = [w for w in WRONG if w not in SOUND.get(field, ()) or isinstance(w, bool)]
    for changed in [{k: v for k, v in body.items() if k != field}, *({**body, field: w} for w in wrongs)]:
        if field not in changed and field in ("metrics", "seconds"):
            continue  # nothing measured yet
        (copy / "state.json").write_text(json.dumps(changed))
        sealed(copy)
        with pytest.raises((checkpoint.Damaged, RecipeError)):
            checkpoint.load(copy, plan, model)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "[" * 4000, "{", '{"format": 2}', '{"python": [3, [1], null]}', "\ufeff{}", "\x00"]
)
def test_a_state_that_is_no_object_is_damage(made, copy, text):
    plan, model, _ = made
    (copy / "state.json").write_text(text, "utf-8")
    sealed(copy)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.load(copy, plan, model)


@pytest.mark.parametrize(
    "change", [{"stage": 9}, {"step": 10_000}, {"stage": 2, "step": 1}, {"zeros_at_start": {"a": 1}}]
)
def test_a_position_of_another_plan_is_damage(made, copy, change):
    plan, model, _ = made
    body = json.loads((copy / "state.json").read_text())
    (copy / "state.json").write_text(json.dumps({**body, **change}))
    sealed(copy)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.load(copy, plan, model)


@pytest.mark.parametrize("environment", [None, [], {"threads": 1}, {"settings": []}, {"a": {"b": {"c": {"d": "e"}}}}])
def test_a_session_of_other_types_is_damage(made, copy, environment):
    plan, model, _ = made
    body = json.loads((copy / "state.json").read_text())
    body["sessions"][0]["environment"] = environment
    (copy / "state.json").write_text(json.dumps(body))
    sealed(copy)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.load(copy, plan, model)


def test_another_release_is_no_damage(made, copy):
    """Passing it over would begin the run anew."""
    plan, model, _ = made
    body = json.loads((copy / "state.json").read_text())
    (copy / "state.json").write_text(json.dumps({**body, "format": 1}))
    sealed(copy)
    with pytest.raises(RecipeError) as error:
        checkpoint.load(copy, plan, model)
    assert error.value.diagnostics[0].code == "E083"


@pytest.mark.parametrize(
    "change", [lambda s: s[1].__setitem__(0, 2**70), lambda s: s[1].__setitem__(-1, 625), lambda s: s[1].__setitem__(-1, 2**70)]
)  # fmt: skip
def test_a_random_state_that_python_does_not_take_is_damage(made, copy, change):
    plan, model, _ = made
    body = json.loads((copy / "state.json").read_text())
    change(body["python"])
    (copy / "state.json").write_text(json.dumps(body))
    sealed(copy)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.load(copy, plan, model)


def rewritten(name: str, change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        tensors = load_file(path / name)
        change(tensors)
        save_file(tensors, path / name)

    return apply


def drop(tensors: dict[str, torch.Tensor], start: str) -> None:
    del tensors[next(n for n in tensors if n.startswith(start))]


def reshape(tensors: dict[str, torch.Tensor], start: str) -> None:
    name = next(n for n in tensors if n.startswith(start))
    tensors[name] = tensors[name].flatten()[:3].clone()


def retyped(tensors: dict[str, torch.Tensor], start: str) -> None:
    tensors |= {n: t.double() for n, t in tensors.items() if n.startswith(start)}


def momentum(tensors: dict[str, torch.Tensor]) -> None:
    """As `sgd` would leave them."""
    for name in [n for n in tensors if n.startswith("optimizer/")]:
        moment = tensors.pop(name)
        if name.endswith("/exp_avg"):
            tensors[f"{name.removesuffix('exp_avg')}momentum_buffer"] = moment


TENSORS: dict[str, Callable[[Path], None]] = {
    "no mask": rewritten("state.safetensors", lambda t: drop(t, "mask/")),
    "a mask of numbers": rewritten("state.safetensors", lambda t: t.update({n: v.float() for n, v in t.items() if n.startswith("mask/")})),
    "a smaller mask": rewritten("state.safetensors", lambda t: reshape(t, "mask/")),
    "a mask of fewer zeros": rewritten("state.safetensors", lambda t: t.update({n: v | (torch.arange(v.shape[0]) == 0)[:, None] for n, v in t.items() if n.startswith("mask/")})),
    "a mask too many": rewritten("state.safetensors", lambda t: t.update({"mask/qa_outputs.weight": torch.ones(2, 32, dtype=torch.bool)})),
    "a smaller moment": rewritten("state.safetensors", lambda t: reshape(t, "optimizer/bert.encoder.layer.0.attention.self.query.weight/exp_avg")),
    "half of the moments": rewritten("state.safetensors", lambda t: drop(t, "optimizer/")),
    "no random state": rewritten("state.safetensors", lambda t: drop(t, "random/torch")),
    "another random state": rewritten("state.safetensors", lambda t: reshape(t, "random/numpy")),
    "a short random state": rewritten("state.safetensors", lambda t: reshape(t, "random/torch")),
    "a random state of nothing": rewritten("state.safetensors", lambda t: t.update({"random/torch": torch.zeros_like(t["random/torch"])})),
    "a random state beyond its end": rewritten("state.safetensors", lambda t: t["random/numpy"][624:].fill_(625)),
    "a random state before its start": rewritten("state.safetensors", lambda t: t["random/numpy"][624:].fill_(-1)),
    "a random state of no process": rewritten("state.safetensors", lambda t: t.update({"random/torch/1": t["random/torch"].clone()})),
    "a random state of something else": rewritten("state.safetensors", lambda t: t.update({"random/jax": t["random/torch"].clone()})),
    "a random state of a GPU, of numbers": rewritten("state.safetensors", lambda t: t.update({"random/cuda": torch.ones(16)})),
    "no optimizer": rewritten("state.safetensors", lambda t: [t.pop(n) for n in list(t) if n.startswith("optimizer/")]),
    "moments of another optimizer": rewritten("state.safetensors", momentum),
    "moments of no parameter": rewritten("state.safetensors", lambda t: t.update({"optimizer/more/step": torch.tensor(1.0)})),
    "moments in fp64": rewritten("state.safetensors", lambda t: retyped(t, "optimizer/")),
    "a modifier that does not act": rewritten("state.safetensors", lambda t: t.update({"prune/weights/x": torch.ones(1)})),
    "a projection of no term": rewritten("state.safetensors", lambda t: t.update({"distill/projection-0-0-0": torch.ones(2, 2)})),
    "of nobody": rewritten("state.safetensors", lambda t: t.update({"more": torch.ones(1)})),
    "a weight where its mask has none": rewritten("model.safetensors", lambda t: t.update({n: v + 1 for n, v in t.items()})),
    "a weight less": rewritten("model.safetensors", lambda t: drop(t, "bert.")),
    "a weight more": rewritten("model.safetensors", lambda t: t.update({"more": torch.ones(1)})),
    "a smaller weight": rewritten("model.safetensors", lambda t: reshape(t, "bert.")),
    "weights in bf16": rewritten("model.safetensors", lambda t: t.update({n: v.bfloat16() for n, v in t.items()})),
    "pickles": lambda path: (path / "model.safetensors").write_bytes(b"\x80\x04\x95" + 100 * b"x"),
    "nothing": lambda path: (path / "state.safetensors").write_bytes(b""),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_are_damage(made, copy, name):
    plan, model, _ = made
    TENSORS[name](copy)
    sealed(copy)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.load(copy, plan, model)


MANIFESTS: dict[str, Callable[[Path], object]] = {
    "lists less": lambda path: (path / "manifest.json").write_text("{}"),
    "lists one less": lambda path: (path / "manifest.json").write_text(json.dumps({k: v for k, v in json.loads((path / "manifest.json").read_text()).items() if k != "state.safetensors"})),
    "lists more": lambda path: (path / "manifest.json").write_text(json.dumps({**json.loads((path / "manifest.json").read_text()), "../x": 64 * "0"})),
    "a list": lambda path: (path / "manifest.json").write_text("[]"),
    "numbers": lambda path: (path / "manifest.json").write_text('{"model.safetensors": 1, "state.json": 2, "state.safetensors": 3}'),
    "deeply nested": lambda path: (path / "manifest.json").write_text("[" * 5000),
    "missing": lambda path: (path / "manifest.json").unlink(),
    "a file too many": lambda path: (path / "pytorch_model.bin").write_bytes(b""),
    "a file less": lambda path: (path / "state.safetensors").unlink(),
    "a link": lambda path: ((path / "state.json").rename(path.parent / "elsewhere"), (path / "state.json").symlink_to("../elsewhere")),
    "a changed byte": lambda path: (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:-1] + b"\x01"),
}  # fmt: skip


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_folder_that_is_not_what_its_manifest_lists_is_damage(made, copy, name):
    plan, model, _ = made
    MANIFESTS[name](copy)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.load(copy, plan, model)


def test_what_rounds_or_drops_differently_enters_the_run_digest_and_nothing_else(made):
    """`micro_batch`, `cache` and `compile` leave the experiment and its steps what they are."""
    plan, *_ = made
    dense, sparse = plan.stages
    cached = tuple(d.model_copy(update={"cache": "fp16"}) for d in sparse.distills)
    others = [
        (dense.model_copy(update={"micro_batch": 4, "accumulation": 2}), sparse),
        (dense, sparse.model_copy(update={"distills": cached})),
        (dense, sparse.model_copy(update={"compile": True})),
    ]
    plans = [plan, *(plan.model_copy(update={"stages": stages}) for stages in others)]
    around = environment(torch.device("cpu"), False)
    position = Position(behaviour=plan.behaviour_digest)
    digests = {run_digest(p, None, environments([session(p, around, "cpu", position)])) for p in plans}
    assert len(digests) == len(plans)
    more = {**around, "threads": around["threads"] + 1}, {**around, "processes": 2}
    digests |= {run_digest(plan, None, environments([session(plan, a, "cpu", position)])) for a in more}
    assert len(digests) == len(plans) + 2


# -------------------------------------------------------------- what modifiers remember
NAME = "bert.encoder.layer.0.attention.self.query.weight"
SHAPE = (4, 8)
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def prune(method: str, *steps: int) -> Prune:
    events = tuple(PruneEvent(step, 0.5, (16,)) for step in steps)
    plan = PrunePlan(name="weights", method=method, targets=(Target(name=NAME, shape=SHAPE),), events=events)
    made = pruner(plan, 0)
    assert isinstance(made, Prune)
    return made


def distill(hardness: float) -> Distill:
    constant = (Segment(shape="constant", start=hardness, end=hardness, first=0, last=9),)
    term = TermPlan(kind="hidden", layers=((0, 1),), widths=(8, 4), weight=constant)
    plan = DistillPlan(teacher="t", teacher_ref="t", terms=(term,), hardness=constant, temperature=constant)
    return Distill(plan, lambda state: None, ())


def of(shape: tuple[int, ...], *names: str) -> dict[str, torch.Tensor]:
    return {n: torch.zeros(() if n.endswith("/step") else shape) for n in names}


LEARNED = of(SHAPE, NAME, *(f"{NAME}/{m}" for m in MOMENTS))
KEY = "projection-0-0-1"
PROJECTION = of(SHAPE, KEY, *(f"{KEY}/{m}" for m in MOMENTS))
#: a choice: one of each form that a state can have, with what belongs in it
REMEMBERED = {
    "magnitude": (prune("magnitude", 0, 4), 3, {}),
    "movement, ranked": (prune("movement", 2, 8), 3, of(SHAPE, NAME)),
    "movement, observed": (prune("movement", 6, 8), 3, of(SHAPE, NAME)),
    "snip, before its event": (prune("snip", 4), 3, {}),
    "snip, after it": (prune("snip", 0), 3, of(SHAPE, NAME)),
    "soft movement": (prune("soft_movement", 6), 3, LEARNED),
    "redrawn movement": (prune("redrawn_movement", 6), 3, LEARNED | of(SHAPE, f"{NAME}/whole")),
    "projection": (distill(0.5), 3, PROJECTION),
    "projection, not followed": (distill(0.0), 3, of(SHAPE, KEY)),
}


@pytest.mark.parametrize("case", REMEMBERED)
def test_what_a_modifier_remembers_is_judged_by_name_type_and_shape(case):
    modifier, step, state = REMEMBERED[case]

    def judged(found: dict[str, torch.Tensor]) -> str | None:
        return modifier.misfit(found, step, {NAME}, MOMENTS)

    assert judged(state) is None
    assert judged({**state, "more": torch.zeros(SHAPE)})
    for name, tensor in state.items():
        assert judged({n: t for n, t in state.items() if n != name}), name
        assert judged({**state, name: tensor.double()}), name
        assert judged({**state, name: tensor.reshape(-1)[:1].repeat(3)}), name
    if not state:
        assert judged(of(SHAPE, NAME))


def test_what_no_gradient_has_reached_may_be_missing():
    assert prune("movement", 6, 8).misfit({}, 3, set(), MOMENTS) is None
