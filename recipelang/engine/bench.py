"""How fast and how large the models of some folders are, side by side.

A folder is somebody's: it is read as the engine reads models, safetensors only and no code of its own. The class is the
one that its config names.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from recipelang.engine import macs, paired
from recipelang.engine.exporting import export_to
from recipelang.engine.models import is_out_of_memory, leave_out_cache, leave_out_unread, load_whole
from recipelang.engine.runtimes import open_session
from recipelang.engine.walk import positions
from recipelang.kinds.formats import FORMATS, WEIGHTS
from recipelang.planning import processor
from recipelang.planning.config_fields import check_fields
from recipelang.planning.facts import read_config
from recipelang.planning.formats import can_run, size_of
from recipelang.planning.references import locate_model
from recipelang.planning.safetensors_header import read_folder
from recipelang.source import Diagnostics, RecipeError, fail
from recipelang.source.frozen import frozen
from recipelang.source.waiting import waiting
from recipelang.source.words import duration, listed, plural
from recipelang.version import installed

#: of the tokens, where none is given
SEED = 0


@frozen
class Measured:
    """A model's figures. `seconds`: of one forward pass, round by round; `speedup` is against the first model."""

    name: str
    model_class: str
    dtype: str
    parameters: int
    nonzero: int
    macs: int  # multiplications, each with its addition, of one pass: matrices, convolutions and attention
    bytes: int  # of the weight files, or of those of the runtime
    seconds: tuple[float, ...]
    speedup: paired.Ratio


@frozen
class Bench:
    batch: int
    length: int
    threads: int
    rounds: int
    seed: int
    vocabulary: int  # ids are drawn below it: the smallest of the models
    clock: str
    machine: str
    versions: Mapping[str, str]
    runtime: str
    models: tuple[Measured, ...]
    diagnostics: Diagnostics


@frozen
class Opened:
    """A model that is ready to be measured, and what it may be given."""

    name: str
    folder: Path
    model: Any
    vocabulary: int


def measure(
    folders: Sequence[str], *, batch: int, length: int, threads: int, rounds: int, seed: int,
    device: str | None = None, runtime: str = "torch",
) -> Bench:  # fmt: skip
    """E076, E247 and E188 for folders that hold no model, or one that cannot be measured so; E144 without the runtime."""
    found = Diagnostics()
    if runtime != "torch":
        can_run(runtime)
        device = "cpu"
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with on_threads(threads), TemporaryDirectory() as aside:
        opened = [_opened(name, length, where, found) for name in folders]
        vocabulary = min(o.vocabulary for o in opened)
        tokens = drawn(vocabulary, batch, length, seed).to(where)
        counts = [_first(o, tokens) for o in opened]
        clock, said = clock_of(where, threads)
        if runtime == "torch":
            passes, sizes = (
                [one_pass(o, tokens) for o in opened],
                [size_of(o.folder, WEIGHTS) for o in opened],
            )
        else:
            waiting(f"exporting {plural(len(opened), 'model')} for {FORMATS[runtime].runtime}")
            places = [
                o.folder
                if (o.folder / FORMATS[runtime].file).is_file()
                else export_aside(partial(_in_fp32, o.folder), o.name, runtime, Path(aside, str(at)))
                for at, o in enumerate(opened)
            ]
            passes = [pass_in(o, place, runtime, tokens, threads) for o, place in zip(opened, places, strict=True)]
            sizes = [size_of(place, runtime) for place in places]
        waiting(how_long(passes, rounds))
        times = paired.interleaved(passes, rounds, clock)
    models = tuple(_measured(*each, times[0]) for each in zip(opened, counts, sizes, times, strict=True))
    machine, versions = machine_of(where), versions_of(runtime)
    return Bench(batch, length, threads, rounds, seed, vocabulary, said, machine, versions, runtime, models, found)


def timed(
    asked: Sequence[tuple[Path, str]], *, batch: int, length: int, threads: int, rounds: int, seed: int,
    own: Path, tell: Callable[[str], None], between: Callable[[], None] = lambda: None,
) -> tuple[str, list[list[float]]]:  # fmt: skip
    """The clock, and the seconds of each round, of models in folders, each in a runtime, on the processor.

    The folder `own` has files of its own for other runtimes; the others are exported. Errors are those of `measure`.
    `between` is called before every round, and may raise.
    """
    found, cpu = Diagnostics(), torch.device("cpu")
    with on_threads(threads), TemporaryDirectory() as aside:
        opened = {f: _opened(str(f.resolve()), length, cpu, found) for f in dict.fromkeys(f for f, _ in asked)}
        if len(kinds := {type(o.model).__name__ for o in opened.values()}) > 1:
            raise fail("E247", f"the models are of different classes: {listed(sorted(kinds))}")
        tokens = drawn(min(o.vocabulary for o in opened.values()), batch, length, seed)
        passes = []
        for at, (folder, runtime) in enumerate(asked):
            one = opened[folder]
            if runtime == "torch":
                passes.append(one_pass(one, tokens))
                continue
            place = folder
            if folder != own:
                place = export_aside(partial(_in_fp32, folder), one.name, runtime, Path(aside, str(at)))
            passes.append(pass_in(one, place, runtime, tokens, threads))
        clock, said = clock_of(cpu, threads)
        tell(how_long(passes, rounds))
        return said, paired.interleaved(passes, rounds, clock, between)


def drawn(vocabulary: int, batch: int, length: int, seed: int) -> torch.Tensor:
    return torch.randint(vocabulary, (batch, length), generator=torch.Generator().manual_seed(seed))


@contextmanager
def on_threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def _opened(name: str, length: int, device: torch.device, found: Diagnostics) -> Opened:
    folder = locate_model(name, Path.cwd())
    config = read_config(folder)
    check_fields(folder / "config.json", str(config.get("model_type")), config)
    read_folder(folder)
    model, missing = load_whole(folder)
    leave_out_cache(model)
    leave_out_unread(model)
    if missing:
        notes = [f"they are {listed(missing, 3)}", "the time of a pass is not changed by their values"]
        message = f"`{name}` lacks {plural(len(missing), 'tensor')} of its model"
        found.say("W205", message, notes=notes)
    return Opened(name, folder, model.to(device), vocabulary_of(name, model, length))


def vocabulary_of(name: str, model: nn.Module, length: int) -> int:
    """The tokens that a model knows. E188, E247 for one that does not read so long a text in one pass."""
    config: Any = model.config
    most, words = positions(config, model), _vocabulary(model)
    if getattr(config, "is_encoder_decoder", False):
        raise _unmeasured(name, "it writes a text word by word, so its time depends on how much it writes")
    if words is None:
        raise _unmeasured(name, "it does not read the tokens of a text")
    if most is not None and length > most:
        help = f"write `--length {most}`, or less"
        raise fail("E188", f"`{name}` reads at most {plural(most, 'token')}, not {length:,}", help=help)
    return words


def _vocabulary(model: nn.Module) -> int | None:
    import inspect

    if "input_ids" not in inspect.signature(model.forward).parameters:
        return None
    rows = getattr(model.config.get_text_config(), "vocab_size", None)  # type: ignore[operator, union-attr]
    return rows if isinstance(rows, int) and rows > 0 else None


def _unmeasured(name: str, why: str) -> RecipeError:
    return fail("E247", f"`{name}` cannot be measured in one forward pass", notes=[why])


def one_pass(opened: Opened, tokens: torch.Tensor) -> paired.Pass:
    given = macs.inputs(opened.model, tokens)
    return lambda: opened.model(**given)


def _in_fp32(folder: Path) -> nn.Module:
    return load_whole(folder, torch.float32)[0]


def export_aside(made: Callable[[], nn.Module], name: str, runtime: str, aside: Path) -> Path:
    """`aside`, with a model in it for a runtime. E249 where the exporter refuses it."""
    target = aside / Path(FORMATS[runtime].file).parent
    target.mkdir(parents=True)
    try:
        with torch.inference_mode(False):  # the exporters take no tensors of that mode
            export_to(made(), runtime, target)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        notes = [textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__]
        message = f"the exporter for {FORMATS[runtime].runtime} refuses `{name}`"
        raise fail("E249", message, notes=notes, help="measure it with `--runtime torch`") from None
    return aside


def pass_in(opened: Opened, folder: Path, runtime: str, tokens: torch.Tensor, threads: int) -> paired.Pass:
    exported = open_session(folder, runtime, threads)
    feed = exported.feed(macs.inputs(opened.model, tokens))
    try:
        exported.run(feed)
    except Exception as error:
        raise _unmeasured(opened.name, textwrap.shorten(str(error), 200, placeholder=" …")) from None
    return lambda: exported.run(feed)


def _first(opened: Opened, tokens: torch.Tensor) -> int:
    """Multiplications of one pass. E247 where it fails."""
    try:
        return macs.counted(one_pass(opened, tokens))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        why = textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise _unmeasured(opened.name, why) from None


def machine_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor.name()


def versions_of(*runtimes: str) -> dict[str, str]:
    """Of what the runtimes run in."""
    packages = [FORMATS[runtime].packages[-1] for runtime in runtimes if runtime in FORMATS]
    return {name: installed(name) for name in dict.fromkeys(("torch", "transformers", *packages))}


def clock_of(device: torch.device, threads: int) -> tuple[paired.Clock, str]:
    if device.type == "cuda":
        return paired.gpu_time, "GPU time"
    return (paired.processor_time, "processor time") if threads == 1 else (paired.clock_time, "wall-clock time")


def how_long(passes: Sequence[paired.Pass], rounds: int) -> str:
    once = sum(paired.clock_time(run) for run in passes)
    return f"measuring {plural(rounds, 'round')}, about {duration(once * (rounds + paired.WARM_UP))}"


def _measured(opened: Opened, macs: int, size: int, seconds: Sequence[float], reference: Sequence[float]) -> Measured:
    weights = dict(opened.model.named_parameters())  # tied ones once
    return Measured(
        opened.name,
        type(opened.model).__name__,
        str(opened.model.dtype).removeprefix("torch."),
        sum(w.numel() for w in weights.values()),
        sum(int(torch.count_nonzero(w)) for w in weights.values()),
        macs,
        size,
        tuple(seconds),
        paired.ratio(reference, seconds),
    )
