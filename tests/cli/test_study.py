"""`recipelang study`: variants of a recipe in processes of their own, gone on with, and compared."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipelang.cli.commands.study import planned
from recipelang.loading.read import read_around

from .command import command, files, process

STUDY = """recipe 1 "two arms"

study {
  of       = "./tiny.recipe"
  seeds    = [1, 2]
  baseline = plain
}

vary { target = [60%, 90%] }

arm plain {}

## Embeddings too.
arm everything {
  patch stage sparse {
    prune weights {
      targets = @linear & @encoder | @embeddings
      never   = @head
    }
  }
}
"""


@pytest.fixture
def study(project, edit, monkeypatch) -> Path:
    """A study of `tiny.recipe` in the working folder, in which children find this checkout."""
    edit("param target", "param seed: int = 42\nparam target")
    edit("model {", "seed = seed\nmodel {")
    (project / "s.recipe").write_text(STUDY, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return project


class Inline:
    """A run in this process: the seconds that one of its own takes to load torch are most of a tiny run."""

    def __init__(self, words, *, stdout, **_: object) -> None:
        ended = command(*words[words.index("recipelang") + 1 :])
        stdout.write((ended.out + ended.err).encode())
        self.returncode = ended.code

    def poll(self) -> int:
        return self.returncode


@pytest.fixture
def inline(study, monkeypatch) -> Path:
    """The same, for what is not about processes."""
    instead = SimpleNamespace(Popen=Inline, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT)
    monkeypatch.setattr("recipelang.study.launch.subprocess", instead)
    return study


def change(study: Path, old: str, new: str) -> None:
    text = (study / "s.recipe").read_text("utf-8")
    assert old in text
    (study / "s.recipe").write_text(text.replace(old, new, 1), "utf-8")


def listed(out: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+/\S*)  +\d.*  (to run|finished|interrupted|failed)", out, re.MULTILINE))


def test_plan_lists_every_variant_with_its_steps_and_writes_nothing(study):
    ended = command("study", "s.recipe", "--plan", "-o", "out")
    assert (ended.code, ended.err) == (0, "")
    names = [f"{a}/target-{t}/seed-{s}" for s in (1, 2) for a in ("plain", "everything") for t in (60, 90)]
    assert list(listed(ended.out)) == names
    assert "6 + 12" in ended.out and "8 runs, 144 steps to go" in ended.out
    assert not (study / "out").exists()


def test_plan_lists_the_jobs_of_a_cluster(study):
    (study / "out/jobs/plain/target-60").mkdir(parents=True)
    note = {"format_version": "1.0", "job": "17", "spec": ""}
    (study / "out/jobs/plain/target-60/seed-1.json").write_text(json.dumps(note), "utf-8")
    out = command("study", "s.recipe", "--plan", "-o", "out").out
    assert re.search(r"plain/target-60/seed-1 +6 \+ 12 +to run as job 17", out) and out.count("job") == 1


def test_every_seed_has_the_plan_that_its_recipe_gives(study, edit):
    edit("length = 2 epochs", "length = if seed == 1 then 1 epoch else 3 epochs")
    _, made = planned("s.recipe", read_around(), 4)
    assert {(v.seed, v.plan.seed, v.plan.stages[1].seed, v.plan.stages[1].steps) for v in made} == {
        (1, 1, 1, 6),
        (2, 2, 2, 18),
    }
    assert {v.plan.rehearsal for v in made} == {4}


def test_what_only_a_later_seed_gets_wrong_is_told(study, edit):
    edit("model {", 'require seed < 2, "one seed only"\nmodel {')
    assert command("validate", "s.recipe").codes == ["E050"]
    assert command("study", "s.recipe", "--plan").codes == ["E050"]


@pytest.mark.parametrize("seeds", ["[1, 1]", "[1, 2, 2]", "[0, 7, 0]"])
def test_a_seed_that_is_given_twice_is_refused(study, seeds):
    change(study, "[1, 2]", seeds)
    ended = command("validate", "s.recipe")
    assert ended.code == 1 and "error[E012]" in ended.err and "is given twice" in ended.err


def test_a_seed_out_of_range_is_told_at_the_seeds_of_the_study(study, edit):
    edit("param seed: int = 42", "param seed: int in 1..2 = 1")
    change(study, "[1, 2]", "3")
    ended = command("validate", "--format", "json", "s.recipe")
    (found,) = [d for d in json.loads(ended.out)["diagnostics"] if d["code"] == "E038"]
    assert "s.recipe" in json.dumps(found) and ended.code == 1


def test_study_is_validated_and_formatted_as_a_recipe_is(study):
    ended = command("validate", "s.recipe")
    assert (ended.code, ended.out) == (0, "s.recipe: ok, a study (two arms: plain, everything; 8 runs)\n")
    assert command("fmt", "--check", "s.recipe").code == 0
    assert command("lint", "s.recipe").out == "s.recipe: a study, no findings\n"
    change(study, "targets = @linear", "targets = @linaer")
    ended = command("validate", "s.recipe")
    assert ended.code == 1 and ended.codes == ["E073"]
    assert "s.recipe:17:17" in ended.err


def test_runs_are_ordinary_ones_and_the_table_tells_of_them(inline):
    study = inline
    ended = command("study", "s.recipe", "-o", "out", "--jobs", "2", "--only", "*/target-90/*")
    assert ended.code == 3  # of the second arm an `expect` does not hold: it prunes embeddings
    found = json.loads((study / "out" / "study.json").read_text("utf-8"))
    done = {r["name"]: r for r in found["runs"] if r["status"] == "finished"}
    assert len(done) == 4 and all("/target-90/" in name for name in done)
    for name, told in done.items():
        record = json.loads((study / "out" / "runs" / name / "run.json").read_text("utf-8"))
        assert record["seed"] == told["seed"]
        assert told["metrics"] == {n: v for n, v in record["metrics"].items() if not n.startswith("stage.")}
        assert told["sparsity"]["all_parameters"] == record["sparsity"]["all_parameters"]
    line = next(r for r in found["table"] if r["arm"] == "everything" and r["finished"])
    mine, theirs = (
        [done[f"{a}/target-90/seed-{s}"]["metrics"]["dev.f1"] for s in (1, 2)] for a in ("everything", "plain")
    )
    differences = [a - b for a, b in zip(mine, theirs, strict=True)]
    assert line["metrics"]["dev.f1"]["mean"] == pytest.approx(sum(mine) / 2)
    assert line["differences"]["dev.f1"]["mean"] == pytest.approx(sum(differences) / 2)
    half = 12.706204736 * abs(differences[0] - differences[1]) / 2  # t of one degree of freedom, sd / sqrt(2)
    assert line["differences"]["dev.f1"]["high"] == pytest.approx(sum(differences) / 2 + half)
    assert line["with_unmet_claims"] == 2
    table = (study / "out" / "study.md").read_text("utf-8")
    assert "| everything | 90%    | 2 |" in table and "± " in table
    assert len(list(csv.DictReader((study / "out" / "study.csv").open()))) == 4
    left = "2 rows without a finished run left out"
    assert left in table and "60%" not in table and left in (study / "out" / "report.html").read_text("utf-8")
    assert left in ended.out and "claims not met in 2" in ended.out
    # each can be gone over by hand: its recipe is there with every value written out
    alone = command("run", "out/recipes/plain/target-90/seed-2.recipe", "-o", "again")
    assert alone.code == 0
    record = json.loads((study / "again" / "run.json").read_text("utf-8"))
    assert record["metrics"]["dev.f1"] == done["plain/target-90/seed-2"]["metrics"]["dev.f1"]


def test_table_of_nothing_says_so(study):
    assert command("study", "s.recipe", "--table", "-o", "out").code == 0
    written = (study / "out" / "study.md").read_text("utf-8")
    assert "4 rows without a finished run left out" in written and "|" not in written


def test_typed_again_it_keeps_what_is_finished(inline):
    study = inline
    only = ["--only", "plain/target-60/seed-1"]
    assert command("study", "s.recipe", "-o", "out", *only).code == 0
    before = (study / "out/runs/plain/target-60/seed-1/run.json").stat().st_mtime_ns
    drawn = (study / "out/plots/dev.f1-against-target.svg").read_text("utf-8")
    assert "plain" in drawn and "everything" not in drawn
    ended = command("study", "s.recipe", "-o", "out", "--only", "plain/target-60")
    assert ended.code == 0
    assert "2 runs in out, 1 of them finished" in ended.out
    assert (study / "out/runs/plain/target-60/seed-1/run.json").stat().st_mtime_ns == before
    assert listed(command("study", "s.recipe", "-o", "out", "--plan").out)["plain/target-60/seed-2"] == "finished"
    ended = command("study", "s.recipe", "-o", "out", *only, "--again", "plain/target-60/seed-1")
    assert ended.code == 0
    assert (study / "out/runs/plain/target-60/seed-1/run.json").stat().st_mtime_ns > before


def test_changed_study_is_not_mixed_with_old_runs(inline):
    study = inline
    assert command("study", "s.recipe", "-o", "out", "--only", "plain/target-60/seed-1").code == 0
    before = files(study / "out")
    ended = command("study", "s.recipe", "-o", "out", "-p", "scope=global")
    assert (ended.code, ended.codes) == (1, ["E102"])
    assert files(study / "out") == before


def test_rehearsal_is_not_taken_for_the_whole(inline):
    study = inline
    only = ["-o", "out", "--only", "plain/target-60/seed-1"]
    assert command("study", "s.recipe", *only, "--steps", "2").code == 0
    record = json.loads((study / "out/runs/plain/target-60/seed-1/run.json").read_text("utf-8"))
    assert record["rehearsal"] == 2
    assert "rehearsal of 2 steps per stage" in (study / "out/study.md").read_text("utf-8")
    row = next(csv.DictReader((study / "out/study.csv").open(encoding="utf-8")))
    assert row["rehearsal"] == "2"
    told = json.loads((study / "out/study.json").read_text("utf-8"))
    assert {r["rehearsal"] for r in (*told["runs"], *told["table"])} == {2}
    assert "limited to the first 2 steps of every stage" in (study / "out/report.html").read_text("utf-8")
    assert all("(rehearsal)" in p.read_text("utf-8") for p in (study / "out/plots").glob("*.svg"))
    assert command("study", "s.recipe", *only, "--steps", "2", "--plan").out.count("finished") == 1
    ended = command("study", "s.recipe", *only)
    assert (ended.code, ended.codes) == (1, ["E102"]) and "a rehearsal of 2 steps" in ended.err


def test_study_from_standard_input_and_from_the_library(study):
    ended = command("study", "-", "--plan", stdin=STUDY.encode())
    assert ended.code == 0 and len(listed(ended.out)) == 8
    given = [f"base={study}/model", f"train={study}/train.json", f"dev={study}/dev.json", "max_length=32 tokens"]
    ended = command("study", "lib://studies/guidelines", "--plan", *(w for g in given for w in ("-p", g)))
    assert ended.code == 0 and len(listed(ended.out)) == 165
    assert command("validate", "-", stdin=STUDY.encode()).out.startswith("<stdin>: ok, a study (")


def test_two_at_once_in_one_folder_are_refused(study):
    from recipelang.engine.files import only_one

    (study / "out").mkdir()
    with only_one(study / "out"):
        ended = command("study", "s.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (1, ["E085"])


def test_run_that_dies_is_told_of_and_the_others_go_on(inline):
    study = inline
    change(study, "arm plain {}", "arm broken {\n  patch stage sparse { learning_rate = 1e30 }\n}\n\narm plain {}")
    change(study, "[60%, 90%]", "[60%]")
    ended = command("study", "s.recipe", "-o", "out", "--only", "broken/*/seed-1", "--only", "plain/*/seed-1")
    assert ended.code == 1
    found = {r["name"]: r for r in json.loads((study / "out" / "study.json").read_text("utf-8"))["runs"]}
    assert found["broken/target-60/seed-1"]["status"] == "failed"
    assert "E082" in found["broken/target-60/seed-1"]["error"]
    assert found["plain/target-60/seed-1"]["status"] == "finished"
    assert "broken/target-60/seed-1 failed: E082" in ended.out


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ("exit 7", "ended with exit code 7"),
        ("kill -9 $$", "ended by SIGKILL"),
        ("echo 'error[E082]: the loss is not finite'; exit 1", "E082: the loss is not finite"),
    ],
)
def test_process_that_ends_badly_is_told_of_and_the_others_go_on(study, monkeypatch, ends, told):
    (study / "python").write_text(f"#!/bin/sh\n{ends}\n", "utf-8")
    (study / "python").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(study / "python"))
    ended = command("study", "s.recipe", "-o", "out", "--only", "plain/target-60")
    assert ended.code == 1
    found = {r["name"]: r for r in json.loads((study / "out" / "study.json").read_text("utf-8"))["runs"]}
    for seed in (1, 2):
        run = found[f"plain/target-60/seed-{seed}"]
        assert (run["status"], run["error"]) == ("failed", told)
        assert f"plain/target-60/seed-{seed} failed: {told}" in ended.out


def test_interrupted_study_stops_softly_and_goes_on_to_the_same_result(inline):
    """What is interrupted is a process with one of its own; what goes on is `inline`."""
    study = inline
    change(study, "[60%, 90%]", "[60%]")
    (study / "tiny.recipe").write_text(
        (study / "tiny.recipe").read_text("utf-8").replace("2 epochs", "20 epochs"), "utf-8"
    )
    only = ["--only", "plain/*/seed-1"]
    log = study / "out/logs/plain/target-60/seed-1.log"
    with process("study", "s.recipe", "-o", "out", *only, cwd=study) as started:
        until = time.monotonic() + 150
        while not (log.is_file() and "step 24/" in log.read_text("utf-8")):
            assert time.monotonic() < until and started.poll() is None
            time.sleep(0.05)
        os.kill(started.pid, signal.SIGINT)
        out, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "nothing is lost" in err and "interrupted" in out
    assert listed(command("study", "s.recipe", "-o", "out", "--plan").out)["plain/target-60/seed-1"] == "interrupted"
    ended = command("study", "s.recipe", "-o", "out", *only)
    assert ended.code == 0 and "resumes" in ended.out
    assert command("run", "out/recipes/plain/target-60/seed-1.recipe", "-o", "whole").code == 0
    records = (study / "out/runs/plain/target-60/seed-1/run.json", study / "whole/run.json")
    told = [json.loads(r.read_text("utf-8")) for r in records]
    assert told[0]["metrics"] == told[1]["metrics"] and told[0]["sparsity"] == told[1]["sparsity"]


def test_weights_are_dropped_where_the_study_says_so(inline):
    study = inline
    change(study, "baseline = plain", "baseline = plain\n  weights  = drop")
    assert command("study", "s.recipe", "-o", "out", "--only", "plain/target-60/seed-1").code == 0
    left = files(study / "out/runs/plain/target-60/seed-1")
    assert "run.json" in left and not [name for name in left if name.endswith(".safetensors")]
    assert "1 of them finished" in command("study", "s.recipe", "-o", "out", "--only", "plain/target-60/seed-1").out


def test_arms_build_on_arms_files_and_other_recipes(study):
    (study / "micro.recipe").write_text('recipe 1 "micro"\nset micro = 4\n', "utf-8")
    (study / "other.recipe").write_text(
        (study / "tiny.recipe").read_text("utf-8").replace("1 epoch", "2 epochs"), "utf-8"
    )
    more = (
        'arm small { overlay = "./micro.recipe" }\n'
        "arm both { arms = [everything, small] }\n"
        'arm elsewhere { of = "./other.recipe" }\n'
    )
    (study / "s.recipe").write_text(STUDY + more, "utf-8")
    from recipelang.cli.commands.study import planned
    from recipelang.loading.read import read_around

    _, made = planned("s.recipe", read_around())
    plans = {v.name: v.plan for v in made}
    both = plans["both/target-90/seed-1"].stages[1]
    assert both.micro_batch == 4 and len(both.prunes[0].targets) > len(
        plans["plain/target-90/seed-1"].stages[1].prunes[0].targets
    )
    assert plans["elsewhere/target-90/seed-1"].stages[0].steps == 12


def test_variants_are_named_by_their_values(study):
    change(study, "vary { target = [60%, 90%] }", "vary {\n  target = [60%, 60.5%]\n  scope = [uniform, global]\n}")
    change(study, "seeds    = [1, 2]", "seeds = 3")
    names = list(listed(command("study", "s.recipe", "--plan", "--only", "plain").out))
    assert len(names) == 12
    assert names[:2] == ["plain/target-60_scope-uniform/seed-1", "plain/target-60_scope-global/seed-1"]
    assert names[-1] == "plain/target-60.5_scope-global/seed-3"


def test_front_half_of_a_study_loads_no_torch(study):
    program = (
        "import sys\nfrom recipelang.cli.main import main\n"
        "for line in ('study s.recipe --plan', 'validate s.recipe'):\n"
        "    sys.argv[1:] = line.split()\n"
        "    try:\n        main()\n"
        "    except SystemExit as stopped:\n        assert not stopped.code\n"
        "print('loaded:', sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))\n"
    )
    with process(program=program, cwd=study) as started:
        out, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "loaded: []"


def test_an_arm_removes_what_the_recipe_states(study):
    """An attribute and a block; what an arm is made of has removed it for the arm as well."""
    change(study, "arm everything {", "arm looser {\n  unset stage.sparse.prune.weights.never\n}\n\narm everything {")
    change(study, "  patch stage sparse {", "  arms = [looser]\n  unset stage.sparse.distill\n  patch stage sparse {")
    change(study, "      never   = @head\n", "")
    _, made = planned("s.recipe", read_around(), None)
    texts = {v.point.arm.name: v.text for v in made}
    assert [("never " in texts[a], "distill {" in texts[a]) for a in ("plain", "looser", "everything")] == [
        (True, True),
        (False, True),
        (False, False),
    ]


def test_a_site_removes_nothing(study):
    """An overlay is of a machine: only a study's own changes may remove."""
    (study / "o.recipe").write_text('recipe 1 "o"\nunset evaluate.dev\n', "utf-8")
    assert set(command("study", "s.recipe", "--plan", "--overlay", "o.recipe").codes) == {"E034"}
    change(study, "arm everything {", 'arm everything {\n  overlay = "./o.recipe"')
    assert set(command("study", "s.recipe", "--plan").codes) == {"E034"}


SEARCH = """recipe 1 "found"

study { of = "./tiny.recipe" }
search { trials = 3, maximize = dev.f1, seed = 3 }
vary { target = 60%..90%, scope = [uniform, global] }
"""


def told(folder: Path) -> tuple[object, list[tuple[object, ...]]]:
    read = json.loads((folder / "study.json").read_text("utf-8"))
    return read["search"], [(r["name"], r["values"], r["metrics"], r["status"]) for r in read["runs"]]


def test_a_search_goes_on_as_if_it_had_never_stopped(inline, edit):
    pytest.importorskip("optuna", reason="`recipelang[optuna]` is not installed")
    edit("length = 2 epochs", "length = 2 steps")
    (inline / "f.recipe").write_text(SEARCH, "utf-8")
    assert command("study", "f.recipe", "-o", "whole").code in (0, 3)
    searched, runs = told(inline / "whole")
    assert [r[0] for r in runs] == [f"tiny/trial-00{i}/run" for i in (1, 2, 3)] and {r[3] for r in runs} == {"finished"}
    best = max(runs, key=lambda r: r[2]["dev.f1"])
    assert searched["best"]["values"] == best[1]
    for i in (2, 3):  # as it would be after a cut
        shutil.rmtree(inline / f"whole/runs/tiny/trial-00{i}")
    ended = command("study", "f.recipe", "--plan", "-o", "whole")
    assert listed(ended.out) == {"tiny/trial-001/run": "finished", "tiny/trial-002/run": "to run"}
    assert command("study", "f.recipe", "-o", "whole").code in (0, 3)
    assert told(inline / "whole") == (searched, runs)
    assert command("study", "f.recipe", "-o", "whole", "--again", "tiny").codes == ["E265"]


def test_the_ends_of_all_ranges_are_planned_before_a_search(study):
    pytest.importorskip("optuna", reason="`recipelang[optuna]` is not installed")
    (study / "f.recipe").write_text(SEARCH.replace("60%..90%", "60%..99.5%"), "utf-8")
    assert command("study", "f.recipe", "--plan").codes and command("validate", "f.recipe").code == 1
    assert not (study / "runs").exists()
