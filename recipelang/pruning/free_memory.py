"""How much memory a device has free."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch


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
