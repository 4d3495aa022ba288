"""How a command ends, for scripts."""

from enum import IntEnum


class Exit(IntEnum):
    """A number for the shell, and what it means."""

    doc: str

    def __new__(cls, number: int, doc: str) -> "Exit":
        code = int.__new__(cls, number)
        code._value_ = number
        code.doc = doc
        return code

    OK = 0, "all is well; warnings and advice do not change that"
    ERRORS = 1, "a recipe, its data or its model has errors, or the run failed with one"
    USAGE = 2, "the command line itself is wrong: an unknown option, a missing file name, an unknown code"
    EXPECT_FAILED = 3, "the run finished, and an `expect` of the recipe does not hold; everything is kept"
    CHANGES = 4, "`fmt --check` or `--diff`: something would change"
    VERIFICATION_FAILED = 5, "what was found is not what was recorded"
    BUG = 101, "the program itself failed; it wrote a report of the crash"
    INTERRUPTED = 130, "stopped by Ctrl-C; a run can be resumed"
    TERMINATED = 143, "stopped by a signal to terminate; a run can be resumed"
