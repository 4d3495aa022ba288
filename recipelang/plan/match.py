"""Selectors against the names and roles of a model."""

from __future__ import annotations

import re
from functools import cache

from recipelang.plan.facts import ModelFacts
from recipelang.plan.families import TensorFact
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.source.suggest import distance
from recipelang.spec import selector as s

MAX_ALTERNATIVES = 1_000
MAX_REGEX = 1_024


def match(selector: s.Selector, facts: ModelFacts) -> tuple[str, ...]:
    """Names of the parameters meant, in the model's order."""
    chosen = _match(selector, facts)
    return tuple(t.name for t in facts.tensors if t.name in chosen)


def _match(selector: s.Selector, facts: ModelFacts) -> frozenset[str]:
    everything = frozenset(t.name for t in facts.tensors)
    match selector:
        case s.Role():
            return _role(selector, facts)
        case s.Glob():
            pattern = _compile_glob(selector.pattern)
            return frozenset(n for n in everything if pattern.fullmatch(n))
        case s.Regex():
            return _regex(selector.pattern, everything)
        case s.Layers():
            return _layers(selector, facts)
        case s.And():
            return frozenset.intersection(*(_match(i, facts) for i in selector.items))
        case s.Or():
            return frozenset.union(*(_match(i, facts) for i in selector.items))
        case s.Not():
            return everything - _match(selector.item, facts)
    return _match(selector.left, facts) - _match(selector.right, facts)


def _role(role: s.Role, facts: ModelFacts) -> frozenset[str]:
    """A role of the language that this family lacks matches nothing: `never = @pooler` is fine anywhere."""
    return frozenset(t.name for t in facts.tensors if role.name in t.roles)


def _layers(layers: s.Layers, facts: ModelFacts) -> frozenset[str]:
    n = facts.layers
    first, last = (i + n if i < 0 else i for i in (layers.first, layers.last))
    if not (0 <= first < n and 0 <= last < n) or first > last:
        raise fail(
            "E073",
            f"`{s.text(layers)}` lies outside the model",
            help=f"it has layers 0..{n - 1}; -1 is the last",
        )
    return frozenset(t.name for t in facts.tensors if t.layer is not None and first <= t.layer <= last)


@cache
def _compile_glob(pattern: str) -> re.Pattern[str]:
    """`*` one segment, `**` any number, `{a,b}`, `{0..11}`; linear in the name, no nested repeats."""
    pieces: list[str] = []
    alternatives = 0
    for token in re.findall(r"\*\*|\*|\?|\{[^{}]*\}|[^*?{}]+|[{}]", pattern):
        if token == "**":
            pieces.append(".*")
        elif token == "*":
            pieces.append("[^.]*")
        elif token == "?":
            pieces.append("[^.]")
        elif token.startswith("{") and len(token) > 1:
            options = _alternatives(token[1:-1])
            alternatives += len(options)
            if alternatives > MAX_ALTERNATIVES:
                raise fail(
                    "E049",
                    f"the glob `{pattern}` has more than {MAX_ALTERNATIVES:,} alternatives",
                    help="write `*` for any name, or `layers(0..5)`",
                )
            pieces.append("(?:" + "|".join(map(re.escape, options)) + ")")
        elif token in "{}":
            help = "write `{a,b}` or `{0..11}`, without braces inside"
            raise fail("E049", f"the glob `{pattern}` has a brace without its partner", help=help)
        else:
            pieces.append(re.escape(token))
    if pieces.count(".*") + pieces.count("[^.]*") > 16:
        raise fail("E049", f"the glob `{pattern}` has more than 16 stars", help="`**` stands for any number of parts")
    return re.compile("".join(pieces))


def _alternatives(inner: str) -> list[str]:
    numbers = re.fullmatch(r"(\d{1,6})\.\.(\d{1,6})", inner)
    if not numbers:
        return inner.split(",")
    first, last = int(numbers[1]), int(numbers[2])
    return [str(i) for i in range(first, min(last, first + MAX_ALTERNATIVES) + 1)]


def _regex(pattern: str, names: frozenset[str]) -> frozenset[str]:
    import re2

    if len(pattern) > MAX_REGEX:
        raise fail(
            "E049", f"a regular expression has at most {MAX_REGEX:,} characters", help="join roles with `&` and `|`"
        )
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options=options)
    except re2.error as error:
        reason = (
            error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        )
        unknown = "perl operator" in reason or "escape" in reason
        help = "look-around and back-references do not exist here; combine patterns with `&`, `|` and `except`"
        raise fail(
            "E049", "this regular expression cannot be used", help=help if unknown else None, notes=[reason[:160]]
        ) from None
    return frozenset(n for n in names if compiled.fullmatch(n))


def nearest(selector: s.Selector, facts: ModelFacts, n: int = 3) -> list[str]:
    """Names that a glob or regular expression may have meant."""
    patterns = [p.pattern for p in leaves(selector) if isinstance(p, s.Glob | s.Regex)]
    names = [t.name for t in facts.tensors if "bias" not in t.roles]
    if not patterns:
        return []
    plain = re.sub(r"[\\*?{}()\[\]|^$+]", "", patterns[0])
    begins = re.split(r"[\\*?{(\[|^$+]", patterns[0], maxsplit=1)[0]

    def apart(name: str) -> tuple[int, int, str]:
        return -_shared(begins, name), distance(plain[:80], name[:80]), name

    return sorted(names, key=apart)[:n]


def _shared(a: str, b: str) -> int:
    """How many characters two names begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def leaves(selector: s.Selector) -> list[s.Selector]:
    match selector:
        case s.And() | s.Or():
            return [leaf for item in selector.items for leaf in leaves(item)]
        case s.Not():
            return leaves(selector.item)
        case s.Except():
            return leaves(selector.left) + leaves(selector.right)
    return [selector]


def nothing(selector: s.Selector, facts: ModelFacts, label: object) -> RecipeError:
    """E070, with what the selector may have meant."""
    if found := match(selector, facts):
        help = "only two-dimensional weights are pruned and counted: biases and norms are not"
        notes = (f"it selects {', '.join(f'`{n}`' for n in found[:3])}" + (" ..." if len(found) > 3 else ""),)
        message = f"`{s.text(selector)}` selects no matrix of this model"
        return RecipeError(Diagnostic("E070", message, label, notes=notes, help=(help,)))  # type: ignore[arg-type]
    near = nearest(selector, facts)
    roles = sorted({r for t in facts.tensors for r in t.roles})
    help = (
        f"near it: {', '.join(f'`{n}`' for n in near)}" if near else f"roles here: {', '.join(f'@{r}' for r in roles)}"
    )
    message = f"`{s.text(selector)}` matches nothing in this model"
    return RecipeError(Diagnostic("E070", message, label, help=(help,)))  # type: ignore[arg-type]


def matrices(names: tuple[str, ...], facts: ModelFacts) -> tuple[TensorFact, ...]:
    """The two-dimensional ones: biases and norms take no part in sparsity."""
    chosen = set(names)
    return tuple(t for t in facts.tensors if t.name in chosen and len(t.shape) == 2)
