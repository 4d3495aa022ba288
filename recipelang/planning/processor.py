"""What the machine at hand can do, as far as a plan should warn of it. No torch."""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

_GPUS = ("nvidia0", "nvidiactl", "kfd", "dri/renderD128")
#: x86 and Arm names of arithmetic in 16 bits in `/proc/cpuinfo`
_NAMES = {"bf16": {"avx512_bf16", "amx_bf16", "bf16"}, "fp16": {"avx512_fp16", "amx_fp16", "asimdhp"}}


def name() -> str:
    """The processor's own name where the system tells it, else that of its architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()


@cache
def emulates(precision: str) -> bool:
    """Whether a run would be on a CPU that has no bf16 or fp16 arithmetic. False where that cannot be known."""
    if any((Path("/dev") / name).exists() for name in _GPUS):
        return False
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return False
    return lacks(precision, text)


def lacks(precision: str, cpuinfo: str) -> bool:
    """
    >>> lacks("bf16", "flags : fpu avx2 avx512f"), lacks("bf16", "flags : avx512_bf16"), lacks("fp16", "")
    (True, False, False)
    """
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.M)
    return flags is not None and not _NAMES[precision] & set(flags[1].split())
