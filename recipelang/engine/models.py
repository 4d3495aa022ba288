"""Task models from plans: safetensors only, new heads from the run's seed."""

from __future__ import annotations

import inspect
import os
import pkgutil
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recipelang.engine.converted import let_go_of_files
from recipelang.engine.depth import keep_layers
from recipelang.engine.seeds import stream
from recipelang.engine.shrink import can_shrink, empty_like
from recipelang.planning.accounting import COPIES
from recipelang.planning.dropouts import ATTENTION, BESIDE, HIDDEN, fields_of
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.layers import Keep
from recipelang.planning.safetensors_header import read_folder
from recipelang.planning.types import ModelPlan, Plan
from recipelang.source import RecipeError, fail
from recipelang.source.words import an
from recipelang.tasks import task_of
from recipelang.tasks.encoding import load_reader

#: of weights, as recipes name them
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


#: set by `accelerate launch --use_fsdp`: transformers then leaves a new head without memory in all processes but one
_PARTLY = "FSDP_CPU_RAM_EFFICIENT_LOADING"

#: what a task with labels gives -> the loss of transformers for it, `problem_type`
LOSSES = {"scores": "single_label_classification", "number": "regression"}


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own bars and notices: the screen is the reporter's."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def check_models(plan: Plan) -> None:
    """That transformers makes of every folder the model that was planned, before anything is written. E076, E191.

    Models are made without weights, on no device.
    """
    teachers = [d.teacher for s in plan.stages for d in s.distills if not d.teacher.startswith("stage.")]
    for folder in dict.fromkeys([plan.model.path, *teachers]):
        facts = _facts(Path(folder), plan.model)
        with loading(Path(folder)), quiet(), torch.device("meta"):
            config = planned_config(Path(folder), plan.model)
            model = only_used(_made(plan.model, config), plan.model.task)
        if any(s.activation_checkpointing for s in plan.stages) and not model.supports_gradient_checkpointing:
            help = "remove `activation_checkpointing`; a smaller `micro_batch` takes less memory too"
            message = f"{an(f'`{facts.family}`')} model cannot recompute its activations"
            raise fail("E222", message, help=help)
        real = {n: tuple(p.shape) for n, p in model.named_parameters()}
        planned = {t.name: t.stored_shape for t in facts.tensors}
        odd = sorted(set(real.items()) ^ set(planned.items()))
        if odd:
            names = sorted({name for name, _ in odd})
            notes = [f"`{n}`: found {_said(real, n)}, planned {_said(planned, n)}" for n in names[:3]]
            raise _another_model(Path(folder), notes)
        if folder == plan.model.path and plan.model.drop is None:
            with quiet(), torch.device("meta"):
                for shrink in (s for stage in plan.stages for s in stage.shrinks):
                    can_shrink(model, shrink)
                    model = empty_like(model, shrink)


def _facts(folder: Path, plan: ModelPlan) -> ModelFacts:
    """Of the planned model's own folder, whose head may be one of other classes, or of a teacher's or a run's."""
    new_head = plan.fresh_head and folder == Path(plan.path)
    return read_model_facts(folder, plan.task, plan.labels, new_head=new_head)


def _said(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return str(shapes[name]) if name in shapes else "nothing"


def load_whole(folder: Path, dtype: torch.dtype | None = None) -> tuple[Any, list[str]]:
    """The model of the class that a folder's config names, and which parameters the weights lack. E076.

    Nothing is known of the folder but what it says itself; the dtype is that of its weights, unless one is given.
    """
    import transformers

    with loading(folder), quiet(), torch.random.fork_rng():
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        named = getattr(transformers, next(iter(config.architectures or ()), ""), None)
        known = isinstance(named, type) and issubclass(named, transformers.PreTrainedModel)
        made: Any = named if known else transformers.AutoModel
        more = {} if dtype is None else {"dtype": dtype}
        model, read = made.from_pretrained(
            folder, config=config, use_safetensors=True, local_files_only=True, output_loading_info=True, **more
        )
    missing = sorted(read["missing_keys"])
    if missing and all(name.startswith("pooler.") for name in missing):
        model.pooler, missing = None, []  # embeddings are made without one, and saved so
    return model.eval(), missing


def load_model(
    folder: Path, plan: ModelPlan, seed: int, redrawn: Sequence[str] = (), keep: Keep | None = None
) -> nn.Module:
    """The task model of a folder, with the recipe's dropout; the `redrawn` of its parameters as in a new head.

    Of its layers those to `keep`, by their numbers; none: all. It answers as training and evaluation need it.
    """
    facts = _facts(folder, plan)
    with loading(folder):
        config = planned_config(folder, plan)
        # a new head is expected, and the plan names it; drawing it leaves the run's own stream alone
        with quiet(), torch.random.fork_rng():
            torch.manual_seed(stream(seed, "head"))
            # a head of another shape is drawn anew: the plan says so, and any other tensor it has compared already
            model, read = _auto(plan).from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                dtype=DTYPES[plan.dtype],
                **_attention(plan),
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
            for name in redrawn:
                _draw(model.get_parameter(name), config)
    _check_read(folder, facts, plan, read)
    let_go_of_files(model, facts)
    model = only_used(model, plan.task)
    return ready(model if keep is None else keep_layers(model, keep), plan)


def empty_model(folder: Path, plan: ModelPlan) -> tuple[nn.Module, ModelFacts]:
    """The task model of a folder as `load_model` makes it, all its parameters on the meta device.

    Its buffers hold what the config decides: none is read from a file.
    """
    from accelerate import init_empty_weights
    from transformers import GenerationConfig

    facts, dtype = _facts(folder, plan), DTYPES[plan.dtype]
    with loading(folder), quiet(), torch.random.fork_rng():
        config = planned_config(folder, plan)
        with init_empty_weights(include_buffers=False):
            made = _auto(plan).from_config(config, dtype=dtype, **_attention(plan))
        stored = {n: torch.empty(e.shape, dtype=dtype, device="meta") for n, e in read_folder(folder).items()}
        model, read = type(made).from_pretrained(
            None,
            config=config,
            state_dict=stored,
            device_map={"": "meta"},
            dtype=dtype,
            **_attention(plan),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        for path, module in made.named_modules():
            model.get_submodule(path)._buffers.update(module._buffers)
        if model.can_generate():
            try:
                model.generation_config = GenerationConfig.from_pretrained(folder)
            except OSError:  # older folders have these settings in their config, as the library knows
                at: dict[str, Any] = {"config_file_name": "config.json", "_from_model_config": True}
                model.generation_config = GenerationConfig.from_pretrained(folder, **at)
    _check_read(folder, facts, plan, read)
    return ready(only_used(model, plan.task), plan), facts


def draw_head(model: nn.Module, facts: ModelFacts, redrawn: Sequence[str], seed: int) -> dict[str, torch.Tensor]:
    """What no file holds of a model without weights, by name, as `load_model` draws it; the model is left as it is."""
    if not facts.fresh:
        return {}
    for tensor in (*model.parameters(), *model.buffers()):
        tensor._is_hf_initialized = True  # type: ignore[attr-defined]
    for module in model.modules():
        vars(module).pop("_is_hf_initialized", None)
    absent = {name: model.get_parameter(name) for name in facts.fresh}
    drawn = {n: nn.Parameter(torch.empty(p.shape, dtype=p.dtype)) for n, p in absent.items()}
    for name in redrawn:
        drawn[name]._is_hf_initialized = True  # type: ignore[attr-defined]
    _set(model, drawn)
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(stream(seed, "head"))
        model.initialize_weights()  # type: ignore[operator]
        for name in redrawn:
            _draw(drawn[name], model.config)
    _set(model, absent)
    return {n: p.detach() for n, p in drawn.items()}


def _set(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    for name, parameter in parameters.items():
        path, _, own = name.rpartition(".")
        model.get_submodule(path)._parameters[own] = parameter


def _check_read(folder: Path, facts: ModelFacts, plan: ModelPlan, read: Mapping[str, Collection[str]]) -> None:
    """E191 where transformers takes other tensors from the files than were planned."""
    task = task_of(plan.task)
    tied = COPIES.get(facts.family, ()) if any(t.tied for t in facts.tensors) else ()
    missing = {n for n in read["missing_keys"] if not (task.gives == "embeddings" and n.startswith("pooler."))}
    if lost := sorted(missing - {*facts.fresh, *tied}):
        raise _another_model(folder, [f"`{n}` should be loaded, but would be initialised at random" for n in lost[:3]])
    expected = {*facts.left_out, *facts.strangers, *(copy for copy, _ in facts.copies)}
    if lost := sorted(set(read["unexpected_keys"]) - expected):
        raise _another_model(folder, [f"`{n}` should be used, but would be dropped" for n in lost[:3]])


def ready(model: nn.Module, plan: ModelPlan) -> nn.Module:
    """As training and evaluation need it."""
    if prepare := task_of(plan.task).prepare:
        pkgutil.resolve_name(prepare)(model, plan)
    leave_out_cache(model)
    leave_out_unread(model)
    return model


def _made(plan: ModelPlan, config: Any) -> nn.Module:
    """On the device that is set. E220 for an attention that this type, or this machine, does not have."""
    if plan.attention is None:
        return _auto(plan).from_config(config)  # type: ignore[no-any-return]
    try:
        return _auto(plan).from_config(config, dtype=DTYPES[plan.dtype], **_attention(plan))  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        notes = [textwrap.shorten(str(error), 200, placeholder=" …")]
        help = "choose another one, or remove `attention`"
        message = f"`attention = {plan.attention}` is not available here"
        raise fail("E220", message, notes=notes, help=help) from None


def _attention(plan: ModelPlan) -> dict[str, str]:
    return {} if plan.attention is None else {"attn_implementation": plan.attention}


def only_used(model: nn.Module, task: str) -> nn.Module:
    """A model without a head loses the layer that no embedding reads: it would be neither trained nor measured."""
    if task_of(task).gives == "embeddings" and getattr(model, "pooler", None) is not None:
        model.pooler = None  # type: ignore[assignment]
    return model


def leave_out_cache(model: nn.Module) -> None:
    """Keys and values of a decoder are kept for writing text: nothing here does, and they grow with every layer.

    A call that asks for them gets them. The config, which belongs to the result, is not touched.
    """
    from transformers import PreTrainedModel

    def before(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {"use_cache": False, **named}

    for module in model.modules():  # some heads hand whatever they are given to the model inside, which asks for it
        if isinstance(module, PreTrainedModel) and "use_cache" in inspect.signature(module.forward).parameters:
            module.register_forward_pre_hook(before, with_kwargs=True)


#: what batches hold for every model, and some do not read
_OPTIONAL = ("token_type_ids", "attention_mask")


def unread(model: nn.Module) -> list[str]:
    """What batches hold for every model, and this one's `forward` does not name.

    Token types are of no use either where there is no table of them: GPT-2 takes them for words.
    """
    named = set(inspect.signature(model.forward).parameters)
    if not getattr(model.config, "type_vocab_size", 0):
        named -= {"token_type_ids"}
    return [name for name in _OPTIONAL if name not in named]


def leave_out_unread(model: nn.Module) -> None:
    """Of a batch, what this model does not read is not handed to it."""
    left_out = unread(model)

    def before(module: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {k: v for k, v in given.items() if k not in left_out}

    if left_out:
        model.register_forward_pre_hook(before, with_kwargs=True)


def _another_model(folder: Path, notes: Sequence[str]) -> RecipeError:
    help = "install the releases tested together: `pip install --constraint constraints.txt recipelang`"
    message = "transformers builds a different model from the planned one"
    return fail("E191", message, help=help, notes=[*notes, f"the folder is {folder}"])


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """E076 for what goes wrong inside. Every process reads every weight, whatever a launcher asks of its own wrapper."""
    asked = os.environ.get(_PARTLY)
    os.environ[_PARTLY] = "false"
    try:
        yield
    except Exception as error:  # a config may be wrong in any way, and the library checks it in as many
        if is_out_of_memory(error) or isinstance(error, RecipeError):
            raise
        why = textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise fail("E076", f"`{folder}` cannot be loaded", notes=[why]) from None
    finally:
        if asked is None:
            del os.environ[_PARTLY]
        else:
            os.environ[_PARTLY] = asked


def _auto(plan: ModelPlan) -> Any:
    import transformers

    return getattr(transformers, task_of(plan.task).auto_model)


def planned_config(folder: Path, plan: ModelPlan) -> Any:
    """The folder's config, with what the plan changes of it."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    for names, value in ((HIDDEN, plan.dropout), (ATTENTION, plan.attention_dropout)):
        if value is None:
            continue
        beside = [name for name, own in fields_of(config, BESIDE).items() if own] if names is HIDDEN else []
        for name in (*fields_of(config, names), *beside):
            setattr(config, name, value)
    config.return_dict, config.chunk_size_feed_forward = True, 0  # forms and parts of the same numbers
    config.output_attentions = config.output_hidden_states = False  # what a stage needs of them it asks for itself
    if (getattr(config, "pad_token_id", None) or 0) < 0:
        config.pad_token_id = None  # written by older tools for "there is none"
    if width := task_of(plan.task).head_width:
        config.num_labels = width
    if not task_of(plan.task).labels:
        _for_a_decoder(config, folder)
    if plan.labels:
        config.id2label = dict(enumerate(plan.labels))
        config.label2id = {name: i for i, name in enumerate(plan.labels)}
        # else the type of the labels would decide: one class is right, or the number itself
        config.problem_type = LOSSES[task_of(plan.task).gives]
        pad = getattr(config, "pad_token_id", None)
        if pad is None or pad >= getattr(
            config, "vocab_size", pad + 1
        ):  # a decoder finds the last word of a text by it
            config.pad_token_id = load_reader(folder).pad_id
    return config


def _for_a_decoder(config: Any, folder: Path) -> None:
    """What a model needs to make its decoder's inputs of labels. E076 where only the config can know."""
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = load_reader(folder).pad_id
    if (
        getattr(config, "decoder_start_token_id", None) is None and config.model_type != "mbart"
    ):  # it turns labels round
        help = "take config.json from the same source as the weights, or write the token in it"
        raise fail("E076", f"`{folder / 'config.json'}` has no `decoder_start_token_id`", help=help)


@torch.no_grad()
def _draw(weight: nn.Parameter, config: Any) -> None:
    """As the families' own new heads: normal with the config's deviation, biases 0."""
    if weight.dim() < 2:
        weight.zero_()
    else:
        weight.normal_(0.0, getattr(config, "initializer_range", 0.02))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failure is one of memory: of a device, of Python, or of torch on a CPU, which has no class of its own for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)
