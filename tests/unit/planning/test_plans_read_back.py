"""A plan is read back from a run's folder, where somebody may have changed it: it is one that a run could have."""

import json
import shutil

import pytest
from pydantic import ValidationError

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.types import Plan
from tests.conftest import RECIPE


@pytest.fixture(scope="module")
def form(tiny, tmp_path_factory):
    here = tmp_path_factory.mktemp("plans")
    shutil.copytree(tiny, here, dirs_exist_ok=True)
    (here / "tiny.recipe").write_text(RECIPE.format(length="2 epochs", extra=""), "utf-8")
    return planned(str(here / "tiny.recipe"), read_around([]))[1].model_dump_json()


def test_what_was_planned_is_read(form):
    assert Plan.model_validate_json(form).model_dump_json() == form


CHANGES = {
    "no stage": lambda p: p.update(stages=[]),
    "stages in another order": lambda p: p["stages"].reverse(),
    "an evaluation of nothing": lambda p: p["evaluations"][0].update(samples=0),
    "an evaluation of another set": lambda p: p["evaluations"][0].update(data="other"),
    "an evaluation of a missing split": lambda p: p["evaluations"][0].update(split="test"),
    "a stage that reads nothing": lambda p: p["stages"][0].update(data="other"),
    "no batch": lambda p: p["stages"][0].update(batch=0),
    "parts of nothing": lambda p: p["stages"][0].update(micro_batch=0),
    "negative steps": lambda p: p["stages"][0].update(steps=-1),
    "no step of an epoch": lambda p: p["stages"][0].update(steps_per_epoch=0),
    "checkpoints at no step": lambda p: p["stages"][0].update(checkpoint_every=0),
    "negative zeros": lambda p: p["stages"][1]["prunes"][0]["events"][0].update(zeros=[-1]),
    "windows of no token": lambda p: p["data"][0].update(max_length=0),
    "a rehearsal of no step": lambda p: p.update(rehearsal=0),
    "an attribute too many": lambda p: p.update(more=1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_no_run_has_is_refused(form, name):
    changed = json.loads(form)
    CHANGES[name](changed)
    with pytest.raises(ValidationError):
        Plan.model_validate_json(json.dumps(changed))
