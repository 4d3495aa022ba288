"""Texts to read: any text, texts that the grammar makes, recipes of random attributes, broken recipes."""

from __future__ import annotations

import random
from functools import cache

from lark.grammar import NonTerminal, Rule
from lark.lexer import PatternStr

from recipelang.spec.blocks import BLOCKS, Spec
from recipelang.syntax import grammar
from tests.misspelling import VOCABULARY
from tests.property.test_corrupted_recipes import PIECES, corrupted
from tests.reading import TEXTS

#: after so many words the shortest way to the end of every rule is taken
WORDS_OF_A_STATEMENT = 40
WORDS = sorted(VOCABULARY - frozenset(t.lower() for t in ("recipe",)))


@cache
def _rules() -> tuple[dict[str, list[Rule]], dict[str, int], dict[str, str]]:
    """Rules by name, how long the shortest text of each is, and the terminals that are one word."""
    lark, _ = grammar._loaded()
    rules: dict[str, list[Rule]] = {}
    for rule in lark.rules:
        if all(symbol.name != "ERROR" for symbol in rule.expansion) and rule.origin.name != "error_stmt":
            rules.setdefault(rule.origin.name, []).append(rule)
    lengths: dict[str, int] = {}
    changed = True
    while changed:
        changed = False
        for name, options in rules.items():
            known = [d for d in (_length(rule, lengths) for rule in options) if d is not None]
            if known and min(known) < lengths.get(name, 10_000):
                lengths[name], changed = min(known), True
    for name, options in rules.items():
        rules[name] = [r for r in options if _length(r, lengths) is not None]
    words = {t.name: t.pattern.value for t in lark.terminals if isinstance(t.pattern, PatternStr)}
    return rules, lengths, words


def _length(rule: Rule, lengths: dict[str, int]) -> int | None:
    inner = [lengths.get(s.name) if isinstance(s, NonTerminal) else 1 for s in rule.expansion]
    return None if None in inner else 1 + sum(d for d in inner if d is not None)


def _terminal(name: str, rng: random.Random) -> str:
    words = _rules()[2]
    if name in words:
        return words[name]
    match name:
        case "NL":
            return "\n"
        case "NAME":
            keywords = {w for w in words.values() if w.isalpha()}
            return rng.choice([w for w in (rng.choice(WORDS), rng.choice("abcxyz")) if w not in keywords] or ["a"])
        case "ROLE":
            return "@" + rng.choice(["linear", "encoder", "head", "norm"])
    return rng.choice(
        {
            "NUMBER": ["0", "1", "2", "0.5", "8e-5", "1_000", "30"],
            "PERCENT": ["0%", "50%", "99.9%", "100%"],
            "NM": ["2:4", "1:2", "4:2"],
            "STRING": ['"x"', '"hf://a/b"', '"encoder.*"', '"${target}"', '"\\n"', '""'],
            "MLSTRING": ['"""\n  x\n  """', '""""""'],
            "REGEX": ['re".*weight"', 're"(a|b)"', 're"("'],
            "CMP": ["==", "!=", "<", "<=", ">", ">="],
            "PM": ["±", "+/-"],
        }[name]
    )


def derived(rng: random.Random, name: str = "start") -> str:
    """A text that the grammar makes from a rule, its words set apart by spaces."""
    rules, lengths, _ = _rules()
    out: list[str] = []
    stack = [(name, True)]
    while stack:
        symbol, is_rule = stack.pop()
        if not is_rule:
            out.append(_terminal(symbol, rng))
            continue
        options = rules[symbol]
        passing = [r for r in options if len(r.expansion) == 1 and isinstance(r.expansion[0], NonTerminal)]
        if len(out) + len(stack) > WORDS_OF_A_STATEMENT:
            least = min(_length(r, lengths) or 0 for r in options)
            options = [r for r in options if _length(r, lengths) == least]
        elif passing and rng.random() < 0.7:  # most levels of precedence pass their one part on
            options = passing
        stack += [(s.name, isinstance(s, NonTerminal)) for s in reversed(rng.choice(options).expansion)]
    return " ".join(out).replace(" \n ", "\n")


def by_grammar(rng: random.Random) -> str:
    """A whole recipe of the grammar's making, with a header of this language version."""
    body = [derived(rng, "stmt") for _ in range(rng.randint(1, 8))]
    return "\n".join(['recipe 1 "x"', *body]) + "\n"


@cache
def _values() -> dict[str, list[str]]:
    """The values that attributes have in the samples, by their names, as written."""
    from recipelang.syntax import tree as t
    from tests.misspelling import _flat
    from tests.reading import parsed

    found: dict[str, list[str]] = {}
    for text in TEXTS.values():
        result, _ = parsed(text)
        for s in _flat(result.recipe.statements if result.recipe else ()):
            if isinstance(s, t.Attribute):
                found.setdefault(s.name, []).append(text[s.value.span.start : s.value.span.end])
    return found


def _block(kind: str, spec: type[Spec], rng: random.Random, indent: str = "") -> str:
    lines = []
    for name in spec.attributes():
        if name in spec.required() or rng.random() < 0.2:
            likely = _values().get(name, [])
            value = rng.choice(likely) if likely and rng.random() < 0.8 else derived(rng, "expr")
            lines.append(f"{indent}  {name} = {value}")
    for child, inner in BLOCKS.get(kind, {}).items():
        if rng.random() < 0.5:
            lines.append(_block(child, inner, rng, indent + "  "))
    rng.shuffle(lines)
    label = f" {rng.choice('abc')}" if spec.LABELS[1] and (spec.LABELS[0] or rng.random() < 0.3) else ""
    return f"{indent}{kind}{label} {{\n" + "\n".join(lines) + f"\n{indent}}}"


def by_schema(rng: random.Random) -> str:
    """Blocks of the schema with values that mostly fit, parameters and definitions that they use."""
    lines = ['recipe 1 "x"']
    for name in ("target", "length", "cycle", "dense", "warm", "precision"):
        likely = rng.choice(["90%", "30 epochs", "2 epochs", "100 steps", "10 per epoch", "fp32", derived(rng, "expr")])
        kind = rng.choice(["ratio", "span", "rate", "number", "one_of(fp32, bf16)", "string"])
        lines.append(
            rng.choice([f"let {name} = {likely}", f"param {name}: {kind} = {likely}", f"param {name}: {kind}"])
        )
    for kind, spec in BLOCKS[""].items():
        lines += [_block(kind, spec, rng) for _ in range(rng.choice([0, 1, 1, 1, 2]))]
    lines += [f"{rng.choice(['require', 'expect', 'prefer'])} {derived(rng, 'expr')}" for _ in range(rng.randint(0, 3))]
    rng.shuffle(lines)
    return "\n".join(sorted(lines, key=lambda line: not line.startswith("recipe 1"))) + "\n"


def any_text(rng: random.Random) -> str:
    """Characters and pieces of the language, in no order."""
    pool = rng.choice(
        [PIECES, WORDS, [*PIECES, *WORDS], [chr(rng.choice([rng.randrange(128), rng.randrange(0x3000)]))]]
    )
    text = "".join(rng.choice(pool) + rng.choice(["", "", " ", "\n"]) for _ in range(rng.randint(0, 120)))
    return rng.choice(["", "recipe 1\n", 'recipe 1 "x"\n']) + text


def broken(rng: random.Random) -> str:
    """A recipe with up to four changes."""
    return corrupted(rng.choice([*TEXTS.values(), by_schema(rng)]), rng)
