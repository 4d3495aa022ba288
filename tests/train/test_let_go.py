"""What a run needs no longer is not in memory while it goes on."""

import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from recipelang.engine import checkpoint, stages
from recipelang.engine.models import load_model
from recipelang.engine.records import Interrupted
from recipelang.loading.plan import planned
from recipelang.modifiers import prune
from recipelang.modifiers.matrices import live_of, weights_of
from recipelang.modifiers.modifier import State
from recipelang.pruning import free_memory
from recipelang.pruning.masks import Masks
from recipelang.pruning.matrix_names import parameter_of
from recipelang.pruning.stacks import layouts
from tests.model_configs import walk_here
from tests.model_table import make

from .steps import StopAt, run
from .test_experts import RECIPE


@pytest.fixture
def experts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe for a model whose experts lie one by one in its file."""
    walk_here(monkeypatch)
    make(tmp_path, "mixtral", "causal_lm")
    path = tmp_path / "a.recipe"
    path.write_text(RECIPE.replace("METHOD", "wanda").replace("PATTERN", "unstructured"), "utf-8")
    return path


def test_moments_are_gone_before_a_stage_is_measured(project, tmp_path, monkeypatch):
    made: list[weakref.ref[torch.optim.Optimizer]] = []
    alive: list[bool] = []
    make_optimizer, end_stage = stages.make_optimizer, stages.end_stage

    def making(*given):
        optimizer = make_optimizer(*given)
        made.append(weakref.ref(optimizer))
        return optimizer

    def ending(*given):
        alive.append(made[-1]() is not None)
        end_stage(*given)

    monkeypatch.setattr(stages, "make_optimizer", making)
    monkeypatch.setattr(stages, "end_stage", ending)
    run(project(), tmp_path / "out")
    assert len(made) == 2 and alive == [False, False]


def test_a_checkpoint_is_not_kept_beside_what_was_restored_of_it(project, tmp_path, monkeypatch):
    recipe = project()
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "out", StopAt(3))
    restored: list[checkpoint.Loaded] = []
    restore = checkpoint.restore

    def restoring(loaded, *given, **named):
        assert loaded.model and loaded.state
        restore(loaded, *given, **named)
        restored.append(loaded)

    monkeypatch.setattr(checkpoint, "restore", restoring)
    run(recipe, tmp_path / "out", resume=True)
    assert len(restored) == 1 and not restored[0].model and not restored[0].state


def test_the_mask_of_an_expert_without_one_is_no_part_of_a_mask_of_its_stack(experts):
    plan = planned(str(experts))[1]
    model = load_model(Path(plan.model.path), plan.model, plan.seed)
    lies = layouts(model)
    masks = Masks()
    state = State(model=model, masks=masks, optimizer=torch.optim.SGD(model.parameters()), steps=0, prunable=1)
    state.layouts = lies
    for target in plan.stages[0].prunes[0].targets:
        names = [n for n in prune.pieces(plan.stages[0].prunes[0]) if parameter_of(n)[0] == target.name]
        for name, weight in zip(names, weights_of([target.name], state), strict=True):
            live = live_of(name, weight, state)
            assert live.shape == weight.shape and bool(live.all())
            assert live.untyped_storage().nbytes() == weight.numel()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which files are mapped")
@pytest.mark.parametrize("kind", ["mixtral", "llama"])
def test_only_weights_that_are_used_as_they_lie_in_a_file_keep_it_mapped(kind, tmp_path):
    """A Llama's are: to copy them would take the memory of the model for nothing."""
    make(tmp_path, kind, "causal_lm")
    path = tmp_path / "a.recipe"
    text = RECIPE.replace("METHOD", "magnitude").replace("PATTERN", "unstructured")
    text = text.replace('& ("**expert**" | "**.{input,output}_linear.weight") except @router', "")
    path.write_text(text, "utf-8")
    plan = planned(str(path))[1]
    model = load_model(Path(plan.model.path), plan.model, plan.seed)
    assert isinstance(model, nn.Module)
    assert (str(tmp_path) in Path("/proc/self/maps").read_text()) == (kind == "llama")


def test_a_c_library_that_trims_nothing_is_let_be(monkeypatch):
    def none(name):
        raise OSError

    free_memory._malloc_trim.cache_clear()
    monkeypatch.setattr(free_memory.ctypes, "CDLL", none)
    free_memory.give_back()
    assert free_memory._malloc_trim() is None
    free_memory._malloc_trim.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_pages_between_pieces_go_back():
    """Pieces below the size from which each is mapped alone, every second one freed."""

    def anonymous() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

    pieces = [torch.ones(25_000) for _ in range(1000)]  # 100 kB each
    del pieces[::2]
    before = anonymous()
    free_memory.trim()
    assert before - anonymous() > 30 * 10**6
    assert len(pieces) == 500
