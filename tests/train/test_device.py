"""A run on a device that is not the CPU: the same bits, and no step that waits for it or copies more than it has to."""

import json

import pytest

from ..forked import forked

PROGRAM = "from tests.train.on_device import main\nmain()"


@pytest.fixture
def on_both(project, tmp_path):
    """Run a recipe on the CPU and on the device; what the child found."""

    def compared(*params, **changes):
        with forked(project(**changes), *params, program=PROGRAM) as child:
            out, err = child.communicate(timeout=120)
        assert child.poll() == 0, err
        return json.loads(out.splitlines()[-1])

    return compared


def plain(found, stage):
    """Steps without an event or a checkpoint: what a stage does thousands of times."""
    return [s for s in found["steps"] if s["stage"] == stage and s["step"] in (1, 3, 7)]


def counts(step):
    return sum(step["reads"].values()), sum(step["left"].values()), sum(step["arrived"].values())


def test_a_run_leaves_the_bits_of_the_cpu_and_no_step_waits_for_the_device(on_both):
    found = on_both("micro=4")
    assert found["same"]
    assert [counts(s) for s in plain(found, "sparse")] == [(0, 0, 1)] * 3
    (last,) = (s for s in found["steps"] if s["stage"] == "sparse" and s["step"] == 11)
    assert counts(last) == (0, 1, 1)  # all losses since the last checkpoint at once
