"""`validate` in a process that is warm, against cutting the same text into tokens with lark alone.

    python benchmarks/validate_speed.py [--repeats 30]

The two texts are the largest recipe of the library and a recipe of nearly 64 KiB with many parameters,
definitions, stages and claims. Each pair is timed in turns, so that a busy moment meets both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import count
from pathlib import Path

from lark.lexer import LexerThread

from recipelang.loading.read import check_all
from recipelang.source import Source
from recipelang.syntax import MAX_BYTES, grammar

#: lark's own lexer of the grammar
LEXER = grammar._loaded()[1]
LIBRARY = Path(__file__).parents[1] / "recipes"
#: milliseconds that the first and the second text may take
LIMITS = (20, 500)
NUMBERS = count()

HEAD = """recipe 1 "large"

model { base = "hf://owner/model", task = question_answering }
data { source = "hf://owner/data" }
evaluate dev { metrics = [f1, exact_match] }

"""
PART = """## Share of the weights of stage {n} that is zero at its end.
param target{n}: ratio in 50%..99% = {percent}%
param length{n}: span in 1 epoch..100 epochs = 30 epochs
let warm{n} = length{n} / 10 + 1 epoch
let floor{n} = if target{n} <= 90% then 84.9% else 82.3%

# part {n} of a very long run
stage part{n} {{
  length        = length{n}
  batch         = 16
  learning_rate = linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)

  prune weights {{
    targets  = @linear & @encoder & layers(0..{n})
    never    = @embeddings | @head
    method   = magnitude(scope = uniform)
    sparsity = cubic(50% -> target{n}, over = start + warm{n} .. end - 2 epochs, updates = 10 per epoch)
  }}

  distill {{ teacher = "hf://owner/teacher-{n}", hardness = 100%, temperature = 5.5 }}
}}

require warm{n} >= 1 epoch, "part {n} starts dense"
expect stage.part{n}.dev.f1 >= floor{n}

"""


def large() -> str:
    """As many parts as fit into the size of a file."""
    text, n = HEAD, 0
    while len((text + (part := PART.format(n=n, percent=60 + n % 30))).encode()) <= MAX_BYTES:
        text, n = text + part, n + 1
    return text


def validate(text: str) -> float:
    source = Source(f"{next(NUMBERS)}.recipe", text)  # under a new name: a text that was read before is not read again
    start = time.process_time()
    found = check_all(source, {}).diagnostics
    elapsed = time.process_time() - start
    assert not found.errors, [d.message for d in found]
    return elapsed * 1e3


def lex(text: str) -> float:
    start = time.process_time()
    list(LexerThread.from_text(LEXER, text).lex(None))  # type: ignore[arg-type]
    return (time.process_time() - start) * 1e3


def measured(text: str, repeats: int) -> tuple[float, float, float]:
    """Milliseconds of `validate`, of the tokens alone, and the ratio: medians."""
    validate(text)
    pairs = [(validate(text), lex(text)) for _ in range(repeats)]
    ours, floor = (statistics.median(side) for side in zip(*pairs, strict=True))
    return ours, floor, statistics.median(a / b for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    largest = max(LIBRARY.rglob("*.recipe"), key=lambda p: p.stat().st_size)
    for name, text, limit in (
        (largest.relative_to(LIBRARY), largest.read_text("utf-8"), LIMITS[0]),
        ("a large recipe", large(), LIMITS[1]),
    ):
        ours, floor, ratio = measured(text, repeats if limit == LIMITS[0] else max(3, repeats // 6))
        print(
            f"{name} ({len(text.encode()):,} bytes): validate {ours:.1f} ms of at most {limit}, tokens {floor:.1f} ms"
        )
        print(f"  ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
