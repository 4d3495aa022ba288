"""How much memory a device has free, and what a process holds without need."""

from __future__ import annotations

import ctypes
import gc
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import torch


def give_back() -> None:
    """What is no longer in use goes back to the system: objects that refer to each other, and the pages that the
    C library keeps between pieces in use (glibc; others keep few). Takes milliseconds for every GB."""
    gc.collect()
    trim()


def trim() -> None:
    """Only the pages."""
    if (found := _malloc_trim()) is not None:
        found(0)


@cache
def _malloc_trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return None


def free_memory(device: torch.device) -> int:
    """Bytes; a guess of 8 GiB where the system does not tell. Processes of one run on one machine share it."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(_of_the_machine(), _of_the_container()) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _of_the_machine() -> int:
    try:
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else 8 << 30


def _of_the_container() -> int:
    """What a limit on a group of processes leaves (Linux, cgroup v2)."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / f"memory.{word}").read_text().strip() for word in ("max", "current"))
    except OSError:
        return 1 << 62
    return (1 << 62) if limit == "max" else max(0, int(limit) - int(used))
