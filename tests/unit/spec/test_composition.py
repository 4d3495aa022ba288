"""Recipes made of several files: what a child, an overlay and the command line change, and what stays."""

import pytest

from recipelang.source import Diagnostics, Source, fail
from recipelang.spec.canonical import spec_digest
from recipelang.spec.check import check
from recipelang.spec.effective import effective
from recipelang.spec.params import Given, read_file
from recipelang.spec.trace import trace
from recipelang.syntax import parse
from tests.reading import recipe_of, sound

BASE = sound()
CHILD = 'recipe 1 "child"\nextends "base.recipe"\n'


def composed(child, *overlays, given=None, **files):
    """A child of `BASE`, or of what `files` say; keys are file names without their ending."""
    texts = {"base": BASE, **files}

    def load(reference, by):
        name = reference.removesuffix(".recipe")
        if name not in texts:
            raise fail("E046", f"there is no file `{reference}`")
        return Source(reference, texts[name])

    given = {n: Given(v, f"-p {n}") for n, v in (given or {}).items()}
    layers = [Source(f"overlay{i}.recipe", f'recipe 1 "site"\n{text}') for i, text in enumerate(overlays)]
    return check(Source("a.recipe", child), given, load=load, overlays=layers)


def sound_child(lines, *overlays, **options):
    checked = composed(CHILD + lines, *overlays, **options)
    assert [d.message for d in checked.diagnostics] == []
    return checked.recipe


def codes(lines, *overlays, **options):
    return [d.code for d in composed(CHILD + lines, *overlays, **options).diagnostics]


def same_run(recipe, flat):
    return spec_digest(recipe, {}) == spec_digest(flat, {})


# ------------------------------------------------------------------ extends, set
def test_a_child_that_changes_nothing_is_its_base_under_another_name():
    recipe = sound_child("")
    assert recipe.name == "child"
    assert same_run(recipe, recipe_of(BASE))


def test_windows_of_the_base_see_what_the_child_sets():
    recipe = sound_child("set length = 12 epochs\nset target = 80%")
    flat = recipe_of(sound(("= 30 epochs", "= 12 epochs"), ("99% = 90%", "99% = 80%")))
    assert same_run(recipe, flat)
    assert "over = 2 epochs .. 10 epochs" in effective(recipe)


def test_the_effective_recipe_of_many_files_is_one_file_of_the_same_digest():
    recipe = sound_child("set target = 80%\npatch stage gradual { batch = 32 }")
    again = recipe_of(effective(recipe))
    assert same_run(recipe, again)


def test_claims_of_base_and_child_both_hold():
    recipe = sound_child("require target >= 60%\nexpect dev.f1 >= 80%")
    assert [c.kind for c in (*recipe.requires, *recipe.claims)] == ["require", "require", "expect", "prefer", "expect"]


def test_a_requirement_of_the_base_is_kept():
    base = sound(("let warm = 2 epochs", "param warm: epochs = 2 epochs"))
    assert codes("set warm = 0 epochs", base=base) == ["E050"]


def test_bases_build_on_bases():
    middle = CHILD + "patch stage gradual { batch = 32 }\nlet more = 3 epochs\n"
    lines = 'recipe 1 "top"\nextends "middle.recipe"\nset length = 2 * more + 6 epochs\n'
    checked = composed(lines, middle=middle)
    assert list(checked.diagnostics) == []
    stage = checked.recipe.stages[0]
    assert (stage.batch, stage.length.epochs) == (32, 12)


# ------------------------------------------------------------------- precedence
def target(*overlays, base=BASE, lines="", **given):
    recipe = composed(CHILD + lines, *overlays, base=base, given=given).recipe
    return recipe.evaluator.definition_value("target").value * 100


def test_precedence_is_default_child_overlay_command_line():
    redeclared = "param target: ratio = 80%\n"
    assert target() == 90
    assert target(lines=redeclared) == 80
    assert target("set target = 70%", lines=redeclared) == 70
    assert target(lines=redeclared, target="60%") == 60


def test_what_is_set_is_final_for_all_that_follow():
    assert codes("set target = 80%", given={"target": "70%"}) == ["E037"]
    assert codes("set target = 80%", "set target = 70%") == ["E037"]
    assert codes("", "set target = 80%\nset target = 70%") == ["E037"]
    assert codes("set target = 80%", "set target = 70%", "set target = 60%") == ["E037", "E037"]
    assert codes("", "set target = 80%", given={"target": "70%"}) == ["E037"]
    middle = CHILD + "set target = 80%\n"
    top = composed('recipe 1 "top"\nextends "middle.recipe"\nparam target: ratio = 60%\n', middle=middle)
    assert [d.code for d in top.diagnostics] == ["E037"]


def test_the_last_overlay_is_on_top():
    recipe = sound_child("", "patch stage gradual { batch = 32 }", "patch stage gradual { batch = 64 }")
    assert recipe.stages[0].batch == 64
    assert target("set target = 80%", "set target = 70%", "set target = 60%") == 60


def test_an_overlay_may_be_laid_over_again():
    """What counts is the order of overlays, and not which files they are."""
    again = "set target = 80%\nset length = 12 epochs"
    layers = [
        Source(name, f'recipe 1 "site"\n{text}')
        for name, text in (("a", again), ("b", "set target = 70%"), ("a", again))
    ]
    checked = check(Source("a.recipe", BASE), {}, overlays=layers)
    assert [d.message for d in checked.diagnostics] == []
    assert codes("", "set target = 80%\nset target = 70%") == ["E037"]


def test_a_file_of_parameters_gives_values_with_their_place():
    source = Source("mine.recipe", 'recipe 1 "mine"\nset target = 99.5%\nset length = 12 epochs\n')
    found = Diagnostics()
    given = read_file(parse(source, found), found)
    assert not len(found)
    assert {n: g.origin for n, g in given.items()} == {"target": "mine.recipe:2", "length": "mine.recipe:3"}
    checked = check(Source("a.recipe", BASE), given)
    (wrong,) = checked.diagnostics
    assert (wrong.code, wrong.primary.source, source.slice(wrong.primary.span)) == ("E038", source, "99.5%")


# --------------------------------------------------------------------- narrowing
def test_a_narrower_declaration_holds_beside_the_base_s():
    lines = "param target: ratio in 80%..95% = 85%\n"
    assert target(lines=lines) == 85
    assert codes(lines, given={"target": "70%"}) == ["E038"]
    assert codes(lines, given={"target": "97%"}) == ["E038"]


def test_a_declaration_without_a_range_keeps_the_base_s():
    assert codes("param target: ratio = 80%", given={"target": "40%"}) == ["E038"]


def test_a_declaration_without_a_default_keeps_the_base_s():
    assert target(lines="param target: ratio in 80%..95%\n") == 90
    assert codes("param target: ratio in 91%..95%") == ["E038"]


@pytest.mark.parametrize("line", ["param target: ratio in 40%..95% = 90%", "param target: ratio in [90%, 99.9%] = 90%"])
def test_a_wider_declaration_is_refused(line):
    assert codes(line) == ["E038"]


def test_a_type_may_be_narrowed_and_not_changed():
    base = sound(("param length: epochs", "param length: span"))
    assert codes("param length: epochs = 10 epochs", base=base) == []
    assert codes("param length: span = 10 epochs") == ["E024"]
    choice = "param how: one_of(uniform, global) = uniform\n"
    base = sound(("let warm", choice + "let warm"), ("scope = uniform", "scope = how"))
    assert codes("param how: one_of(global) = global", base=base) == []
    assert codes("param how: one_of(global, row) = global", base=base) == ["E022"]


# ------------------------------------------------------------------------ blocks
def test_blocks_without_a_name_are_merged():
    recipe = sound_child('model { revision = "abc" }\nexport { card = false }\nseed = 3')
    assert (recipe.model.base, recipe.model.revision, recipe.export.card, recipe.seed) == (
        "hf://owner/model",
        "abc",
        False,
        3,
    )


def test_a_patch_changes_what_it_names_at_any_depth():
    recipe = sound_child("patch stage gradual {\n prune weights { pattern = 2:4 }\n distill { temperature = 4 }\n}")
    stage = recipe.stages[0]
    assert (stage.prunes[0].pattern.a, stage.batch, len(stage.distills)) == (2, 16, 1)
    assert stage.distills[0].teacher == "hf://owner/teacher"


def test_a_new_stage_runs_after_the_base_s():
    lines = "stage tune {\n length = 1 epoch\n batch = 16\n learning_rate = linear(1e-5 -> 0, over = start..end)\n}"
    assert [s.name for s in sound_child(lines).stages] == ["gradual", "tune"]


def test_a_child_may_add_a_teacher_and_must_not_add_a_misspelt_block():
    base = sound(('distill { teacher = "hf://owner/teacher", hardness = 100%, temperature = 5.5 }', ""))
    teacher = 'distill { teacher = "hf://o/t", hardness = 50%, temperature = 2 }'
    recipe = sound_child(
        f"patch stage gradual {{ {teacher} }}".replace("{ d", "{\nd").replace("} }", "}\n}"), base=base
    )
    assert recipe.stages[0].distills[0].teacher == "hf://o/t"
    assert codes("patch stage gradual {\n prune wieghts { pattern = 2:4 }\n}") == ["E033"]


def test_unset_takes_blocks_and_attributes_out():
    recipe = sound_child(
        "unset stage.gradual.distill\nunset stage.gradual.prune.weights.never\nunset evaluate.dev.metrics"
    )
    stage = recipe.stages[0]
    assert (stage.distills, stage.prunes[0].never, recipe.evaluations[0].metrics) == ((), None, ())


# --------------------------------------------------------------------- += and -=
def shown(lines, path, **options):
    checked = composed(CHILD + lines, **options)
    assert list(checked.diagnostics) == []
    return trace(checked, {}, path).value


def test_selectors_grow_and_shrink():
    path = "stage.gradual.prune.weights.never"
    assert (
        shown("patch stage gradual {\n prune weights { never += @pooler }\n}", path) == "@embeddings | @head | @pooler"
    )
    assert (
        shown("patch stage gradual {\n prune weights { never -= @head }\n}", path) == "@embeddings | @head except @head"
    )


def test_lists_grow_and_shrink():
    change = "patch evaluate dev { metrics %s }"
    assert shown(change % "-= exact_match", "evaluate.dev.metrics") == "[f1]"
    assert shown(change % "+= [loss]", "evaluate.dev.metrics") == "[f1, exact_match, loss]"


def test_changes_of_several_files_add_up():
    middle = CHILD + 'meta { tags = ["a"] }\n'
    top = 'recipe 1 "top"\nextends "middle.recipe"\nmeta { tags += ["b"] }\n'
    assert composed(top, 'patch meta { tags += ["c"] }', middle=middle).recipe.meta.tags == ("a", "b", "c")


@pytest.mark.parametrize(
    "line", ["patch stage gradual { batch += 8 }", "patch evaluate dev { metrics -= loss }", "export { formats += 1 }"]
)
def test_what_cannot_be_changed_is_refused(line):
    assert codes(line) == ["E031"]


def test_a_length_or_a_misspelt_attribute_that_is_changed_is_one_error():
    assert codes("patch stage gradual { length += 2 epochs }") == ["E031"]
    base = sound(("never    = @embeddings", "nevr     = @embeddings"))
    assert codes("patch stage gradual {\n prune weights { nevr += @pooler }\n}", base=base) == ["E051"]


# ----------------------------------------------------------------------- use
LIBRARY = 'recipe 1 "shared"\nlet warm = 1 epoch\nlet long = 6 * warm\nlet dense = @embeddings | @head\n'


def test_lets_of_a_library_are_reached_by_its_alias_and_keep_to_themselves():
    base = sound(
        ("length        = length", "length = lib.long"), ("never    = @embeddings | @head", "never = lib.dense")
    )
    base = base.replace("\n\n", '\nuse "shared.recipe" as lib\n', 1)
    checked = composed(base, shared=LIBRARY)
    assert list(checked.diagnostics) == []
    assert checked.recipe.stages[0].length.epochs == 6  # its `warm` is not ours
    assert checked.recipe.evaluator.definition_value("warm").epochs == 2


def test_libraries_may_use_libraries():
    outer = 'recipe 1 "outer"\nuse "shared.recipe" as inner\nlet twice = 2 * inner.long\n'
    base = BASE.replace("\n\n", '\nuse "outer.recipe" as lib\nlet a = lib.twice\nlet b = lib.inner.warm\n', 1)
    checked = composed(base, shared=LIBRARY, outer=outer)
    assert list(checked.diagnostics) == []
    assert checked.recipe.evaluator.definition_value("a").epochs == 12
    assert checked.recipe.evaluator.definition_value("b").epochs == 1


def test_a_library_that_cannot_be_read_is_told_once():
    base = BASE.replace("\n\n", '\nuse "nowhere.recipe" as lib\nlet a = lib.twice\n', 1)
    assert [d.code for d in composed(base).diagnostics] == ["E046"]


# ----------------------------------------------------------------- limits, findings
def test_a_base_that_cannot_be_read_is_told_once():
    assert [d.code for d in composed('recipe 1 "a"\nextends "bas.recipe"\nset x = 1\n').diagnostics] == ["E046"]


def test_findings_of_a_base_stand_at_their_own_line():
    base = sound(("batch         = 16", "bach          = 16"))
    (found,) = composed(CHILD, base=base).diagnostics
    assert (found.code, found.primary.source.name) == ("E051", "base.recipe")
    line, column = found.primary.source.position(found.primary.span.start)
    assert base.splitlines()[line - 1][column - 1 :].startswith("bach")
    syntax = composed(CHILD, base=BASE.replace("let warm = 2 epochs", "let warm 2 epochs"))
    assert [(d.code, d.primary.source.name) for d in syntax.diagnostics] == [("E001", "base.recipe")]


def test_at_most_eight_on_top_of_each_other():
    files = {f"f{i}": f'recipe 1 "f{i}"\nextends "f{i + 1}.recipe"\n' for i in range(1, 9)}
    chain = 'recipe 1 "a"\nextends "f1.recipe"\n'
    assert [d.code for d in composed(chain, f9=BASE, **files).diagnostics] == ["E041"]
    del files["f8"]
    assert list(composed(chain, f8=BASE, **files).diagnostics) == []


def test_at_most_32_files():
    files = {f"l{i}": f'recipe 1 "l{i}"\nlet x = {i}\n' for i in range(40)}
    uses = "".join(f'use "l{i}.recipe" as l{i}\n' for i in range(40))
    assert set(codes(uses, **files)) == {"E042"}
    assert codes("".join(uses.splitlines(keepends=True)[:30]), **files) == []


def test_a_circle_names_its_way():
    (found,) = composed('recipe 1 "a"\nextends "b.recipe"\n', b='recipe 1 "b"\nextends "a.recipe"\n', a="").diagnostics
    assert (found.code, found.notes) == ("E040", ("the cycle is a.recipe -> b.recipe -> a.recipe",))


@pytest.mark.parametrize("alias", ["dev", "stage"])
def test_an_alias_does_not_hide_what_is_measured(alias):
    base = BASE.replace("\n\n", f'\nuse "shared.recipe" as {alias}\n', 1)
    found = {d.code for d in composed(base, shared='recipe 1 "shared"\nlet f1 = 99%\n').diagnostics}
    assert found == {"E039"}


def test_a_name_that_a_library_does_not_define_is_no_name_of_the_recipe_that_uses_it():
    used = {"lib": 'recipe 1 "lib"\nlet method_of = method\nlet late = warm + 1 epoch'}
    checked = composed(CHILD + 'use "lib.recipe" as lib\nlet method = 90%\nlet m = lib.method_of', **used)
    told = [(d.code, d.message) for d in checked.diagnostics]
    assert told == [("E022", "unknown name `method`"), ("E022", "unknown name `warm`")]


def test_a_name_of_an_inner_library_is_not_captured_on_the_way_out():
    inner = 'recipe 1 "inner"\nlet late = share'
    outer = 'recipe 1 "outer"\nuse "inner.recipe" as inner\nlet share = 50%\nlet late = inner.late'
    checked = composed(CHILD + 'use "outer.recipe" as outer\nlet late = outer.late', inner=inner, outer=outer)
    assert [(d.code, d.message) for d in checked.diagnostics] == [("E022", "unknown name `share`")]


def test_a_broken_library_is_told_once():
    lib = 'recipe 1 "lib"\nlet a = = 1\nlet b = a + 1'
    checked = composed(CHILD + 'use "lib.recipe" as lib\nset target = lib.b', lib=lib)
    assert [d.code for d in checked.diagnostics] == ["E001"]


def test_trace_of_an_attribute_outside_all_blocks():
    checked = composed('recipe 1 "a"\nextends "base.recipe"\nseed = 7')
    assert [(link.place, link.text) for link in trace(checked, {}, "seed").links] == [("a.recipe:3", "seed = 7")]
    assert trace(composed(CHILD), {}, "seed").value == "42"


def test_trace_of_a_narrower_declaration_keeps_the_default_that_counts():
    links = trace(composed(CHILD + "param target: ratio in 60%..90%"), {}, "target").links
    assert [(link.place, link.replaced) for link in links] == [("base.recipe:3", False), ("a.recipe:3", False)]
    links = trace(composed(CHILD + "param target: ratio in 60%..90% = 70%"), {}, "target").links
    assert [(link.place, link.replaced) for link in links] == [("base.recipe:3", True), ("a.recipe:3", False)]
