"""The same weights, however they lie in memory: rows one after another, columns first, or inputs first as in GPT-2."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

import recipelang
from recipelang.methods import METHODS as DECLARED
from recipelang.source import RecipeError

RECIPE = """recipe 1 "layouts"
model { base = "any", task = causal_lm }
data { train = "any.txt" }
stage s {
  length = 4 steps, batch = 8, learning_rate = 0.01, optimizer = sgd
  prune weights { targets = "*.weight", method = METHOD, pattern = PATTERN, sparsity = SPARSITY }
}
"""
RAMP = "linear(25% -> 50%, over = 1 step..3 steps, every = 1 step)"
AT_ONCE = "step(0% -> 50%, at = 2 steps)"
OUT, IN, HIDDEN = 8, 16, 16
#: as little work as shows the method
ARGUMENTS = {"obert": "(block = 4, gradients = 4, batch = 8)"}
METHODS = [m for m in DECLARED.values() if m.scheduled and m.looks_at != "inputs"]
PLAIN = ["magnitude", "random", "movement"]
CASES = [
    *((m.name + ARGUMENTS.get(m.name, ""), "unstructured", RAMP) for m in METHODS),
    *((m.name + ARGUMENTS.get(m.name, ""), "2:4", AT_ONCE) for m in METHODS if "N:M" in m.patterns),
    *((m.name + ARGUMENTS.get(m.name, ""), "block(4, 2)", RAMP) for m in METHODS if "block" in m.patterns),
    *((f"{m}(scope = row)", "unstructured", RAMP) for m in PLAIN),
    *((f"{m}(scope = global)", "unstructured", RAMP) for m in PLAIN),
    ("magnitude(scope = erk)", "unstructured", RAMP),
]


class Net(nn.Module):
    """Two layers that are linear, in double precision; the loss is that of a regression."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.a, self.b = (self.layer(layout, o, i, generator) for o, i in ((HIDDEN, IN), (OUT, HIDDEN)))

    def layer(self, layout: str, outputs: int, inputs: int, generator: torch.Generator) -> nn.Module:
        drawn = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
        layer = Conv1D(outputs, inputs) if layout == "inputs first" else nn.Linear(inputs, outputs)
        layer = layer.double()
        layer.bias.data.zero_()
        match layout:
            case "rows":
                layer.weight = nn.Parameter(drawn)
            case "columns first":
                layer.weight = nn.Parameter(drawn.t().contiguous().t())
            case "inputs first":
                layer.weight = nn.Parameter(drawn.t().contiguous())
        return layer

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (self.b(self.a(x).tanh()) - y).square().mean()


def batches() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    shapes = ((8, IN), (8, OUT))
    return [
        dict(zip("xy", (torch.randn(*s, generator=generator, dtype=torch.float64) for s in shapes), strict=True))
        for _ in range(4)
    ]


def pruned(layout: str, method: str, pattern: str, sparsity: str) -> list[torch.Tensor]:
    """The weights after the stage, as outputs × inputs."""
    text = RECIPE.replace("METHOD", method).replace("PATTERN", pattern).replace("SPARSITY", sparsity)
    model = Net(layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    samples = {"batches": batches(), "task_loss": lambda net, batch: net(**batch)}
    asks = DECLARED[method.partition("(")[0]].looks_at == "gradients"
    pruning = recipelang.attach(text, model, optimizer, steps_per_epoch=4, **(samples if asks else {}))
    for batch in batches():
        pruning.step_start()
        model(**batch).backward()
        pruning.gradients()
        optimizer.step()
        optimizer.zero_grad()
        pruning.step_end()
    pruning.end()
    found = [p.detach() for n, p in model.named_parameters() if n.endswith("weight")]
    return [w.t() if layout == "inputs first" else w for w in found]


@pytest.mark.filterwarnings("ignore::recipelang.loops.notices.RecipeWarning")
@pytest.mark.parametrize(("method", "pattern", "sparsity"), CASES)
def test_masks_are_the_same_however_weights_lie_in_memory(method, pattern, sparsity):
    expected = pruned("rows", method, pattern, sparsity)
    assert all((w == 0).float().mean() >= 0.25 for w in expected)
    for layout in ("columns first", "inputs first"):
        for ours, theirs in zip(pruned(layout, method, pattern, sparsity), expected, strict=True):
            assert torch.equal(ours == 0, theirs == 0), layout
            assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12), layout


@pytest.mark.filterwarnings("ignore::recipelang.loops.notices.RecipeWarning")
def test_groups_of_a_matrix_stored_inputs_first_lie_along_its_inputs():
    for weight in pruned("inputs first", "magnitude", "2:4", AT_ONCE):
        assert bool(((weight == 0).reshape(len(weight), -1, 4).sum(-1) == 2).all())


def test_a_pattern_must_divide_the_inputs_of_a_matrix_stored_inputs_first():
    model = nn.ModuleDict({"a": Conv1D(16, 6)})  # 6 inputs
    text = RECIPE.replace("METHOD", "magnitude").replace("PATTERN", "2:4").replace("SPARSITY", AT_ONCE)
    with pytest.raises(RecipeError, match=r"E072]: `2:4` does not divide `a.weight`"):
        recipelang.attach(text, model, torch.optim.SGD(model.parameters(), lr=0.1), steps_per_epoch=4)
