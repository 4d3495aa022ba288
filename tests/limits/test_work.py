"""Work is counted where it is done: what a text asks for grows with its length, or is refused. No clock is read."""

import cProfile
import pstats

import pytest

from recipelang.kinds.globs import MAX_STARS, glob
from recipelang.loading.read import check_all
from recipelang.source import Source
from recipelang.spec.evaluator import MAX_USED
from tests.reading import checked, codes, sound

#: 14,400 parts in two lines
LARGE = f"let a = [{'1,' * 120}]\nlet c = [{'a,' * 119}]\n"
USES = {
    "compared": "require c == c\n" * 100,
    "compared with one that is equal": LARGE.replace("a", "b").replace("let c", "let d") + "require c == d\n" * 100,
    "looked for": "require c in [c]\n" * 100,
    "written out": "".join(f'let t{i} = "${{c}}"\n' for i in range(100)),
    "listed": "".join(f"let t{i} = [c]\n" for i in range(100)),
    "as an attribute": "".join(f"evaluate e{i} {{ metrics = c }}\n" for i in range(100)),
    "as what a parameter may be": "".join(f"param p{i}: int in a = 1\n" for i in range(1_000)),
    "in claims": "expect sparsity(c) == 1\n" * 100,
    "texts in texts": f'let t = "{"x" * 16_000}"\n' + "".join(f'let t{i} = "{"${t}" * 19}"\n' for i in range(100)),
}


@pytest.mark.parametrize("name", USES)
def test_value_used_very_often_is_refused_once(name):
    found = codes(sound(add=LARGE + USES[name]))
    assert found.count("E043") == 1
    assert set(found) <= {"E043", "E024"}


def test_uses_are_counted_over_all_of_a_recipe_and_no_more_once_it_is_checked():
    each = 1_000
    text = f"let a = [{'1,' * (each - 1)}]\n"
    assert codes(sound(add=text + "require a == a\n" * (MAX_USED // each // 2 - 1))) == []
    assert codes(sound(add=text + "require a == a\n" * (MAX_USED // each // 2 + 1))) == ["E043"]
    recipe = checked(sound(add=text)).recipe
    assert recipe is not None
    for _ in range(2 * MAX_USED // each):
        assert len(recipe.evaluator.definition_value("a")) == each - 1


def calls(text: str) -> int:
    """How many functions are called to check it."""
    profile = cProfile.Profile()
    profile.runcall(checked, text)
    return pstats.Stats(profile).total_calls


GROWING = {
    "names of a parameter": lambda n: f"param p: one_of({', '.join(f'n{i}' for i in range(20 * n))}) = n1\n",
    "names of a parameter that do not fit, used often": lambda n: (
        f"param p: one_of({', '.join(f'n{i}' for i in range(5 * n))}) = n1\n"
        + "".join(f"evaluate e{i} {{ metrics = p }}\n" for i in range(n))
    ),
    "claims of one value": lambda n: f"let s = {' | '.join(['@query'] * n)}\n" + "expect sparsity(s) >= 0\n" * n,
    "a chain of claims": lambda n: f"expect {' and '.join(['dev.f1 >= 0'] * n)}\n",
}


@pytest.mark.parametrize("name", GROWING)
def test_work_grows_with_the_text_and_not_with_its_square(name):
    grown = GROWING[name]
    none, some, many = (calls(sound(add=text)) for text in ("", grown(25), grown(100)))
    assert many - none < 7 * (some - none)


@pytest.mark.parametrize("allowed", ["one_of({})", "int in [{}]"])
def test_child_may_narrow_thousands_of_values(allowed, tmp_path):
    def counted(n: int) -> int:
        values = ", ".join(map(str, range(1, n + 1)))
        text = f"param p: {allowed.format(values)} = 1\n"
        (tmp_path / "b.recipe").write_text(sound(add=text), "utf-8")
        profile = cProfile.Profile()
        child = Source(str(tmp_path / "a.recipe"), f'recipe 1 "x"\nextends "./b.recipe"\n{text}')
        assert not profile.runcall(check_all, child, {}).diagnostics.errors
        return pstats.Stats(profile).total_calls

    assert counted(800) < 4.5 * counted(200)


def test_glob_of_many_stars_takes_time_in_proportion():
    """A matcher that goes back would try some 10^12 ways."""
    assert glob("**" * MAX_STARS + "z").fullmatch("a" * 500) is None
    assert glob("**a" * MAX_STARS).fullmatch("a" * 500)
