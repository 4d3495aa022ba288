"""Whether a failure is one of memory."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Of a device, of Python, or of torch on a CPU, which has no class of its own for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)
