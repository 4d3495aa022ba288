"""Names of tensors that an old recipe wrote, as tensors of the family's reference model, and as globs without one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from recipelang.kinds import globs as patterns
from recipelang.kinds.base import Mismatch
from recipelang.migrate.form import Targets
from recipelang.migrate.layouts import INNER, LAYOUTS, POSITIONS, WIDTH, WORDS
from recipelang.planning.families import FAMILIES, HEADS, TensorFact
from recipelang.values import selector

#: family -> the names that give it away, and the config of its usual size
_BERT = {"hidden_size": 768, "intermediate_size": 3072, "vocab_size": 30522, "max_position_embeddings": 512}
_REFERENCE: dict[str, tuple[str, dict[str, object], str]] = {
    "bert": (r"(re:)?bert\.", {**_BERT, "num_hidden_layers": 12}, "question_answering"),
    "roberta": (r"(re:)?roberta\.", {**_BERT, "num_hidden_layers": 12}, "question_answering"),
    "distilbert": (
        r"(re:)?distilbert\.",
        {"dim": 768, "hidden_dim": 3072, "vocab_size": 30522, "max_position_embeddings": 512, "n_layers": 6},
        "question_answering",
    ),
    "llama": (
        r"(re:)?(\^?model\\?\.layers|.*(q|k|v|o|gate|up|down)_proj|.*self_attn|.*lm_head|.*\bmlp\b|.*layers\\?\.|Llama[A-Z])",
        {
            "hidden_size": 4096, "intermediate_size": 11008, "vocab_size": 32000, "num_attention_heads": 32,
            "num_hidden_layers": 32, "tie_word_embeddings": False,
        },
        "causal_lm",
    ),
}  # fmt: skip
#: of those too that planning reads from the model class
_LAYOUT: dict[str, object] = {
    "hidden_size": WIDTH, "intermediate_size": INNER, "vocab_size": WORDS, "max_position_embeddings": POSITIONS,
    "num_attention_heads": 12, "num_hidden_layers": 12, "tie_word_embeddings": False,
}  # fmt: skip
_REFERENCE |= {name: (layout.tells, _LAYOUT, "causal_lm") for name, layout in LAYOUTS.items()}
FAMILY_NAMES = tuple(_REFERENCE)
#: family -> the tasks that it has heads for
TASKS_OF = {**HEADS, **dict.fromkeys(LAYOUTS, frozenset({"causal_lm"}))}
#: families of language models
DECODERS = ("llama", *LAYOUTS)
#: a part of a name that is the number of a layer
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)
#: the number of a layer in a name
_OF_EXPERT = re.compile(r"\bexperts\.(\d{1,3})\b", re.ASCII)
_IN_LAYER = re.compile(r"\b(?:layers?|h)\.(\d{1,3})\b", re.ASCII)
#: what a name may be made of: anything else means something in a glob
_PLAIN = re.compile(r"[\w.-]{1,200}", re.ASCII)
#: classes of modules -> what they hold, of layers; the first that fits counts
_HOLDS: tuple[tuple[str, frozenset[str]], ...] = (
    (r"(Bert|Roberta)(Sdpa)?SelfAttention|MultiHeadSelfAttention", frozenset({"query", "key", "value"})),
    (r"(Bert|Roberta)SelfOutput", frozenset({"out"})),
    (r"(Bert|Roberta)Intermediate", frozenset({"up"})),
    (r"(Bert|Roberta)Output", frozenset({"down"})),
    (r"\w*Attention2?", frozenset({"attention"})),
    (r"\w*MLP|FFN|\w*FeedForward", frozenset({"ffn"})),
    (r"\w*(Layer|Block)", frozenset({"encoder", "decoder"})),
    (r"\w*(Model|Encoder|Decoder)|Transformer|ModuleList", frozenset({"encoder", "decoder"})),
    (r"\w+For[A-Z]\w+|Module", frozenset({"linear"})),
)
#: classes that no family has: lists of llm-compressor name them beside `Linear`
_NOWHERE = ("Conv1d", "Conv2d", "Conv3d")
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]*", re.ASCII)
#: names of models of an encoder and a decoder, such as T5 and BART, some of whose names are those of other families
_TWO_STACKS = r"(re:)?(\^?((encoder|decoder)\\?\.block|model\\?\.encoder)\b|.*\b(encoder_attn|EncDecAttention|SelfAttention|DenseReluDense)\b)"
#: names of blocks in models that have no family here
_FOREIGN = re.compile(rf"{_TWO_STACKS}|(re:)?(question_encoder|ctx_encoder|transformer\.h)\b")


def family_of(names: Iterable[str]) -> str | None:
    """The family that every telling name belongs to."""
    told = list(names)
    if any(re.match(_TWO_STACKS, n) for n in told):
        return None
    own = {family for family, layout in LAYOUTS.items() for n in told if re.match(layout.tells, n)}
    if own:  # the other names of such a model are those of other families as well
        return own.pop() if len(own) == 1 else None
    if any(_FOREIGN.match(n) for n in told):
        return None
    found = {family for family, (pattern, *_) in _REFERENCE.items() for n in told if re.match(pattern, n)}
    return found.pop() if len(found) == 1 else None


def families_with(name: str) -> list[str]:
    """The families whose usual model has something by a name of a module."""
    return [f for f in _REFERENCE if not Body(reference(f, (name,))).unmatched(Targets((), (name,), modules=True))]


def specific(names: Iterable[str]) -> bool:
    """Whether any of them names a tensor or a module of a certain model, and not a kind of layer."""
    return any("." in name for name in names)


def known_families() -> str:
    return f"its names are of no family that `migrate` knows: {', '.join(FAMILY_NAMES)}"


def config_of(family: str, named: Iterable[str] = ()) -> dict[str, object]:
    """Of the family's usual model, with as many layers as are named."""
    _, config, _ = _REFERENCE[family]
    last = max(_layers(named), default=0)
    deep: dict[str, object] = {
        key: max(int(str(config[key])), last + 1) for key in ("num_hidden_layers", "n_layers") if key in config
    }
    return {"model_type": family, **config, **deep}


def _layers(named: Iterable[str]) -> Iterator[int]:
    return (int(n) for name in named for n in _IN_LAYER.findall(name))


def reference(family: str, named: Iterable[str] = (), task: str | None = None) -> tuple[TensorFact, ...]:
    """Every tensor of the family's usual model for a task. Where none is told, with the heads of all tasks."""
    told = list(named)
    experts = max((int(n) + 1 for name in told for n in _OF_EXPERT.findall(name)), default=0)
    return _tensors(family, max(_layers(told), default=0), task, experts)


@lru_cache(maxsize=16)
def _tensors(family: str, last: int, task: str | None, experts: int) -> tuple[TensorFact, ...]:
    config = config_of(family, (f"layer.{last}",))
    if family in LAYOUTS:
        return LAYOUTS[family].tensors(int(str(config["num_hidden_layers"])), experts)
    if task in HEADS[family]:
        return tuple(FAMILIES[family](config, task))
    usual = tuple(FAMILIES[family](config, usual_task(family)))
    others = [t for other in sorted(HEADS[family]) for t in FAMILIES[family](config, other)]
    heads = {t.name: t for t in (*usual, *others) if t.roles & {"head", "pooler"}}
    return (*(t for t in usual if t.name not in heads), *heads.values())


def usual_task(family: str) -> str:
    """What recipes for this family were mostly for."""
    return _REFERENCE[family][2]


def matrices(tensors: tuple[TensorFact, ...]) -> tuple[TensorFact, ...]:
    """What is pruned: biases and norms are not."""
    return tuple(t for t in tensors if len(t.shape) == 2)


def is_class(name: str) -> bool:
    """Whether a name is that of a class of modules, and of no module."""
    return _CLASS.fullmatch(name) is not None


def known_class(name: str) -> bool:
    """Whether modules of a class hold linear layers in a family."""
    return name in ("Linear", "Embedding", *_NOWHERE) or any(re.fullmatch(p, name, re.ASCII) for p, _ in _HOLDS)


def is_kind(name: str) -> bool:
    """Whether a name is a kind of layer, which models of every family have."""
    return name.startswith("__") or is_class(name)


def usual(targets: Targets) -> bool:
    """Whether names of modules that give no family away all fit the usual language model."""
    if not targets.modules or any(_FOREIGN.match(name) for name in targets.names):
        return False
    return not Body(reference("llama", targets.names)).unmatched(replace(targets, ignored=()))


def takes_head(names: Iterable[str]) -> bool:
    """Whether modules by these names are, or hold, the head of a language model."""
    head = TensorFact("lm_head.weight", (1, 1), frozenset({"head", "linear"}))
    return bool(Body((head,)).matched(Targets(tuple(names), modules=True)))


class NotUnderstood(ValueError):
    """A name that is neither a name, a class, nor a regular expression."""


class Body:
    """Tensors of a model, looked up by name."""

    def __init__(self, tensors: tuple[TensorFact, ...]) -> None:
        self.tensors = tensors
        self.every = frozenset(t.name for t in tensors)
        self.linear = frozenset(t.name for t in tensors if "linear" in t.roles)
        self.found: dict[tuple[str, bool], frozenset[str]] = {}  # what was looked up before

    def matched(self, targets: Targets) -> frozenset[str]:
        chosen = [self._matches(name, targets.modules) for name in targets.names]
        ignored = [self._matches(name, targets.modules) for name in targets.ignored]
        return frozenset().union(*chosen) - frozenset().union(*ignored)

    def layers(self, name: str) -> frozenset[str]:
        """Linear layers that a name of modules means themselves, and not as part of a module that holds them."""
        if name in ("Linear", "__BLOCKS__"):
            return self._matches(name, True)
        if name.startswith("re:"):
            fits = _prefix(name[3:])
            return frozenset(n for n in self.linear if fits(n.rpartition(".")[0]))
        return self.linear & {f"{name}.weight"}

    def unmatched(self, targets: Targets) -> list[str]:
        """Names, of targets and of what is ignored, that nothing in the model bears."""
        every = [n for n in (*targets.names, *targets.ignored) if n not in _NOWHERE and not n.startswith("__")]
        return [name for name in every if not self._matches(name, targets.modules) and not self._there(name, targets)]

    def _there(self, name: str, targets: Targets) -> bool:
        """Whether something of the model is ignored by a name that is no linear layer: a norm, a table."""
        if name in targets.names:
            return False
        if is_class(name):
            return "Norm" in name or "Embedding" in name
        every = {n for t in self.tensors for n in (t.name, *_above(t.name))}
        return any(map(_prefix(name[3:]), every)) if name.startswith("re:") else name in every

    def _matches(self, name: str, modules: bool) -> frozenset[str]:
        if (name, modules) not in self.found:
            self.found[name, modules] = self._looked_up(name, modules)
        return self.found[name, modules]

    def _looked_up(self, name: str, modules: bool) -> frozenset[str]:
        match name:
            case "__ALL__":
                return self.linear if modules else self.every
            case "__ALL_PRUNABLE__" | "Linear":
                return self.linear
            case "__BLOCKS__":
                return frozenset(t.name for t in self.tensors if t.name in self.linear and t.layer is not None)
            case "__HEAD__":
                return frozenset(t.name for t in self.tensors if t.name in self.linear and "head" in t.roles)
            case "Embedding":
                return frozenset(t.name for t in self.tensors if "embeddings" in t.roles)
        if modules and is_class(name):
            return self._held(name)
        if not name.startswith("re:"):
            below = frozenset(n for n in self.linear if n.startswith(f"{name}.")) if modules else frozenset()
            return below | (self.every & {name})
        fits = _prefix(name[3:])
        if not modules:
            return frozenset(filter(fits, self.every))
        # each module is asked once, and not again for every layer in it
        fitting = frozenset(filter(fits, {m for n in self.linear for m in (n, *_above(n))}))
        return frozenset(n for n in self.linear if n in fitting or not fitting.isdisjoint(_above(n)))

    def _held(self, class_: str) -> frozenset[str]:
        """Linear layers inside modules of a class."""
        if class_ in _NOWHERE:
            return frozenset()
        roles = next((roles for pattern, roles in _HOLDS if re.fullmatch(pattern, class_, re.ASCII)), frozenset[str]())
        return frozenset(t.name for t in self.tensors if t.name in self.linear and t.roles & roles)


@lru_cache(maxsize=2**14)
def _above(name: str) -> tuple[str, ...]:
    """The modules that hold a tensor: `a.b` and `a` of `a.b.weight`."""
    parts = name.split(".")
    return tuple(".".join(parts[:i]) for i in range(1, len(parts)))


def _prefix(pattern: str) -> Callable[[str], bool]:
    """`re.match` of the loaders: the beginning of a name is enough. By RE2, so that no pattern is slow."""
    try:
        inner = pattern.removesuffix("$").removesuffix(r"\Z")
        whole = patterns.regex(f"(?:{inner})" if inner != pattern else f"(?:{inner}).*")
    except Mismatch as mismatch:
        raise NotUnderstood(mismatch.message) from None
    return lambda name: whole.fullmatch(name) is not None


def exactly(targets: Targets, chosen: frozenset[str], tensors: tuple[TensorFact, ...]) -> str:
    """The written names as globs where those select the same on these tensors, else the tensors' own names."""
    try:
        globs = [_plain_globs(names, targets.modules) for names in (targets.names, targets.ignored)]
    except NotUnderstood:
        globs = [None]
    if None not in globs:
        fits = [[patterns.glob(g).fullmatch for g in found or ()] for found in globs]
        taken, left = (frozenset(t.name for t in tensors if any(fit(t.name) for fit in found)) for found in fits)
        if taken - left == chosen:
            return as_globs(targets)
    found = folded([t.name for t in tensors if t.name in chosen])
    return " | ".join(selector.text(selector.Glob(glob)) for glob in found)


def _plain_globs(names: tuple[str, ...], modules: bool) -> list[str] | None:
    """None where roles or regular expressions are needed as well."""
    found = [_glob_of(name, modules) for name in names]
    return None if None in found else [glob for glob in found if glob is not None]


# ------------------------------------------------------------------ without a family
def as_globs(targets: Targets) -> str:
    """Selectors from the written names alone."""
    chosen = _written(targets.names, targets.modules)
    ignored = _written(targets.ignored, targets.modules)
    return f"{chosen} except {_bracket(ignored)}" if ignored else chosen


def _bracket(text: str) -> str:
    return f"({text})" if " | " in text else text


def _written(names: tuple[str, ...], modules: bool) -> str:
    roles, globs, regexes = [], [], []
    for name in names:
        if name in ("__ALL__", "__ALL_PRUNABLE__", "Linear"):
            roles.append("@linear" if modules or name != "__ALL__" else '"**"')
        elif name == "__BLOCKS__":
            roles += ["@linear & @decoder"]
        elif name == "__HEAD__":
            roles += ["@head"]
        elif name in _NOWHERE:
            continue
        elif modules and is_class(name):
            raise NotUnderstood(f"the contents of a `{name[:60]}` are unknown without a family")
        elif (glob := _glob_of(name, modules)) is not None:
            globs.append(glob)
        else:
            regexes.append(_as_regex(name[3:]))
    quoted = [selector.text(selector.Glob(g)) for g in folded(globs)]
    return " | ".join(dict.fromkeys([*roles, *quoted, *regexes]))


def _glob_of(name: str, modules: bool) -> str | None:
    """A name, or what a pattern says as the beginning of one; none for what only a regular expression says."""
    if name.startswith("__") or (modules and is_class(name)):
        return None
    if not name.startswith("re:"):
        if not _PLAIN.fullmatch(name):
            raise NotUnderstood(f"`{name[:60]}` is not a tensor name")
        return f"{name}.**" if modules else name
    glob = _as_glob(name[3:])
    if glob is None or glob.endswith((".weight", ".bias", "**")):
        return glob
    if name.endswith("$"):
        return f"{glob}.**" if modules else glob
    return f"{glob}.**" if modules and not glob[-1].isdigit() else f"{glob}**"


def _as_regex(pattern: str) -> str:
    """A pattern that a recipe can hold: the loaders took the beginning of a name, here it has to fit a whole one."""
    if not pattern.isprintable():
        raise NotUnderstood("a pattern must be one line of text")
    open_ = not pattern.endswith(("$", ".*", "weight", "bias"))
    whole = pattern.removesuffix("$") + (".*" if open_ else "")
    try:
        patterns.regex(whole)
    except Mismatch:
        raise NotUnderstood(f"`{pattern[:60]}` is not a supported regular expression") from None
    return selector.text(selector.Regex(whole))


def _as_glob(pattern: str) -> str | None:
    """`a.b.*.c` of names with plain dots; none for what needs a regular expression."""
    plain = pattern.replace("\\.", ".").removeprefix("^").removesuffix("$")
    if re.fullmatch(r"(?:[\w.-]|\.\*)+", plain, re.ASCII) is None:
        return None
    between = re.sub(r"(?<=\w)\.\*(?=\.|$)", "\0", plain)  # `layer.*.output`: whatever is between
    return between.replace(".*", "**").replace("\0", ".**")


def folded(names: list[str]) -> list[str]:
    """Names that differ in one number, or in what stands between them, as one glob.

    >>> folded(["a.0.q.weight", "a.1.q.weight", "a.0.k.weight", "a.1.k.weight"])
    ['a.{0..1}.{q,k}.weight']
    """
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    whole: dict[str, None] = {}
    for name in names:
        if found := _numbered(name):
            numbers[found[0], found[2]].append(found[1])
        else:
            whole[name] = None
    for (head, ending), layers in numbers.items():
        whole[f"{head}{_numbers(layers)}{ending}"] = None
    return _alternatives(list(whole))


def _numbered(name: str) -> tuple[str, int, str] | None:
    """What stands before the first part of a name that is a number, the number, and what is behind it."""
    parts = name.split(".")
    at = next((i for i, part in enumerate(parts) if _NUMBER.fullmatch(part)), 0)
    if at == 0:
        return None
    return ".".join(parts[:at]) + ".", int(parts[at]), "".join(f".{part}" for part in parts[at + 1 :])


def _numbers(found: list[int]) -> str:
    found = sorted(set(found))
    if len(found) == 1:
        return str(found[0])
    if found == list(range(found[0], found[-1] + 1)):
        return f"{{{found[0]}..{found[-1]}}}"
    return "{" + ",".join(map(str, found)) + "}"


def _alternatives(names: list[str]) -> list[str]:
    """Names that are alike at both ends, folded over their middles."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        head, ending = _ends(name)
        groups[head, ending].append(name[len(head) : len(name) - len(ending)])
    folded_: list[str] = []
    for (head, ending), middles in groups.items():
        if len(middles) == 1 or any(c in m for m in middles for c in "{}*,"):
            folded_ += [f"{head}{m}{ending}" for m in middles]
        else:
            folded_.append(f"{head}{{{','.join(middles)}}}{ending}")
    return folded_


def _ends(name: str) -> tuple[str, str]:
    """Up to the last star or brace, and from the last dot: what alternatives share."""
    cut = max(name.rfind("}"), name.rfind("*")) + 1
    if cut == 0 or not name[cut:].startswith("."):
        return name, ""
    last = name.rfind(".")
    return (name[: cut + 1], name[last:]) if last > cut else (name, "")
