"""How many weights an event makes zero: exact rationals, halves to the even count."""

from pathlib import Path

import pytest

from recipelang.loading.plan import planned

SCHEDULE = "cubic(50% -> target, over = 0%..80%, every = 2 steps)"


# the tiny model's encoder has matrices of 1024 and 2048 weights
@pytest.mark.parametrize(
    ("sparsity", "of_1024", "of_2048"),
    [
        ("50%", 512, 1024),
        ("1 / 2048", 0, 1),
        ("3 / 2048", 2, 3),
        ("5 / 2048", 2, 5),
        ("1 / 4096", 0, 0),
        ("3 / 4096", 1, 2),
        ("1 / 3", 341, 683),
        ("99.99%", 1024, 2048),
    ],
)
def test_zeros_of_an_event_are_rounded_half_to_even(project, sparsity, of_1024, of_2048):
    path: Path = project(replace=(SCHEDULE, sparsity))
    path.write_text(
        path.read_text("utf-8").replace("expect sparsity(@linear & @encoder) == target ± 0.1%", ""), "utf-8"
    )
    prune = planned(str(path))[1].stages[1].prunes[0]
    (event,) = prune.events
    assert {t.size for t in prune.targets} == {1024, 2048}
    assert event.zeros == tuple({1024: of_1024, 2048: of_2048}[t.size] for t in prune.targets)
