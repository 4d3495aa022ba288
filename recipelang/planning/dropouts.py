"""Which fields of a model's config `dropout` and `attention_dropout` of a recipe set, and what a type has none for. E198."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from recipelang.source import Diagnostic
from recipelang.spec.blocks import ModelSpec
from recipelang.spec.recipe import Recipe

#: names of the dropout of hidden states in the configs of transformers
HIDDEN = (
    "hidden_dropout_prob", "dropout", "resid_pdrop", "dropout_rate", "hidden_dropout", "resid_dropout", "residual_dropout",
    "mlp_dropout",
)  # fmt: skip
#: of embeddings and inside of feed-forward blocks: set with those of hidden states where they are not 0
BESIDE = ("embd_pdrop", "emb_pdrop", "embed_dropout", "embedding_dropout", "activation_dropout")
ATTENTION = (
    "attention_probs_dropout_prob", "attention_dropout", "attn_pdrop",
    "lsh_attention_probs_dropout_prob", "local_attention_probs_dropout_prob",
)  # fmt: skip
#: of the types whose parameters stand in a table, those without one of hidden states
_NO_HIDDEN = ("llama",)


def fields_of(config: object, names: tuple[str, ...]) -> dict[str, float]:
    """Of a config object of transformers: field -> value; `None` is 0."""
    found = {name: getattr(config, name) for name in names if hasattr(config, name)}
    return {name: float(value or 0) for name, value in found.items() if isinstance(value, int | float | None)}


def dropouts_fit(
    recipe: Recipe, family: str, fields: tuple[Mapping[str, float], Mapping[str, float]] | None
) -> Iterator[Diagnostic]:
    """E198 for a dropout that the type has no field for, unless it comes to the same. `fields`: those of hidden states
    and of attention; none of the types in the table."""
    model: ModelSpec = recipe.model
    hidden, attention = fields if fields is not None else ({} if family in _NO_HIDDEN else {"": 0.0}, {"": 0.0})
    has = f"`{family}` models have"
    notes: tuple[str, ...] = ("transformers has no field for it in the config of this type",)
    if model.dropout and not hidden:
        message = f"{has} no dropout of hidden layers"
        help = ("remove `dropout`, or set `attention_dropout`" if attention else "remove `dropout`",)
        yield Diagnostic("E198", message, recipe.label("model.dropout"), notes=notes, help=help)
    if model.attention_dropout is None or attention:
        return
    own = max(hidden.values(), default=0.0) if model.dropout is None else float(model.dropout if hidden else 0)
    if float(model.attention_dropout) == own:
        return
    if hidden:
        notes += (f"`{next(iter(hidden))}`, which `dropout` sets, is the only one: {own:g}",)
    message = f"{has} no dropout of attention of their own"
    help = ("remove `attention_dropout`" + (", or set `dropout`" if hidden else ""),)
    yield Diagnostic("E198", message, recipe.label("model.attention_dropout"), notes=notes, help=help)
