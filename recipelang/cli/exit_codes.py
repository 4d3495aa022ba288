"""How a command ends, for scripts."""

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    ERRORS = 1
    USAGE = 2
    EXPECT_FAILED = 3
    CHANGES = 4
    VERIFICATION_FAILED = 5
    BUG = 101
    INTERRUPTED = 130
    TERMINATED = 143
