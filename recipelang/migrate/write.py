"""Stages as recipe text: roles for names, windows relative to the stage, parameters for what was never in the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath

from recipelang.kinds.text import string
from recipelang.migrate import commanded, names
from recipelang.migrate.amounts import literal
from recipelang.migrate.arguments import Amount
from recipelang.migrate.distilling import distillation
from recipelang.migrate.document import Document
from recipelang.migrate.draft import Draft, comment_lines, hashed
from recipelang.migrate.form import Freeze, Part, Prune, Sparsity, Stage
from recipelang.migrate.one_block import order, settle
from recipelang.migrate.rates import learning_rate
from recipelang.migrate.targets import Selectors
from recipelang.migrate.task import told
from recipelang.source import Diagnostics
from recipelang.source.render import line_of
from recipelang.spec.metrics import METRICS, TASKS

#: a selector that is longer than this is written once
_LONG = 60
_LAYER = re.compile(r"(.*\.)(\d{1,4})", re.ASCII)


class Writer(Draft):
    def __init__(self, document: Document, stages: list[Stage], found: Diagnostics, *, compat: bool = False) -> None:
        self.named = named = _names(stages)
        family = names.family_of(named)
        self.task = told(document, stages, family, named)
        self.targets = Selectors(document, family, named, self.task, found)
        for stage in stages:
            settle(stage, self.targets)
        super().__init__(document, stages, found, compat)  # which counts what is said twice once the rest is settled
        self.drops: dict[str, str] = {}  # stage -> its block
        self.places: dict[tuple[str, str, str], Part] = {}  # stage, kind and name of a block -> what it comes from
        self.selectors: dict[str, str] = {}  # let -> a long selector that stands twice

    def run(self) -> str:
        from recipelang.syntax.fmt import format

        model = self._model()
        self.drops = {stage.name: self._drop(stage) for stage in self.stages}  # selectors count what they leave
        claims = self._claims()
        blocks = [self._stage(stage) for stage in self.stages]
        seed = commanded.seed(self)
        parts = [self._head(), self._parameters(), seed, model, *blocks, self._evaluate(), *claims]
        self._tell_computed()
        return format("\n\n".join(part for part in parts if part) + "\n")

    # -------------------------------------------------------------- around the stages
    def _head(self) -> str:
        source = self.document.source
        name = PurePath(source.name).name
        digest = hashlib.sha256(source.text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        how = "read with compat" if self.compat else "read strictly"
        told = string(f"{line_of(name)} (sha256:{digest}), {self.document.dialect}, {how}")
        stem = re.sub(r"[^A-Za-z0-9.-]+", "-", name.rpartition(".")[0] or name).strip("-.")[:60] or "migrated"
        return f"recipe 1 {string(stem)}\n\nmeta {{\n  origin = {told}\n}}"

    def _tell_computed(self) -> None:
        """Formulas that are plain numbers here do not follow their variables any more."""
        for span, value in sorted(self.amounts.computed.items()):
            message = f"this formula became the plain number `{value}`"
            notes = ("parameters cannot express this formula: if you change a variable, change the number too",)
            self.found.say("W132", message, self.document.label(span), notes=notes)

    def _parameters(self) -> str:
        lines: list[str] = []
        for name, statement in self.amounts.definitions():
            variable = self.document.variables.get(name)
            above = [f"# {line}" for line in comment_lines(variable.comment)] if variable else []
            lines += [*([""] if lines and above else []), *above]
            doc = f"`{variable.name if variable else name}` of the original"
            doc += ", which left it to the command line." if variable is None else "."
            if variable is not None and variable.stage is not None:
                doc = f"`{variable.name}` of the original's `{line_of(variable.stage)}`."
            lines += [f"## {doc}", statement] if statement.startswith("param") else [statement]
        asked = [line for doc, statement in self.params.values() for line in (f"## {doc}", statement)]
        lets = [f"let {name} = {value}" for name, value in (*self.amounts.told.items(), *self.selectors.items())]
        return "\n\n".join("\n".join(group) for group in (asked, lines, lets) if group)

    def _model(self) -> str:
        command = self.document.command
        base = self.hub("model_name_or_path", {"bert-base-uncased": "google-bert/bert-base-uncased"})
        self.ask("base", "model", "The model to start from, which the original left to the command line.", base)
        task = self.task
        if task is None:
            task = self.ask(
                "task", f"one_of({', '.join(TASKS)})", "What the model is trained for: the original does not say."
            )
        lines = [f"model {{\n  base = base\n  task = {task}\n}}"]
        if any(s.mode == "train" or _looks_at_data(s) for s in self.stages):
            source = self.hub("dataset_name", {"squad": "rajpurkar/squad"})
            self.ask("source", "dataset", "The data, which the original left to the command line.", source)
            rest = [
                f"{ours} = {told} tokens"
                for ours, theirs in (("max_length", "max_seq_length"), ("stride", "doc_stride"))
                if (told := command.whole(theirs)) is not None
            ]
            if re.fullmatch(r"[\w.-]+", config := command.get("dataset_config_name"), re.ASCII):
                rest.insert(0, f"config = {string(config)}")
            lines.append("data {\n  " + "\n  ".join(["source = source", *rest]) + "\n}")
        return "\n\n".join(lines)

    def _evaluate(self) -> str:
        """What the training script measured after training, where it is known for what it trained."""
        task = self.task
        if task is None or not any(s.mode == "train" for s in self.stages):
            return ""
        measured = METRICS[task] if task == "question_answering" else METRICS[task][:1]
        return f"evaluate dev {{\n  metrics = [{', '.join(measured)}]\n}}"

    # -------------------------------------------------------------- a stage
    def _stage(self, stage: Stage) -> str:
        body: list[str] = []
        if stage.mode == "one_shot":
            body.append("mode = one_shot")
        else:
            body += [f"length = {self._length(stage)}", f"batch = {self._batch()}", learning_rate(stage, self)]
            body += ["compat = sparseml_1"] if self.compat else []
            body += commanded.settings(stage, self.document.command)
            if stage.weight_decay is not None:
                decay = self.amounts.text(stage.weight_decay)  # which it set in every group of the optimizer
                body.append(f"optimizer = adamw(weight_decay = {decay}, no_decay = nothing)")
        blocks = [self.drops[stage.name], *self._prunes(stage)]
        blocks += [self._freeze(f, i, stage) for i, f in enumerate(stage.freezes)]
        for thaw in stage.thaws:
            self.targets.thaw(thaw, stage.freezes)
        for kind, parts in (("learning_rate", stage.rates), ("distill", stage.distills), ("drop", stage.drops)):
            if parts:
                self.places[stage.name, kind, ""] = parts[0]
        blocks.append(distillation(stage, self))
        blocks += [commanded.distillation(self)] if stage.trains else []
        return "\n".join([f"stage {stage.name} {{", *body, *("\n" + b for b in blocks if b), "}"])

    def _length(self, stage: Stage) -> str:
        if stage.length is not None:
            self.document.command.get("num_train_epochs")  # the recipe's own length replaced it
            return self.amounts.text(stage.length)
        name = "length" if len([s for s in self.stages if s.mode == "train"]) == 1 else f"length_{stage.name}"
        doc = "Length of the training, which the original left to the command line."
        return self.ask(name, "span", doc, commanded.length(self) if name == "length" else None)

    def _batch(self) -> str:
        default = commanded.batch(self.document.command)
        return self.ask("batch", "int", "Examples of a step, which the original left to the command line.", default)

    def _drop(self, stage: Stage) -> str:
        if not stage.drops:
            return ""
        first = stage.drops[0]
        dropped = sorted({int(m[2]) for d in stage.drops for name in d.layers if (m := _LAYER.fullmatch(name))})
        depth = self.targets.depth
        named = all(_LAYER.fullmatch(name) for d in stage.drops for name in d.layers)
        if not named or not depth or dropped[-1] >= depth or len(dropped) == depth:
            label = self.document.label(first.span)
            help = "write `drop layers { keep = [...] }` with the numbers of the layers to keep"
            self.found.say("E113", "these layers cannot be counted", label, help=help)
            return ""
        self.targets.keep = tuple(i for i in range(depth) if i not in dropped)
        why = (f"the layers to keep depend on the model's depth: {depth} layers in the usual model of this family",)
        self.found.say("W132", f"migrated for a model of {depth} layers", self.document.label(first.span), notes=why)
        return f"{hashed(first.comment)}drop layers {{ keep = [{', '.join(map(str, self.targets.keep))}] }}"

    def _blocks(self, stage: Stage) -> list[Prune]:
        """Ramps of the same tensors, one after another, are one block."""
        groups: dict[tuple[object, ...], list[Prune]] = {}
        for prune in stage.prunes:
            alone = not isinstance(prune.sparsity, Sparsity)
            key = (prune.span,) if alone else (self.targets.text(prune), prune.method, prune.pattern)
            groups.setdefault(key, []).append(prune)
        return [_followed(sorted(group, key=order)) for group in groups.values()]

    def _prunes(self, stage: Stage) -> list[str]:
        blocks = self._blocks(stage)
        labels = _labels(blocks)
        self.places |= {(stage.name, "prune", label): p for p, label in zip(blocks, labels, strict=True)}
        return [text for p, label in zip(blocks, labels, strict=True) if (text := self._prune(p, label, stage))]

    def _prune(self, prune: Prune, name: str, stage: Stage) -> str:
        selector = self.targets.text(prune)
        if selector is None:
            return ""
        named = next((let for let, text in self.selectors.items() if text == selector), selector)
        lines = [f"targets = {named}"]
        if re.fullmatch(r".*@(encoder|decoder)", selector) and not prune.holds and self.targets.family:
            lines.append("never = @embeddings | @head")
        lines.append(f"method = {prune.method}")
        if prune.pattern != "unstructured":
            lines.append(f"pattern = {prune.pattern}")
        if prune.sparsity is not None:
            lines.append(f"sparsity = {self._sparsity(prune, stage)}")
        return f"{hashed(prune.comment)}prune {name} {{\n" + "\n".join(lines) + "\n}"

    def _sparsity(self, prune: Prune, stage: Stage) -> str:
        if not isinstance(prune.sparsity, Sparsity):
            assert prune.sparsity is not None
            return self.amounts.text(prune.sparsity)
        ramps = [prune.sparsity]
        ramps += [r for before, r in pairwise((prune.sparsity, *prune.then)) if not _stays(before, r)]
        if len(ramps) > 1:
            pieces = [
                piece for r, after in pairwise([*ramps, None]) if r for piece in self._piece(prune, r, after, stage)
            ]
            return "[\n" + "".join(f"{piece},\n" for piece in pieces) + "]"
        ramp = ramps[0]
        if _constant(ramp):
            last, start = self.amounts.text(ramp.last), ramp.window.start
            at_start = start is None or start.value == 0
            return last if at_start else f"step(0% -> {last}, at = {self.amounts.point(start, stage.length, 'start')})"
        return self._ramp(prune, ramp, stage)

    def _piece(self, prune: Prune, ramp: Sparsity, after: Sparsity | None, stage: Stage) -> Iterator[str]:
        """A ramp, and what it reached up to the next: pieces of a schedule have no gap between them."""
        point, last = self.amounts.point, self.amounts.text(ramp.last)
        start, end = point(ramp.window.start, stage.length, "start"), point(ramp.window.end, stage.length, "end")
        until = point(after.window.start, stage.length, "start") if after else end
        if _constant(ramp):
            yield f"constant({last}, over = {start} .. {until if after else 'end'})"
            return
        yield self._ramp(prune, ramp, stage)
        if until != end:
            yield f"constant({last}, over = {end} .. {until})"

    def _ramp(self, prune: Prune, ramp: Sparsity, stage: Stage) -> str:
        start, end = ramp.window.start, ramp.window.end
        self._in_order(prune, ramp)
        if self._ends_short(ramp, stage):
            notes = ("SparseML 1 updated masks before a step, and the window ends after the last step",)
            message = "its last sparsity is never reached: the window ends when training ends"
            label = self.document.label(prune.span)
            help = "end the window an epoch earlier, or migrate with `--mode strict`"
            self.found.say("W132", message, label, notes=notes, help=help)
        over = f"{self.amounts.point(start, stage.length, 'start')} .. {self.amounts.point(end, stage.length, 'end')}"
        power = f", power = {ramp.power}" if ramp.power else ""
        change = f"{self.amounts.text(ramp.first)} -> {self.amounts.text(ramp.last)}"
        return f"{ramp.shape}({change}, over = {over}{power}, {self._events(ramp)})"

    def _ends_short(self, sparsity: Sparsity | Amount | None, stage: Stage) -> bool:
        if not (self.compat and isinstance(sparsity, Sparsity)) or sparsity.first.value == sparsity.last.value:
            return False
        end, length = sparsity.window.end, stage.length
        return end is None or (length is not None and end.value == length.value)

    def _in_order(self, prune: Prune, ramp: Sparsity) -> None:
        start, end = ramp.window.start, ramp.window.end
        if end is None or end.value is None:
            return
        if end.value <= (start.value if start is not None and start.value is not None else 0):
            label = self.document.label(end.span)
            self.found.say("E113", f"`{prune.source}` ends before it begins", label)

    def _events(self, ramp: Sparsity) -> str:
        every = ramp.every
        if every is None or every.value == 0:
            return "every = 1 step"
        if every.formula is None and every.value is not None and every.value < 1 and (1 / every.value).denominator == 1:
            return f"updates = {1 / every.value} per epoch"
        return f"every = {self.amounts.text(every, 'cycle')}"

    def _freeze(self, freeze: Freeze, index: int, stage: Stage) -> str:
        selector = self.targets.text(freeze)
        until = f"\nuntil = {self.amounts.text(freeze.until)}" if freeze.until is not None else ""
        name = "frozen" if index == 0 else f"frozen_{index + 1}"
        self.places[stage.name, "freeze", name] = freeze
        return f"{hashed(freeze.comment)}freeze {name} {{\ntargets = {selector}{until}\n}}" if selector else ""

    def _claims(self) -> list[str]:
        """What the original reaches, as a promise that the run must keep."""
        blocks = [(s, p) for s in self.stages for p in self._blocks(s) if p.sparsity is not None]
        if len(blocks) != 1:
            return []
        stage, prune = blocks[0]
        ends = prune.then[-1] if prune.then else prune.sparsity
        if self._ends_short(ends, stage):
            return []
        selector = self.targets.text(prune)
        last = ends.last if isinstance(ends, Sparsity) else ends
        if selector is None or last is None:
            return []
        if len(selector) > _LONG:
            self.selectors["pruned"] = selector
            selector = "pruned"
        return [f"expect sparsity({selector}) == {self.amounts.text(last)} ± 0.1%"]


def _constant(ramp: Sparsity) -> bool:
    return ramp.first.value is not None and ramp.first.value == ramp.last.value


def _stays(before: Sparsity, ramp: Sparsity) -> bool:
    """Whether a ramp goes on with what another reached, and changes nothing."""
    return _constant(ramp) and before.last.value == ramp.last.value


def _followed(prunes: list[Prune]) -> Prune:
    """Ramps in their order as one."""
    first, *more = prunes
    comment = "\n".join(p.comment for p in prunes if p.comment)
    return replace(first, then=tuple(p.sparsity for p in more if isinstance(p.sparsity, Sparsity)), comment=comment)


def _labels(prunes: list[Prune]) -> list[str]:
    """`weights` alone; several by what they reach."""
    if len(prunes) == 1:
        return ["held" if prunes[0].holds else "weights"]
    found: list[str] = []
    for prune in prunes:
        ends = prune.then[-1] if prune.then else prune.sparsity
        last = ends.last if isinstance(ends, Sparsity) else ends
        value = None if last is None else last.value
        stem = "held" if prune.holds else "weights"
        if value is not None and not prune.holds:
            stem = "to_" + literal(value, "ratio").rstrip("%").replace(".", "_")
            stem = stem if stem.isidentifier() else "weights"
        found.append(stem if stem not in found else f"{stem}_{1 + sum(f.startswith(stem) for f in found)}")
    return found


def _looks_at_data(stage: Stage) -> bool:
    return any(p.declared.looks_at in ("gradients", "inputs") for p in stage.prunes)


def _names(stages: list[Stage]) -> list[str]:
    targets = [t for s in stages for t in (*(p.targets for p in s.prunes), *(f.targets for f in s.freezes))]
    layers = [name for s in stages for d in s.drops for name in d.layers]
    return [n for t in targets for n in (*t.names, *t.ignored)] + layers
