"""What the training command beside a recipe decided, as text of the new one."""

from __future__ import annotations

from fractions import Fraction

from recipelang.kinds.text import fraction
from recipelang.migrate.amounts import literal
from recipelang.migrate.command import Command
from recipelang.migrate.draft import Draft
from recipelang.migrate.form import Stage

#: the trainer's names of shapes -> what a rate does after its warm-up; none stays as it is
_SHAPES = {"linear": "linear", "cosine": "cosine", "constant": None, "constant_with_warmup": None}
_SCHEDULE = ("lr_scheduler_type", "warmup_steps", "warmup_ratio")


def length(draft: Draft) -> str | None:
    command = draft.document.command
    epochs = command.number("num_train_epochs")
    if (steps := command.whole("max_steps")) is not None:  # they rank above epochs
        return f"{steps} steps"
    return literal(Fraction(epochs), "epochs") if epochs is not None and Fraction(epochs) > 0 else None


def batch(command: Command) -> str | None:
    """Examples of a step: of every process, in every part that is accumulated."""
    each = command.whole("per_device_train_batch_size") or command.whole("per_gpu_train_batch_size")
    if each is None:
        return None
    parts = command.whole("gradient_accumulation_steps") or 1
    processes = command.whole("nproc_per_node") or command.whole("num_processes") or 1
    return str(each * parts * processes)


def seed(draft: Draft) -> str:
    told = draft.document.command.get("seed")
    if not told.isdecimal() or len(told) > 12:
        draft.document.command.leave("seed")
        return ""
    return f"seed = {int(told)}"


def settings(stage: Stage, command: Command) -> list[str]:
    """Attributes of a stage: precision, clipping, weight decay where the recipe sets none."""
    narrow = next((name for name in ("bf16", "fp16") if command.on(name)), None)
    lines = [] if narrow is None else [f"precision = {narrow}"]
    if command.on("tf32") and not lines:  # beside these it is for what autocast leaves in fp32
        lines.append("precision = tf32")
    lines += ["activation_checkpointing = true"] if command.on("gradient_checkpointing") else []
    clip = command.number("max_grad_norm")
    if clip is not None and Fraction(clip) > 0:
        lines.append(f"clip = {fraction(Fraction(clip))}")
    else:
        command.leave("max_grad_norm")
    decay = command.number("weight_decay")
    if decay is not None and stage.weight_decay is None:
        lines.append(f"optimizer = adamw(weight_decay = {fraction(Fraction(decay))})")
    return lines


def rate(stage: Stage, draft: Draft) -> str | None:
    """The trainer's own schedule over one stage; none where the command tells no other than its default."""
    command, peak = draft.document.command, draft.rate()
    if not any(command.peek(name) for name in _SCHEDULE):
        return None
    shape = command.get("lr_scheduler_type", "linear").lower()
    warm = _warm_up(stage, command)
    warm = "" if shape == "constant" else warm  # it has none, whatever is told
    if shape not in _SHAPES or warm is None:
        command.leave(*_SCHEDULE)
        return None
    begins = warm or "start"
    rest = (
        f"{_SHAPES[shape]}({peak} -> 0, over = {begins}..end)"
        if _SHAPES[shape]
        else f"constant({peak}, over = {begins}..end)"
    )
    return f"[linear(0 -> {peak}, over = start..{warm}), {rest}]" if warm else rest


def replaced(command: Command) -> None:
    """A recipe with rates of its own switched the trainer's schedule off."""
    for name in ("learning_rate", *_SCHEDULE):
        command.get(name)


def _warm_up(stage: Stage, command: Command) -> str | None:
    """How long; steps rank above a ratio, as in the trainer. None where it is a part of a length that nobody tells."""
    ratio = command.number("warmup_ratio")
    if (steps := command.whole("warmup_steps")) is not None:
        return f"{steps} steps"
    if ratio is None or Fraction(ratio) == 0:
        return ""
    epochs = command.number("num_train_epochs") if stage.length is None and not command.peek("max_steps") else None
    whole = Fraction(epochs) if epochs is not None else stage.length.value if stage.length is not None else None
    return None if whole is None else literal(Fraction(ratio) * whole, "epochs")


def distillation(draft: Draft) -> str:
    """Early releases took teacher, hardness and temperature from the command line, and had no modifier for it."""
    command = draft.document.command
    if any(m.name.endswith("DistillationModifier") for m in draft.document.modifiers):
        return ""
    if command.peek("distill_teacher", "disable") in ("disable", "self"):
        return ""
    draft.teacher()
    told = {name: command.number(f"distill_{name}") for name in ("hardness", "temperature")}
    doc = "For the distillation; the original left it to the command line."
    hardness = told["hardness"] and literal(Fraction(told["hardness"]), "ratio")
    temperature = told["temperature"] and fraction(Fraction(told["temperature"]))
    lines = [
        "teacher = teacher",
        "on = logits",
        f"hardness = {hardness or draft.ask('hardness', 'ratio', doc)}",
        f"temperature = {temperature or draft.ask('temperature', 'number', doc)}",
    ]
    return "# from the training command\ndistill {\n" + "\n".join(lines) + "\n}"
