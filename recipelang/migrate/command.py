"""The training command beside a recipe in Markdown: what the tools took from it, and what of it is carried over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from recipelang.source import Source, Span
from recipelang.storage.strict_json import parse_json

_START = re.compile(r"^[ \t]*(?:\w+=\S+[ \t]+)*(?:python\d?(?:\.\d+)?|accelerate|torchrun|sparseml\.\S+)[ \t].*$", re.M)
_WORD = re.compile(r"""(?:[^\s'"\\]|'[^']*'|"[^"]*"|\\(?!\s*\n))+""")
#: options that decide nothing of what is trained
_IDLE = frozenset({
    "output_dir", "overwrite_output_dir", "do_train", "do_eval", "do_predict", "evaluation_strategy", "eval_strategy",
    "eval_steps", "eval_accumulation_steps", "per_device_eval_batch_size", "report_to", "run_name", "cache_dir",
    "overwrite_cache", "preprocessing_num_workers", "dataloader_num_workers", "recipe", "onnx_export_path",
    "num_export_samples", "disable_tqdm", "log_level", "push_to_hub", "hub_model_id", "pad_to_max_length",
    "use_fast_tokenizer", "max_eval_samples", "max_predict_samples", "local_rank", "ddp_find_unused_parameters",
    "node_rank", "master_addr", "master_port", "use_auth_token", "n_best_size", "null_score_diff_threshold",
    "metric_for_best_model", "greater_is_better",
})  # fmt: skip
_IDLE_PREFIXES = ("logging_", "save_", "dataloader_pin")
#: options at the trainer's own default say nothing
_DEFAULTS = {
    "optim": ("adamw_hf", "adamw_torch"), "adam_beta1": ("0.9",), "adam_beta2": ("0.999",), "adam_epsilon": ("1e-8", "1e-08"),
    "lr_scheduler_type": ("linear",), "max_grad_norm": ("1", "1.0"), "nnodes": ("1",), "warmup_steps": ("0",),
    "warmup_ratio": ("0", "0.0"), "weight_decay": ("0", "0.0"), "gradient_accumulation_steps": ("1",),
    "label_smoothing_factor": ("0", "0.0"),
}  # fmt: skip
_OFF = ("false", "no", "0")


@dataclass
class Command:
    """`options`: name -> value and place, `true` for one without a value. What is asked for counts as carried over."""

    options: dict[str, tuple[str, Span]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.options)

    def get(self, name: str, default: str = "") -> str:
        self.asked.add(name)
        return self.peek(name, default)

    def peek(self, name: str, default: str = "") -> str:
        """Without carrying it over."""
        return self.options[name][0] if name in self.options else default

    def on(self, name: str) -> bool:
        return self.get(name, "false").lower() not in _OFF

    def whole(self, name: str) -> int | None:
        """A whole number above 0."""
        told = self.get(name)
        return int(told) if re.fullmatch(r"\d{1,12}", told, re.ASCII) and int(told) > 0 else None

    def number(self, name: str) -> str | None:
        """A number that is not negative, as it is written."""
        told = self.get(name)
        return told if re.fullmatch(r"(\d+(\.\d*)?|\.\d+)(e-?\d{1,2})?", told, re.ASCII) else None

    def leave(self, *names: str) -> None:
        """These were read, and could not be carried over."""
        self.asked -= set(names)

    def left(self) -> Iterator[tuple[str, Span]]:
        """What may change the result and was not carried over, as it is written, in its order."""
        for name, (value, span) in self.options.items():
            idle = name in _IDLE or name.startswith(_IDLE_PREFIXES) or value in _DEFAULTS.get(name, ())
            if name not in self.asked and not idle and value.lower() != "false":
                yield (f"--{name}" if value == "true" else f"--{name} {value}"), span

    def overrides(self) -> dict[str, str]:
        """Values of variables in `--recipe_args`, JSON or `name=value,...`."""
        told = self.get("recipe_args")
        if not told:
            return {}
        try:
            found = parse_json(told)
        except ValueError:
            pairs = [part.partition("=") for part in told.replace(":", "=").split(",")]
            found = {name.strip(): value.strip() for name, equals, value in pairs if equals}
        if not isinstance(found, dict):
            self.leave("recipe_args")
            return {}
        return {str(name): str(value) for name, value in found.items()}


def training_command(source: Source, after: Span) -> Command:
    """The training command that the text shows after its recipe: the first with a recipe, or that trains, or at all.

    The tools took the model, the data and the batch from the command line, so it is the only place that tells.
    """
    found = [_options(source, start.start()) for start in _START.finditer(source.text, after.end - source.base)]
    wanted = (c for option in ("recipe", "do_train") for c in found if option in c.options)
    return next(wanted, found[0] if found else Command())


def _options(source: Source, begins: int) -> Command:
    end = begins
    for line in source.text[begins:].splitlines(keepends=True):
        end += len(line)
        if not line.rstrip().endswith("\\"):
            break
    words = [m for m in _WORD.finditer(source.text, begins, end) if m[0] != "\\"]
    command = Command()
    for word, after_it in zip(words, [*words[1:], None], strict=True):
        name, equals, value = word[0].partition("=")
        at = Span(source.base + word.start(), source.base + word.end())
        if not name.startswith("--"):
            if name == "CUDA_VISIBLE_DEVICES" and "," in value:
                command.options.setdefault(name, (value, at))
            continue
        if not equals:
            value = after_it[0] if after_it is not None and not after_it[0].startswith("--") else "true"
            value = "true" if value.endswith(".py") else value
        name = name[2:].replace("-", "_")
        command.options.setdefault(name, (value.strip("'\"") if value[:1] in "'\"" else value, at))
    return command
