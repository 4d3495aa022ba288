"""What a pruning method is to everything but its own code: one `Method`, plain data that loads no torch."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from recipelang.kinds.choice import Argument, NamesAndCalls, Signature
from recipelang.kinds.plain import Number, OneOf, Ratio
from recipelang.source import fail
from recipelang.source.frozen import frozen
from recipelang.values.composite import Chosen, SparsityPattern

Scope = Literal["uniform", "global", "row", "erk"]
Pattern = Literal["unstructured", "N:M", "block"]
SCOPES: tuple[Scope, ...] = ("uniform", "global", "row", "erk")
#: gives every layer a share of its own, from what its matrices read
OWL = Signature(
    "owl",
    "layers with more outliers, weights times inputs far above the mean of their layer, keep more weights (arXiv 2310.05175)",
    (
        Argument("m", Number(1, above=True), Fraction(5), "how many times the mean of its layer an outlier is"),
        Argument("lambda", Ratio(), Fraction(8, 100), "farthest that the sparsity of a layer is from `sparsity`"),
    ),
)
CALLED_SCOPES = {OWL.name: OWL}
PATTERNS: dict[Pattern, str] = {
    "unstructured": "single weights",
    "N:M": "an `N:M` pattern",
    "block": "`block(r, c)`",
}


class Refusal(NamedTuple):
    """Why a block cannot be: the attribute to blame, what is wrong with it, what to write."""

    attribute: str
    message: str
    help: str


@frozen
class Memory:
    """Bytes at the peak, beside weights and masks."""

    weight: int = 0  # for each weight of the targets
    input: int = 0  # for each input of a target, of the targets of one layer at a time
    pair: int = 0  # for each pair of inputs of a target, of the targets of one layer at a time
    made: int = 0  # for each pair of inputs of one target at a time, of what was gathered, and in its place afterwards
    beside: int = 0  # for each pair of inputs of one target at a time, while it is done, beside what was made
    fitted: int = 0  # for each weight of one target at a time, while it is done

    def statistics(self, inputs: int) -> int:
        """What is gathered of the inputs of one target."""
        return self.input * inputs + self.pair * inputs * inputs


@frozen
class LlmCompressor:
    """The modifier of llm-compressor that is this method; `training_only`: `oneshot(...)` never applies its masks."""

    modifier: str
    training_only: bool = False
    scope: Scope = "uniform"
    #: pairs of its arguments and ours
    arguments: tuple[tuple[str, str], ...] = ()
    #: it prunes a sparse model anew unless it is told otherwise
    must_keep_zeros: bool = False


@frozen
class Method(Signature):
    """A pruning method. `doc` says in one clause which weights go; `sources` are the papers it is taken from."""

    #: `module:Class`, loaded when a run begins: a `Score` (`pruning.scores`), or a `Modifier` where it makes no masks
    implementation: str = ""
    sources: tuple[str, ...] = ()
    #: what it does with masks: new ones at every event, or at every step too; or as a stage begins keep the zeros that
    #: are, or take masks off
    masks: Literal["makes", "draws", "keeps", "releases"] = "makes"
    #: what it ranks by: weights alone, or with them the gradients of all steps, of samples, or the inputs of layers
    looks_at: Literal["weights", "steps", "gradients", "inputs"] = "weights"
    patterns: tuple[Pattern, ...] = tuple(PATTERNS)
    #: words that users of other tools write for it, apart by spaces
    aliases: str = ""
    #: whether weights that stay change for those that go
    compensates: bool = False
    #: whether masked weights may come back, so that a sparsity may fall and other sets be ranked
    regrows: bool = False
    #: the argument that says how many weights make up for each other, where 1 leaves none that would
    neighbours: str = ""
    #: whether it ranks weights that processes hold in shards, each by what is there
    shards: bool = False
    memory: Memory = Memory()
    #: from arguments and the sizes of the targets: bytes, and in how many passes; unset: `memory.weight` for each, in one
    scoring_of: Callable[[Mapping[str, object], Sequence[int]], tuple[int, int]] | None = None
    #: from arguments, passes and the memory as text: what an event costs, for the screen of a plan
    cost_of: Callable[[Mapping[str, Any], int, str], str] | None = None
    #: combinations of arguments and pattern that contradict each other
    refuses: Callable[[Chosen, SparsityPattern], Refusal | None] | None = None
    llm_compressor: LlmCompressor | None = None
    #: what other tools did differently, for the report of a migration
    elsewhere: str = ""
    #: of a plug-in: the distribution that declares it and has its code
    distribution: str = ""
    version: str = ""

    @property
    def scheduled(self) -> bool:
        """Whether it zeroes weights over time, so that a block needs a `sparsity`."""
        return self.masks in ("makes", "draws")

    @property
    def swaps(self) -> bool:
        """Whether its events exchange weights, as many as its `fraction` says."""
        return self.regrows and self.masks == "makes"

    def refusal(self, chosen: Chosen, pattern: SparsityPattern) -> Refusal | None:
        if self.refuses and (refusal := self.refuses(chosen, pattern)):
            return refusal
        if not self.scheduled or pattern.kind in self.patterns:
            return None
        can = " or ".join(PATTERNS[p] for p in self.patterns)
        return Refusal("pattern", f"`{self.name}` does not prune in {PATTERNS[pattern.kind]}", f"prune {can}")  # type: ignore[index]

    def scoring(self, args: Mapping[str, object], sizes: Sequence[int]) -> tuple[int, int]:
        """Bytes at the peak beside weights and masks, and in how many passes it scores; `args` as in a plan."""
        return self.scoring_of(args, sizes) if self.scoring_of else (self.memory.weight * sum(sizes), 1)

    def typed(self, args: Mapping[str, object]) -> dict[str, object]:
        """Every argument of the implementation, those left out by their defaults, fractions as floats.

        The scope is none of them: the plan ranks.
        """
        every = {a.name: args.get(a.name, a.default) for a in self.arguments if a.name != "scope"}
        return {n: float(v) if isinstance(v, Fraction) else v for n, v in every.items()}

    def load(self) -> Any:
        """The class that `implementation` names. This imports its module. E205 where a plug-in's code fails."""
        if not self.distribution:
            return pkgutil.resolve_name(self.implementation)
        try:
            code = pkgutil.resolve_name(self.implementation)
            inspect.signature(code).bind((), 0, **self.typed({}))
        except Exception as error:  # whatever somebody else's module does as it is imported
            notes = [f"`{self.implementation}`: {type(error).__name__}: {str(error)[:200]}"]
            help = f"install another version of `{self.distribution}`, and tell its authors"
            raise fail("E205", f"the code of `{self.name}` cannot be loaded", notes=notes, help=help) from error
        return code


def scope(default: Scope) -> Argument:
    doc = "weights ranked together: `uniform` per tensor, `global` over all targets, `row` per row; `erk` keeps more of small tensors"
    return Argument("scope", OneOf(*SCOPES), default, doc)


def layerwise(*scopes: Scope) -> Argument:
    """Of a method that prunes layer by layer; the first is the default, and what is ranked together with `owl`."""
    rows = "`row` per row, " if "row" in scopes else ""
    doc = (
        f"weights ranked together, layer by layer: {rows}`uniform` per tensor; `erk` keeps more of small tensors, "
        "`owl(m = 5, lambda = 8%)` more of layers with outliers"
    )
    return Argument("scope", NamesAndCalls("scope", scopes, CALLED_SCOPES), scopes[0], doc)


def scope_of(chosen: Chosen) -> str:
    """Its name, whatever arguments it has; empty for a method without one."""
    scope = chosen.get("scope")
    return scope.name if isinstance(scope, Chosen) else str(scope or "")


def within(method: Method, pattern: str) -> str:
    """The scope inside a matrix whose number of zeros is known: of `owl` that of the method alone."""
    default = next((str(a.default) for a in method.arguments if a.name == "scope"), "uniform")
    return "row" if default == "row" and pattern == "unstructured" else "uniform"


def whole(name: str, default: int, doc: str) -> Argument:
    """A number from 1."""
    return Argument(name, Number(1, whole=True), default, doc)


def divides(chosen: Chosen, pattern: SparsityPattern, what: str) -> Refusal | None:
    """Where `block` is no multiple of a pattern's width."""
    block = chosen.get("block")
    if not isinstance(block, int) or block % pattern.b == 0:
        return None
    help = f"write `block = {max(1, block // pattern.b) * pattern.b}`"
    return Refusal("method", f"`block = {block}` does not divide into {what} of {pattern.b}", help)
