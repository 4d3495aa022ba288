"""What of a recorded environment decides bits, and which variables do. Loads no torch: records are checked by it as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: of these, what computes: another version may give other bits
_COMPUTING = ("recipelang", "torch", "transformers", "tokenizers", "numpy")
#: which kernels compute, in which precision, and in which order they add
_COMPUTES = (
    "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE", "DISABLE_ADDMM_CUDA_LT",
    "DISABLE_KERNEL_MAPPING", "ENABLE_PERSISTENT_TMA_MATMUL", "ENABLE_TEMPLATE_TMA_STORE",
    "ENABLE_TMA_LOAD_FOR_TEMPLATE_EPILOGUE", "FLASH_ATTENTION_DETERMINISTIC", "GOTO_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE", "OMP_DYNAMIC", "OMP_SCHEDULE", "OMP_THREAD_LIMIT", "PYTORCH_ENABLE_MPS_FALLBACK",
    "PYTORCH_JIT", "PYTORCH_JIT_DISABLE", "PYTORCH_MPS_FAST_MATH", "PYTORCH_MPS_PREFER_METAL",
    "TENSORIFY_PYTHON_SCALARS", "TORCH_DISABLE_NATIVE_JIT", "TORCH_JIT_DISABLE_NEW_EXECUTOR",
    "TRANSFORMERS_DISABLE_DEEPGEMM_LINEAR", "TRANSFORMERS_SDPA_FORCE_GQA", "USE_HUB_KERNELS", "USE_TORCH_XLA",
)  # fmt: skip
_COMPUTE = (
    "BLIS_", "CUDNN_", "CUTEDSL_", "CUTLASS_", "DNNL_", "HCCL_DETERMINISTIC", "HIPBLASLT_", "HIPBLAS_", "KMP_",
    "MIOPEN_", "MKL_", "NCCL_ALGO", "NCCL_NVLS", "NCCL_PROTO", "NPY_", "ONEDNN_", "OPENBLAS_", "PYTORCH_MIOPEN_",
    "PYTORCH_TENSOREXPR", "PYTORCH_TUNABLEOP_", "ROCBLAS_", "TORCHDYNAMO_", "TORCHINDUCTOR_", "TORCH_ALLOW_TF32_",
    "TORCH_BLAS_", "TORCH_COMPILER_", "TORCH_COMPILE_", "TORCH_CUDNN_", "TORCH_DYNAMO_", "TORCH_LINALG_",
    "TORCH_LINEAR_", "TORCH_MKLDNN_", "TORCH_PYTHON_NATIVE_", "TORCH_ROCM_", "TRITON_", "VECLIB_",
)  # fmt: skip
#: places, lengths of logs, and limits that change no number
_COMPUTE_NOT = (
    "_CACHE", "_CACHE_DIR", "_COMPILE_THREADS", "_DIR", "_FILE", "_FILENAME", "_LOGLEVEL", "_LOGDEST", "_LOG_LEVEL",
    "_PATH", "_VERBOSE", "_DUPLICATE_LIB_OK", "_DEBUG", "_DEBUG_SAVE_REAL", "_CPROFILE", "_PROFILER", "_STROBELIGHT",
)  # fmt: skip


def deciding(found: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The part of it that decides bits, on machines of one kind. `device`: `cpu` or `cuda`."""
    variables = {n: v for n, v in found.get("variables", {}).items() if computes(n)}
    return {
        "device": device,
        **{name: str(found[name]) for name in ("threads", "processes")},
        "shards": found["shards"],
        "packages": {name: found[name] for name in _COMPUTING},
        "settings": found["settings"],
        "variables": variables,
    }


def computes(name: str) -> bool:
    """Whether a variable of the environment changes what the libraries compute."""
    return name in _COMPUTES or (name.startswith(_COMPUTE) and not name.endswith(_COMPUTE_NOT))
