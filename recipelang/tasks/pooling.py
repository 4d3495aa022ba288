"""How a model folder makes one embedding of a text: what sentence-transformers wrote beside the model, if it did.

A folder without its files has the mean of the states of all tokens, as sentence-transformers gives it. Whether
embeddings are brought to length 1 does not matter here: all that is trained and measured are cosines. What would make
other embeddings (another pooling, a dense layer behind it, a prompt before every text) is refused, never left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from recipelang.source import RecipeError, fail
from recipelang.storage.reading import Unreadable, read_json, read_object

Pooling = Literal["mean", "cls"]
_POOLINGS = get_args(Pooling)

MODULES, TRANSFORMER, PROMPTS = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
_USUAL = "1_Pooling"
#: what a folder may be made of, by the last word of its type
_KNOWN = ("Transformer", "Pooling", "Normalize")
_MOST = 2**20


def pooling_of(folder: Path) -> Pooling:
    """E076 where the folder describes another embedding than `mean` or `cls` of its model."""
    if _object(folder / PROMPTS).get("default_prompt_name") is not None:
        note = f"{PROMPTS} has a `default_prompt_name`"
        raise _refused(folder, "texts of this model get a prompt, which this release does not add", note)
    path = folder / _pooling_folder(folder) / "config.json"
    modes = _modes(_object(path))
    if not path.exists():
        return "mean"
    if len(modes) == 1 and modes[0] in _POOLINGS:
        return modes[0]  # type: ignore[return-value]
    found = " and ".join(f"`{m[:40]}`" for m in modes) or "nothing"
    note = f"{path.parent.name}/config.json sets {found}; this release has `mean` and `cls`"
    raise _refused(folder, "this release does not support the pooling of this model", note)


def lower_cases(folder: Path) -> bool:
    """Whether texts are put in lower case before the tokenizer reads them."""
    return _object(folder / TRANSFORMER).get("do_lower_case") is True


def _pooling_folder(folder: Path) -> str:
    if not (folder / MODULES).exists():
        return _USUAL
    try:
        modules = read_json(folder / MODULES, _MOST)
    except Unreadable as error:
        raise error.coded("E076") from None
    if not isinstance(modules, list) or not all(
        isinstance(m, dict) and isinstance(m.get("type"), str) for m in modules
    ):
        raise fail("E076", f"`{folder / MODULES}` is not a list of modules", help="copy or download the model again")
    kinds = [str(m["type"]).rpartition(".")[2] for m in modules]
    if strange := next((k for k in kinds if k not in _KNOWN), None):
        raise _refused(folder, f"this release does not support the module `{strange[:40]}`", f"{MODULES} lists it")
    named = [m.get("path") for m, kind in zip(modules, kinds, strict=True) if kind == "Pooling"]
    path = named[0] if named else _USUAL
    if len(named) > 1 or not isinstance(path, str) or path in ("", ".", "..") or "/" in path or "\\" in path:
        raise _refused(
            folder, "the modules of this model cannot be read", f"{MODULES} has no one folder of its pooling"
        )
    return path


def _modes(config: dict[str, Any]) -> list[str]:
    """`pooling_mode_mean_tokens: true` of most releases, `pooling_mode: mean` of others."""
    if "pooling_mode" in config:
        found = config["pooling_mode"]
        return [str(m) for m in found] if isinstance(found, list) else str(found).split("+")
    named = [k.removeprefix("pooling_mode_") for k, v in config.items() if k.startswith("pooling_mode_") and v is True]
    return [n.removesuffix("_tokens").removesuffix("_token") for n in named]


def _object(path: Path) -> dict[str, Any]:
    try:
        return read_object(path, _MOST) if path.exists() else {}
    except Unreadable as error:
        raise error.coded("E076") from None


def _refused(folder: Path, message: str, note: str) -> RecipeError:
    help = "name a model whose embedding is the mean of its tokens, or its first token, without more"
    return fail("E076", message, help=help, notes=[note, f"the folder is {folder}"])
