"""What belongs to a model beside its weights and its config: all of it reaches the output as it is."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from recipelang.spec.metrics import METRICS
from recipelang.tasks import task_of

#: tokenizers and their templates, what generates and what prepares inputs, and the terms of use
PATTERNS = (
    "tokenizer*", "*.model", "*.tiktoken", "*.spm", "*.bpe", "*.codes", "*.jinja", "vocab*", "merges*",
    "special_tokens_map.json", "added_tokens.json", "normalizer.json", "chat_template*", "generation_config.json",
    "*processor_config.json", "*extractor_config.json", "license*", "licence*", "notice*", "copying*", "use_policy*",
    "acceptable_use_policy*",
)  # fmt: skip
#: folder -> what of it is passed on: more templates, each in a file
FOLDERS = {"additional_chat_templates": ("*.jinja",)}
#: weights have one place, and neither code nor pickles are passed on
NEVER = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".pkl", ".pickle", ".npz",
    ".npy", ".py", ".pyc", ".so", ".dll", ".exe", ".sh",
)  # fmt: skip


def belongings(folder: Path, task: str) -> list[str]:
    """Their paths in the folder of a model for this task, in order."""
    names = _patterns(task)
    below = [p for p in folder.iterdir() if p.name.lower() in names and p.is_dir()]
    found = [p for place in (folder, *below) for p in place.iterdir()]
    paths = ((p, p.relative_to(folder).as_posix()) for p in found)
    return sorted(name for p, name in paths if belongs(name, task) and p.is_file())


def belongs(name: str, task: str | None = None) -> bool:
    """Whether a file at this path in a model folder is passed on with the model; without a task, with that of any."""
    folder, _, last = name.lower().rpartition("/")
    wanted = _patterns(*([task] if task else METRICS)).get(folder, ())
    return any(fnmatch(last, pattern) for pattern in wanted) and (bool(folder) or not last.endswith(NEVER))


def _patterns(*tasks: str) -> dict[str, tuple[str, ...]]:
    """Folder -> what of it is passed on with a model for one of these tasks."""
    found = {"": PATTERNS, **FOLDERS}
    for path in (path.lower() for task in tasks for path in task_of(task).carried):
        folder, _, last = path.rpartition("/")
        found[folder] = (*found.get(folder, ()), last)
    return found
