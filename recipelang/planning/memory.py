"""How much memory a run needs at its peak, from shapes alone. `benchmarks/memory.py` compares it with measured peaks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recipelang.kinds.sizes import RANKINGS
from recipelang.methods import METHODS
from recipelang.methods.reconstruction import BYTES as RECONSTRUCTED
from recipelang.planning import calibration
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.dropouts import ATTENTION, BESIDE, HIDDEN
from recipelang.planning.facts import ModelFacts, stored_dtype
from recipelang.planning.families import TensorFact
from recipelang.planning.offloaded import MAPPED, ROOM, check_offloaded
from recipelang.planning.prune_plan import Target
from recipelang.planning.safetensors_header import DTYPES, ITEM_BYTES
from recipelang.planning.types import CalibrationPlan, EvaluatePlan, Plan, StagePlan
from recipelang.source import RecipeError
from recipelang.spec.metrics import MEASURES
from recipelang.tasks import task_of

#: bytes of a weight
ITEM = {dtype: ITEM_BYTES[name] for dtype, name in DTYPES.items()}
#: what a run takes beside all that is counted: texts, the pools of the libraries, and holes, a share of it, up to so many
_BESIDE, _SHARE, _MOST_HOLES = 12 * 10**6, 0.15, 63 * 10**6
#: and a tokenizer for each of its words
_WORD = 330
#: of that, what is there when a model is loaded
_LOADED = 12 * 10**6
#: bytes for each weight of a matrix that is looked at alone: its scores, masks and bits
_ALONE = 8
#: bytes of a logit where the backward pass begins: its share, and the gradients of both are 12; the rest was measured
_LOGITS = 16
#: what is kept for the backward pass, with holes between its pieces
_HOLES = 1.08
#: memory that a process's allocator holds between pieces in use, as a share of the activations
_BETWEEN = 0.15
#: bytes of a value of an adapter
_SINGLE = 4
#: values that a layer keeps for its backward pass, for each that its matrices put out: inputs, outputs, functions and
#: norms between them; and with dropout the masks
_KEPT, _KEPT_WITH_DROPOUT = 2.2, 2.5
#: values kept of every attention score where the scores are in memory, with dropout and without, where they are in
#: single precision and where a softmax is that of narrower ones; and as many again while one layer goes backward
_SCORES_WITH_DROPOUT, _SCORES, _NARROW_SCORES, _SCORES_BACKWARD = 4, 2, 3, 6


def memory_of(plan: Plan, models: Mapping[str, ModelFacts]) -> dict[str, int]:
    """Bytes, over all stages and their evaluations, as a plan names them. `models`: what each stage starts with."""
    stages = [_Stage(plan, stage, models[stage.name]) for stage in plan.stages]
    try:
        check_offloaded(plan)
        offloaded = max(stage.offloaded() for stage in stages)
    except RecipeError:
        offloaded = 0
    return {"peak_memory": max(stage.peak() for stage in stages), "offloaded_memory": offloaded}


def _drops(plan: Plan, config: Mapping[str, Any]) -> bool:
    """Whether anything is dropped in training: what the recipe sets is what the model's config will say."""
    written = {(*HIDDEN, *BESIDE): plan.model.dropout, ATTENTION: plan.model.attention_dropout}
    if all(value == 0 for value in written.values()):
        return False
    ours = {name for names, value in written.items() if value is not None for name in names}
    theirs = (v for k, v in config.items() if ("dropout" in k or k.endswith("_pdrop")) and k not in ours)
    return any(written.values()) or any(value and isinstance(value, float) for value in theirs)


class _Stage:
    def __init__(self, plan: Plan, stage: StagePlan, facts: ModelFacts) -> None:
        self.plan = plan
        self.stage = stage
        self.facts = facts
        self.item = ITEM[plan.model.dtype]
        config = facts.config
        self.hidden = config.get("hidden_size") or config.get("dim") or 768
        self.heads = config.get("num_attention_heads") or config.get("n_heads") or 12
        self.words = config.get("vocab_size", 0) if task_of(plan.model.task).gives == "words" else 0
        self.tokenizer = _WORD * int(config.get("vocab_size") or 0)
        self.dropout = _drops(plan, config)

    def peak(self) -> int:
        """The most of: loading, the work of the stage, what is measured in it and after it, and writing the result."""
        stage, weights = self.stage, self.item * self.facts.parameters
        kept = weights + sum(t.size for p in stage.prunes for t in p.targets)  # and their masks
        kept += weights * ((stage.best is not None) + (stage.ema is not None))  # the best so far, the average
        held = kept + sum(p.scoring for p in stage.prunes)
        for shrink in (
            stage.shrinks[:1] if stage.steps else stage.shrinks
        ):  # beside the larger model; and its largest matrix as doubles, more than once
            largest = max((math.prod(r.shape) for r in shrink.reshapes), default=0)
            held += self.item * shrink.parameters[1] + 24 * largest
        loading = float(weights + self._read_beside())
        inside = 0.0
        if stage.mode == "one_shot":
            work = self._calibration()
        else:
            teachers = [self.item * d.teacher_parameters for d in stage.distills]
            loading = max(loading, held + 2 * sum(teachers))  # with the files they are read from
            held += sum(teachers)
            trained = self._trained()
            adapted, largest = self._adapted()
            held += adapted
            beside = {t.name for a in stage.adapters for t in a.targets}
            own = [t for t in trained if t.name not in beside]
            gradients = sum(t.size for t in own) * self.item
            held += gradients * moments(stage)
            work = largest + self._step(trained, own)
            inside = gradients + self._evaluated(inside=True)  # their room is not given back, and too small for logits
        ranked = _ALONE * max((_one(t) for p in stage.prunes for t in self._of(p.targets)), default=0)
        after = max(self._evaluated(inside=False), self.item * self._stack)
        loading += _LOADED
        return round(max(loading, self._with_beside(max(held + max(work, inside, ranked), kept + after))))

    def _with_beside(self, counted: float) -> float:
        return counted + _BESIDE + self.tokenizer + min(_SHARE * counted, _MOST_HOLES)

    def _read_beside(self) -> int:
        """Bytes of the files that are there beside the weights until all of these are made: of stacks, and of weights that
        are of another type than their files. Others lie in memory as they lie in the files."""
        try:
            stored = ITEM[stored_dtype(self.facts.path)]
        except (RecipeError, OSError):  # of a model that is in no file
            return 0
        return stored * self.facts.parameters if self._stack or stored != self.item else 0

    def _evaluated(self, *, inside: bool) -> float:
        """The largest evaluation; `inside`: of those between steps, when all that the steps need is there."""
        every = (e for e in self.plan.evaluations if self.stage.name in e.every or not inside)
        return max((self._evaluation(e) for e in every), default=0)

    @property
    def _stack(self) -> int:
        """Weights of the largest parameter that holds a matrix for every expert."""
        return max((t.size for t in self.facts.tensors if len(t.shape) == 3), default=0)

    def _of(self, targets: Iterable[Target]) -> list[TensorFact]:
        names = {t.name for t in targets}
        return [t for t in self.facts.tensors if t.name in names]

    def offloaded(self) -> int:
        """A layer at a time, or what is in none; a layer with its masks while it is pruned."""
        layers: dict[tuple[str, int], int] = {}
        masks: dict[tuple[str, int], int] = {}
        largest = max((t.size for t in self.facts.tensors), default=0)
        targets = {t.name for p in self.stage.prunes for t in p.targets}
        ranked = max((t.size for t in self.facts.tensors if t.name in targets), default=0)
        for t in self.facts.tensors:
            if t.layer is not None:
                key = t.stack, t.layer
                layers[key] = layers.get(key, 0) + self.item * t.size
                masks[key] = masks.get(key, 0) + t.size * (t.name in targets)
        layer, read = max(layers.values(), default=0), self.stage.calibration
        outside = self.item * self.facts.parameters - sum(layers.values())
        states = min(self._room(), read.states * self.item // 4) if read else 0
        # a file is mapped while it is read, and its pages count until it is closed
        there = outside + layer + min(outside, MAPPED + self.item * largest)
        calls = pruned = 0.0
        if read is not None:
            works = calibration.works(self.stage.prunes, self.facts)
            gathered, fitted = (max((getattr(w, n) for w in works), default=0) for n in ("gathered", "fitted"))
            calls = there + self._pass(read) + states
            work = max(
                gathered, fitted + max(masks.values(), default=0), self._rebuilt() + max(masks.values(), default=0)
            )
            pruned = layer + states + work + self._pass(read)
        # counted, or written; or ranked by its weights only
        alone = max(largest * (2 * self.item + 1) + MAPPED, ranked * (2 * self.item + _ALONE))
        evaluated = max((there + self._evaluation(e) + self._held(e) for e in self.plan.evaluations), default=0)
        return round(self._with_beside(max(calls, pruned, alone, evaluated)))

    def _room(self) -> int:
        """Of the states that are in memory while the weights are on disk: they go their way twice in a reconstruction."""
        return 2 * ROOM if any(p.reconstruct for p in self.stage.prunes) else ROOM

    def _held(self, evaluation: EvaluatePlan) -> int:
        """States of the batches that go through a layer together."""
        data = self._data(evaluation.data)
        rows = min(data.items.get(evaluation.split, 0), evaluation.samples or 2**62)
        return min(ROOM, rows * data.sequences * data.max_length * self.hidden * self._bytes)

    def _trained(self) -> list[TensorFact]:
        """What has gradients and moments at some step."""
        never = {n for f in self.stage.freezes if f.until is None for n in f.targets}
        return [t for t in self.facts.tensors if t.name not in never]

    def _adapted(self) -> tuple[int, int]:
        """Of adapters: each weight without them, A and B with gradients and moments; and a weight's gradient in passing."""
        adapters = self.stage.adapters
        sizes = [t.size for a in adapters for t in a.targets]
        own = _SINGLE * sum(a.trained for a in adapters) * (2 + moments(self.stage))
        return self.item * sum(sizes) + own, 2 * _SINGLE * max(sizes, default=0)

    def _backward(self, trained: list[TensorFact]) -> int:
        """Layers that a backward pass goes through: down to the lowest that is trained."""
        if any("embeddings" in t.roles for t in trained):
            return self.facts.layers
        first = min((t.layer for t in trained if t.layer is not None), default=self.facts.layers)
        return self.facts.layers - first

    def _data(self, label: str) -> DataPlan:
        return next(d for d in self.plan.data if d.label == label)

    @property
    def _bytes(self) -> int:
        """Of a value that a layer computes."""
        return 2 if self.stage.precision in ("bf16", "fp16") else self.item

    @property
    def _outputs(self) -> float:
        """Values that the matrices of the largest layer put out for one token. Of experts only those it is sent to."""
        layers: dict[int, float] = {}
        for t in self.facts.tensors:
            if t.layer is not None and t.prunable:
                experts = t.shape[0] if len(t.shape) == 3 else 1
                used = self.facts.config.get("num_experts_per_tok") or self.facts.config.get("top_k") or 1
                layers[t.layer] = layers.get(t.layer, 0) + t.shape[-2] * min(experts, used)
        return max(layers.values(), default=9 * self.hidden)

    @property
    def _at_once(self) -> float:
        """Values of one token that are there together on the way through a layer: in its widest part, with the states."""
        wide, gated = 0, False
        for t in self.facts.tensors:
            if t.layer is not None and t.prunable:
                used = self.facts.config.get("num_experts_per_tok") or self.facts.config.get("top_k") or 1
                wide = max(wide, t.shape[-2] * (min(t.shape[0], used) if len(t.shape) == 3 else 1))
                gated = gated or ("gate" in t.roles and len(t.shape) == 2)  # a stack of experts has gate and up in one
        return max((4 if gated else 2) * wide + 3 * self.hidden, 8 * self.hidden)

    def _scores(self, tokens: int, length: int, *, training: bool) -> float:
        """Attention scores of one layer, where they are in memory: a fused kernel keeps none."""
        fused = self.plan.model.attention != "eager" and not (training and self.dropout)
        return 0 if fused else tokens * length * self.heads

    def _step(self, trained: Sequence[TensorFact], own: Sequence[TensorFact]) -> float:
        """What one micro-batch takes at the most: where the backward pass begins, in it, where it ends, or in the step of
        the optimizer. The values that a layer keeps go as its gradients come. `own`: what has gradients, without adapters."""
        stage, data = self.stage, self._data(self.stage.data)
        tokens = stage.micro_batch * data.sequences * data.max_length
        scores = self._scores(tokens, data.max_length, training=True)
        layers, kept = self._backward(list(trained)), self._kept(tokens, scores)
        once = self._bytes * (tokens * self._outputs + _SCORES_BACKWARD * scores)  # a layer on its way forward or back
        if stage.activation_checkpointing:  # of one layer, computed again beside its gradients
            most = float(layers * self._bytes * tokens * self.hidden)
            once += kept
        else:
            most = layers * kept
        if stage.distills:  # the teacher's pass
            once = max(once, self._bytes * (tokens * self._at_once + 3 * scores))
        gradients = sum(t.size for t in own) * self.item
        outside = sum(t.size for t in own if t.layer is None) * self.item
        largest = max((_one(t) for t in own), default=0) * self.item
        row = tokens * self.words * (2 if any(t.output == "logits" for d in stage.distills for t in d.terms) else 1)
        if not layers:  # nothing goes back through any
            once = self._bytes * (tokens * self._at_once + 2 * scores)
        # of what an earlier step took in small pieces the allocator keeps the room: moments lie between, where there are some
        left = (gradients - outside + once) * (1 + _BETWEEN if moments(stage) else 0.5)
        begins = most * _HOLES + left + _LOGITS * row
        below = most * _HOLES + left + 4 * row + outside  # the head has its gradient, and no layer yet
        ends = gradients + once * (1 + _BETWEEN)
        # an expert gives a gradient of its whole stack, which is added to that of the others, and both to what is there
        ends += 3 * self.item * self._stack
        before = gradients + largest if stage.accumulation > 1 else 0  # those of earlier micro-batches, and new ones
        casts = gradients // 2 if self._bytes < self.item else 0  # weights as the matrices read them
        return max(before + max(begins, below, ends - gradients), ends, gradients + 2 * largest) + casts

    def _kept(self, tokens: int, scores: float) -> float:
        """Bytes that one layer keeps for its backward pass."""
        each, often = (_KEPT_WITH_DROPOUT, _SCORES_WITH_DROPOUT) if self.dropout else (_KEPT, _SCORES)
        if not self.dropout and self._bytes == 2:
            often = _NARROW_SCORES
        return self._bytes * (tokens * self._outputs * each + often * scores)

    def _evaluation(self, evaluation: EvaluatePlan) -> float:
        """One batch: a layer at a time, and the logits."""
        data = self._data(evaluation.data)
        length = data.max_length
        tokens = evaluation.batch * data.sequences * length
        scores = self._scores(tokens, length, training=False)
        values = self._bytes * (tokens * self._at_once + 3 * scores)
        logits = tokens * self.words * 1.25 * self._bytes + 8 * length * self.words
        writes = any(MEASURES[m].package for m in evaluation.metrics)  # keys and values, of both texts in each layer
        kept = 4 * tokens * self.hidden * self.facts.layers * self._bytes if writes else 0
        return values * (1 + _BETWEEN) + max(logits, kept)

    def _calibration(self) -> float:
        """For a calibration one layer's statistics, the states of all samples, one layer's forward pass."""
        stage, read = self.stage, self.stage.calibration
        gradients = any(METHODS[p.method].looks_at == "gradients" for p in stage.prunes)
        gradients |= any(RANKINGS[s.by].looks_at == "gradients" for s in stage.shrinks)
        if gradients:
            return self._step(self.facts.tensors, self.facts.tensors)
        if read is None:
            return 0
        works = calibration.works(stage.prunes, self.facts)
        gathered, fitted = (max((getattr(w, n) for w in works), default=0) for n in ("gathered", "fitted"))
        # a part of what a pass took is not given back before the next one, or before a matrix is done
        return read.states + max(gathered, fitted, self._rebuilt()) + 1.5 * self._pass(read)

    def _rebuilt(self) -> float:
        """The remaining weights of a layer while they are trained, and what a micro-batch keeps for its way back."""
        layers: dict[tuple[str, int | None], int] = {}
        for prune in (p for p in self.stage.prunes if p.reconstruct):
            for t in self._of(prune.targets):
                layers[t.stack, t.layer] = layers.get((t.stack, t.layer), 0) + t.size
        if not layers or self.stage.calibration is None:
            return 0
        tokens = self.stage.micro_batch * self.stage.calibration.length
        scores = self._scores(tokens, self.stage.calibration.length, training=False)
        kept = self._bytes * (tokens * self._outputs * (_KEPT + 1) + (_SCORES + _SCORES_BACKWARD) * scores)
        return (RECONSTRUCTED + 2 * self.item) * max(layers.values()) + kept

    def _pass(self, read: CalibrationPlan) -> float:
        """Of one micro-batch through one layer: what is there at once, and the inputs of its matrices until it is done."""
        tokens = self.stage.micro_batch * read.length
        scores = self._scores(tokens, read.length, training=False)
        inputs = 3 * self.hidden + max((t.shape[-1] for t in self.facts.tensors if t.layer is not None), default=0)
        return (self._bytes * (tokens * (self._at_once + inputs) + 3 * scores)) * (1 + _BETWEEN)


def _one(tensor: TensorFact) -> int:
    """Weights of one matrix, of a stack that of one expert."""
    return tensor.size // (tensor.shape[0] if len(tensor.shape) == 3 else 1)


def moments(stage: StagePlan) -> int:
    """Values that an optimizer keeps of a weight."""
    if stage.optimizer == "adamw":
        return 2
    return 1 if stage.optimizer_args.get("momentum") else 0
