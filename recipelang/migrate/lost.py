"""Modifiers that have no place in this language, each with the reason that is shown."""

from __future__ import annotations

from recipelang.source.suggest import closest

_QUANTISED = "nothing is quantised here", "prune with this recipe, and quantise the result with a tool for that"
_SMOOTHED = "it prepares weights for quantisation, and changes no function", "leave it to the tool that quantises"
_IMAGES = "it is for image models", None

#: name -> why, and what to do instead
LOST: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(
        (
            "QuantizationModifier", "LegacyQuantizationModifier", "vLLMQuantizationModifier", "GPTQModifier",
            "AWQModifier", "AutoRoundModifier", "QuIPModifier", "SpinQuantModifier", "QATModifier",
        ),
        _QUANTISED,
    ),
    **dict.fromkeys(("SmoothQuantModifier", "LogarithmicEqualizationModifier"), _SMOOTHED),
    "OutputDistillationModifier": (
        "outputs of modules are not compared by name here",
        "write `distill { on = hidden(0..11, weight = 1) ... }` for the layers that it means",
    ),
    "PerLayerDistillationModifier": ("it learns projections of named modules", "`on = hidden(...)` is near"),
    "MFACPruningModifier": ("M-FAC has no place here", "`method = obert(...)` is the nearest second-order method"),
    "ACDCPruningModifier": ("phases of dense and sparse training are not carried over", None),
    "RigLPruningModifier": ("its schedule has no end of its own", "`method = rigl(...)` with a constant sparsity is near"),
    "TopKASTPruningModifier": ("Top-KAST has no place here", None),
    "PowerpropagationModifier": ("weights are not trained as powers here", None),
    "StructuredPruningModifier": ("filters and channels are not pruned here", "`drop layers` takes whole layers"),
    "LayerThinningModifier": ("filters and channels are not pruned here", None),
    "REAPPruningModifier": ("experts of a mixture are not pruned here", None),
    "ASRegModifier": ("activations are not regularised here", None),
    "MFACGlobalPruningModifier": ("M-FAC has no place here", "`method = obert(...)` is the nearest second-order method"),
    "LearningRateModifier": ("schedules of torch by class are not carried over", "write `learning_rate = [...]`"),
    "SetParamModifier": ("it set the values of parameters", None),
    "GradualParamModifier": ("it set the values of parameters", None),
    "TrainableBatchNormModifier": _IMAGES,
}  # fmt: skip

#: of these, what SparseML's last loader of `!Tag` lists does not have
NEWER = frozenset({
    "vLLMQuantizationModifier", "GPTQModifier", "AWQModifier", "AutoRoundModifier", "QuIPModifier", "SpinQuantModifier",
    "SmoothQuantModifier", "LogarithmicEqualizationModifier", "OutputDistillationModifier", "REAPPruningModifier",
    "MFACGlobalPruningModifier",
})  # fmt: skip

#: what only logged
IDLE = ("SparsificationLoggingModifier", "LoggingModifier")


def reason(name: str, known: tuple[str, ...]) -> tuple[str, str | None]:
    """Why a modifier is not carried over."""
    if name in LOST:
        return LOST[name]
    near = closest(name, (*known, *LOST))
    return "no loader of these recipes knows it", f"did you mean `{near}`?" if near else None
