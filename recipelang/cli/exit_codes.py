"""How a command ends, for scripts."""

import signal
from enum import IntEnum


class Exit(IntEnum):
    """A number for the shell, and what it means."""

    doc: str

    def __new__(cls, number: int, doc: str) -> "Exit":
        code = int.__new__(cls, number)
        code._value_ = number
        code.doc = doc
        return code

    OK = 0, "success; warnings and advice do not change the exit code"
    ERRORS = 1, "a recipe, its data or its model has errors, or the run failed"
    USAGE = 2, "the command line itself is wrong: an unknown option, a missing file name, an unknown code"
    EXPECT_FAILED = 3, "the run finished, but an `expect` of the recipe does not hold; all output is kept"
    CHANGES = 4, "`fmt --check` and `fmt --diff` found changes, or `diff` found different experiments"
    VERIFICATION_FAILED = 5, "verification failed: the measured values are not the recorded ones"
    BUG = 101, "internal error; the program wrote a crash report"
    INTERRUPTED = 130, "stopped by Ctrl-C; a run can be resumed"
    TERMINATED = 143, "stopped by a signal to terminate; a run can be resumed"

    @classmethod
    def of_signal(cls, number: int) -> "Exit":
        """Of a command that a signal has stopped."""
        return cls.INTERRUPTED if number == signal.SIGINT else cls.TERMINATED
