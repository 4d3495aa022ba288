"""`recipelang lint`: what it shows, writes and ends with."""

import json
import socket

import pytest

from recipelang.lint import RULES

from .command import command

QUIET = ("--allow", "L071", "--allow", "L090", "--allow", "L091")


def test_a_clean_recipe(project):
    ended = command("lint", "tiny.recipe", *QUIET)
    assert (ended.code, ended.out, ended.err) == (0, "tiny.recipe: no findings\n", "")


def test_findings_are_counted_and_only_errors_fail(project, edit):
    edit("temperature = 2", "temperature = 1")
    ended = command("lint", "tiny.recipe", *QUIET)
    assert (ended.code, ended.out, ended.codes) == (0, "tiny.recipe: 1 warning\n", ["L021"])
    ended = command("lint", "tiny.recipe", *QUIET, "--deny", "untuned-temperature")
    assert (ended.code, ended.out) == (1, "tiny.recipe: 1 error\n")
    assert "error[L021]" in ended.err


def test_what_validate_finds_is_shown_and_comes_first(project, edit):
    edit("temperature = 2", "temprature = 1")
    ended = command("lint", "tiny.recipe")
    assert (ended.code, ended.codes) == (1, ["E051"])
    assert "L071" not in ended.err


def test_what_the_plan_finds_is_shown(project, edit):
    edit("targets = @linear & @encoder", 'targets = "no.such.tensor"')
    ended = command("lint", "tiny.recipe", *QUIET)
    assert (ended.code, ended.codes) == (1, ["E070"])
    assert "because the plan has errors" in ended.err


def test_the_network_is_never_asked(here, edit, monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    edit('base = "model"', 'base = "hf://owner/model@0123abc"')
    edit('train = "train.json", validation = "dev.json"', 'source = "hf://owner/data@0123abc"')
    ended = command("lint", "tiny.recipe", *QUIET)
    assert ended.code == 0
    planned = sum(rule.NEEDS == "plan" for rule in RULES)
    assert f"info[L000]: {planned} rules could not be checked" in ended.err
    assert "neither cached nor reachable" in ended.err
    assert command("lint", "tiny.recipe", "--deny", "not-checked").code == 1


def test_a_parameter_without_a_value_leaves_rules_out(project, edit):
    edit("param target: ratio in 50%..99% = 90%", "param target: ratio in 50%..99%")
    assert "`target` needs a value" in command("lint", "tiny.recipe").err
    assert "L000" not in command("lint", "tiny.recipe", "-p", "target=80%").err


def test_a_comment_may_be_needed_with_another_value_only(project, edit):
    edit("  prune weights {", "  # recipe: allow(L010) two epochs are enough here\n  prune weights {")
    edit("length = 2 epochs", "# recipe: allow(L010) two epochs are enough here\n  length = 2 epochs")
    assert command("lint", "tiny.recipe", *QUIET).codes == ["W111", "W111"]
    assert command("lint", "tiny.recipe", *QUIET, "-p", "target=97%").codes == []


def test_json_and_concise(project, edit):
    edit("temperature = 2", "temperature = 1")
    ended = command("lint", "tiny.recipe", *QUIET, "--format", "json", "--deny", "L021")
    document = json.loads(ended.out)
    assert (document["valid"], document["error_count"], ended.err, ended.code) == (False, 1, "", 1)
    (found,) = document["diagnostics"]
    assert (found["code"], found["severity"], found["primary"]["start"]["line"]) == ("L021", "error", 31)
    ended = command("lint", "tiny.recipe", *QUIET, "--format", "concise")
    assert ended.out == "tiny.recipe:31:66: warning[L021]: a temperature of 1 does not soften the distributions\n"


def test_several_files_and_one_that_is_missing(project):
    (project / "b.recipe").write_text((project / "tiny.recipe").read_text("utf-8"), "utf-8")
    ended = command("lint", "tiny.recipe", "no.recipe", "b.recipe", *QUIET)
    assert (ended.code, ended.codes) == (1, ["E046"])
    assert ended.out == "tiny.recipe: no findings\nb.recipe: no findings\n"


def test_levels_of_a_file(project, edit):
    edit("temperature = 2", "temperature = 1")
    (project / "recipelang.toml").write_text(
        '[lint]\nL021 = "deny"\nundocumented-param = "allow"\nL090 = "allow"\nL091 = "allow"\n', "utf-8"
    )
    assert command("lint", "tiny.recipe").code == 1
    assert command("lint", "tiny.recipe", "--warn", "L021").code == 0
    assert command("lint", "-", stdin=(project / "tiny.recipe").read_bytes()).code == 1
    ended = command("plan", "tiny.recipe")  # a plan is not the gate
    assert (ended.code, ended.codes) == (0, ["L021"])
    assert "warning[L021]" in ended.err


@pytest.mark.parametrize("arguments", [("--deny", "L999"), ("--deny", "L020", "--allow", "L020")])
def test_wrong_options(project, arguments):
    ended = command("lint", "tiny.recipe", *arguments)
    assert (ended.code, ended.codes, ended.out) == (1, ["E095"], "")


def test_plan_and_run_keep_remarks_to_lint(project):
    assert "L071" in command("lint", "tiny.recipe").err
    assert command("plan", "tiny.recipe").err == ""


def test_a_comment_counts_in_a_plan(project, edit):
    edit("temperature = 2", "temperature = 1")
    assert command("plan", "tiny.recipe").codes == ["L021"]
    edit("  distill {", "  # recipe: allow(L021) the ablation\n  distill {")
    assert command("plan", "tiny.recipe").codes == []


# --------------------------------------------------------------------------- fix
def test_fix_protects_and_allows_a_tolerance(project, edit):
    edit("    never = @embeddings | @head\n", "")
    edit("== target ± 0.1%", "== target")
    before = (project / "tiny.recipe").read_text("utf-8")
    ended = command("lint", "tiny.recipe", "--fix", *QUIET)
    assert (ended.code, ended.out) == (0, "tiny.recipe: no findings\n")
    assert [line.rpartition("(")[2] for line in ended.err.splitlines()] == [
        "L003)",
        "L042)",
        "fixed 2 findings in tiny.recipe",
    ]
    after = (project / "tiny.recipe").read_text("utf-8")
    assert "    targets = @linear & @encoder\n    never = @embeddings | @head\n    method" in after
    assert "expect sparsity(@linear & @encoder) == target ± 0.1%" in after
    assert len(after.splitlines()) == len(before.splitlines()) + 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("targets  = @linear & @encoder  # a", "targets  = @linear & @encoder  # a\n    never    = @embeddings | @head"),
        ("targets = @encoder & @linear, pattern = unstructured", "targets = @encoder & @linear, never = @embeddings | @head, pattern = unstructured"),
        ("targets = (@query |\n      @key)", "targets = (@query |\n      @key), never = @embeddings | @head"),
    ],
)  # fmt: skip
def test_fix_writes_as_the_author_did(project, edit, before, after):
    edit("    never = @embeddings | @head\n", "")
    edit("targets = @linear & @encoder\n", before + "\n")
    command("lint", "tiny.recipe", "--fix")
    assert f"    {after}\n" in (project / "tiny.recipe").read_text("utf-8")


def test_fix_leaves_alone_what_it_cannot_know(project, edit):
    edit("targets = @linear & @encoder\n    never = @embeddings | @head", "targets = @linear")
    edit("prefer dev.f1 >= 0%", "prefer dev.f1 == 88%")
    text = (project / "tiny.recipe").read_text("utf-8")
    ended = command("lint", "tiny.recipe", "--fix", *QUIET)
    assert ended.codes == ["L003", "L002"]
    assert (project / "tiny.recipe").read_text("utf-8") == text


def test_fix_mends_what_validate_found_then_what_the_rules_find(project, edit):
    edit("    never = @embeddings | @head\n", "")
    edit("temperature = 2", "temprature = 2")
    ended = command("lint", "tiny.recipe", "--fix", *QUIET)
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "fixed 2 findings in tiny.recipe")
    text = (project / "tiny.recipe").read_text("utf-8")
    assert "temperature = 2" in text and "never = " in text


def test_fix_of_standard_input_goes_to_standard_output(project, edit):
    edit("== target ± 0.1%", "== target")
    text = (project / "tiny.recipe").read_text("utf-8")
    ended = command("lint", "-", "--fix", *QUIET, stdin=text.encode())
    assert ended.out == text.replace("== target", "== target ± 0.1%")
    assert ended.err.endswith("fixed 1 finding in <stdin>\n<stdin>: no findings\n")


# ------------------------------------------------------------------- several files
CHILD = """recipe 1 "child"
extends "./tiny.recipe"

param more: int = 1

patch stage sparse {
  distill { temperature = 1 }
}
"""


def test_a_child_is_judged_with_its_base_and_told_where_it_is_written(project, edit):
    edit("    never = @embeddings | @head\n", "")
    (project / "child.recipe").write_text(CHILD, "utf-8")
    base = (project / "tiny.recipe").read_text("utf-8")
    ended = command("lint", "child.recipe", "--fix", "--format", "concise")
    places = [line.partition(": ")[0] for line in ended.out.splitlines()]
    assert places == ["child.recipe:1:8"] * 2 + ["child.recipe:4:7"] * 2 + ["child.recipe:7:27", "tiny.recipe:25:3"]
    assert "param `more` is not documented" in ended.out and "param `micro`" not in ended.out
    assert (project / "tiny.recipe").read_text("utf-8") == base


def test_a_comment_in_a_child_or_in_its_base_allows(project, edit):
    edit("    never = @embeddings | @head\n", "")
    edit("  prune weights {", "  # recipe: allow(L003) the ablation\n  prune weights {")
    text = CHILD.replace("patch stage", "# recipe: allow(L021) the ablation\npatch stage")
    (project / "child.recipe").write_text(text, "utf-8")
    assert command("lint", "child.recipe").codes == []


# ----------------------------------------------------------------------- explain
def test_a_rule_is_explained_by_its_name():
    assert command("explain", "no-never").out == command("explain", "L003").out
    assert "did you mean no-never?" in command("explain", "no-nevr").err


def test_rules_are_completed(monkeypatch):
    from recipelang.cli.complete import rules

    assert ("L003", "no-never") in rules("l00")
    assert rules("L9") == []


OBERT = "obert(block = 1, gradients = 256, batch = 8)"


@pytest.mark.parametrize(
    ("method", "pattern", "after"),
    [
        (OBERT, "unstructured", OBERT.replace("= 1,", "= 50,")),
        (OBERT, "block(4, 1)", OBERT.replace("= 1,", "= 50,")),
        (f"if micro == 8 then {OBERT} else magnitude", "2:4", f"if micro == 8 then {OBERT} else magnitude"),
    ],
)
def test_bold_fix_writes_the_published_block(method, pattern, after, project, edit):
    old = "if scope == uniform then magnitude(scope = uniform) else magnitude(scope = global)"
    edit(f"method = {old}", f"method = {method}\n    pattern = {pattern}")
    edit("cubic(50% -> target, over = 0%..80%, every = 2 steps)", "step(0% -> 50%, at = 2 steps)")
    assert "L030" in command("lint", "tiny.recipe", "--fix", *QUIET).codes
    command("lint", "tiny.recipe", "--unsafe-fixes", *QUIET)
    assert f"method = {after.replace('= 1,', '= 50,')}\n" in (project / "tiny.recipe").read_text("utf-8")


@pytest.mark.parametrize("given", ["", "seed = 7\n"])
def test_bold_fix_lets_the_seed_be_chosen_and_changes_nothing_else(given, project, edit):
    edit("prefer dev.f1 >= 0%", "prefer dev.f1 >= 1%")
    edit("\nmodel {", f"\n{given}model {{")
    before = command("digest", "tiny.recipe").out.splitlines()[:2]
    assert "info[L040]" in command("lint", "tiny.recipe", "--fix", *QUIET).err
    assert "[L040]" not in command("lint", "tiny.recipe", "--unsafe-fixes", *QUIET).err
    assert command("digest", "tiny.recipe").out.splitlines()[:2] == before
    assert command("digest", "tiny.recipe", "-p", "seed=8").out.splitlines()[:2] != before


def test_an_allow_of_a_base_may_be_for_another_child(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = """recipe 1 "base"
meta { license = "MIT", authors = ["A. Person"] }
# recipe: allow(L050) whichever is newest
param base: model = "hf://a/b"
model { base = base, task = question_answering }
data { source = "hf://a/c@0123abc" }
stage dense { length = 4 epochs, batch = 8, learning_rate = linear(1e-3 -> 1e-4, over = start..end) }
"""
    (tmp_path / "base.recipe").write_text(base, "utf-8")
    child = 'recipe 1 "child"\nextends "./base.recipe"\n\nset base = "hf://a/b@0123abc"\n'
    (tmp_path / "child.recipe").write_text(child, "utf-8")
    assert "W111" not in command("lint", "child.recipe").codes
    (tmp_path / "child.recipe").write_text(child.replace("set", "# recipe: allow(L050) none\nset"), "utf-8")
    assert "W111" in command("lint", "child.recipe").codes
