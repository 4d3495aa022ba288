"""`recipelang fmt`: writes, checks, shows, and never half."""

from pathlib import Path

from .command import command

UGLY = 'recipe 1 "a"\nseed=1\n'
PLAIN = 'recipe 1 "a"\nseed = 1\n'


def test_file_is_written_in_the_one_style_and_then_left_alone(project):
    Path("a.recipe").write_text(UGLY, "utf-8")
    assert command("fmt", "a.recipe").out == "a.recipe: formatted\n"
    assert Path("a.recipe").read_text("utf-8") == PLAIN
    ended = command("fmt", "a.recipe")
    assert (ended.code, ended.out) == (0, "")


def test_check_and_diff_change_nothing_and_tell_by_exit_code(project):
    Path("a.recipe").write_text(UGLY, "utf-8")
    Path("b.recipe").write_text(PLAIN, "utf-8")
    ended = command("fmt", "--check", "a.recipe", "b.recipe")
    assert (ended.code, ended.out) == (4, "a.recipe: would change\n")
    ended = command("fmt", "--diff", "a.recipe")
    assert ended.code == 4
    assert "-seed=1\n+seed = 1\n" in ended.out
    assert Path("a.recipe").read_text("utf-8") == UGLY
    assert command("fmt", "--check", "b.recipe").code == 0


def test_standard_input_goes_to_standard_output(project):
    assert command("fmt", "-", stdin=UGLY.encode()).out == PLAIN


def test_link_stays_a_link_and_rights_stay(project):
    Path("a.recipe").write_text(UGLY, "utf-8")
    Path("a.recipe").chmod(0o640)
    Path("link.recipe").symlink_to("a.recipe")
    assert command("fmt", "link.recipe").code == 0
    assert Path("link.recipe").is_symlink()
    assert Path("a.recipe").read_text("utf-8") == PLAIN
    assert Path("a.recipe").stat().st_mode & 0o777 == 0o640


def test_one_missing_file_does_not_stop_the_others(project):
    Path("a.recipe").write_text(UGLY, "utf-8")
    ended = command("fmt", "none.recipe", "a.recipe")
    assert (ended.code, ended.codes) == (1, ["E046"])
    assert Path("a.recipe").read_text("utf-8") == PLAIN


def test_disk_that_is_full_leaves_the_file_as_it_was(project, monkeypatch):
    Path("a.recipe").write_text(UGLY, "utf-8")

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        ended = command("fmt", "a.recipe")
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "cannot write `a.recipe`: the disk is full" in ended.err
    assert Path("a.recipe").read_text("utf-8") == UGLY
    assert sorted(p.name for p in Path().glob("*a.recipe*")) == ["a.recipe"]
