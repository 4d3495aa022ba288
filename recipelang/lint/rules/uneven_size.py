"""L096: a width that is no multiple of 16, where it was one."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L096", "uneven-size", "info", "plan"
EVEN = 16


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.plan.stages:
        for shrink in stage.shrinks:
            for size in shrink.sizes if shrink is stage.shrinks[-1] or shrink.step is None else ():
                odd = size.axis in ("ffn", "hidden") and size.before % EVEN == 0 and size.after % EVEN
                if odd and size.before > EVEN:
                    near = max(EVEN, round(size.after / EVEN) * EVEN)
                    at = f"stage.{stage.name}.shrink.{shrink.name}.axes"
                    message = f"`{size.axis}` becomes {size.after:,}, which is no multiple of {EVEN}"
                    chosen = shrink.budget is not None and size.axis in shrink.budget.chosen
                    help = f"write `multiple_of = {EVEN}`" if chosen else f"write `{size.axis} -> {near}`"
                    yield Finding(at, message, help)
