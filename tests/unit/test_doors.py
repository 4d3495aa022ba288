"""Files are opened, written and deleted through `storage`, and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "recipelang"
#: names of functions and methods that touch files, and JSON that may be somebody else's
_CALLS = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "rmdir", "rmtree", "rename", "touch",
    "symlink_to", "mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryDirectory", "copyfile", "copy2", "copytree",
    "safe_open", "load_file", "from_file", "remove_tree", "memmap", "fromfile", "removedirs",
}  # fmt: skip
#: the same, where the module that they belong to has to be named to tell them from others
_OF_MODULES = {
    ("json", "load"), ("json", "loads"), ("tomllib", "load"), ("tomllib", "loads"), ("os", "remove"), ("os", "replace"),
    ("shutil", "move"), ("torch", "load"), ("pickle", "load"), ("pickle", "loads"), ("yaml", "load"), ("np", "load"),
}  # fmt: skip
_DOORS = {"reading", "writing", "storage"}
#: file -> what it may do, and why
ALLOWED = {
    "chat_renderer.py": "the system's own figure below /proc, and lines of the process that started it",
    "source/codes.py": "its own pages, inside the package; `storage` stands above it",
    "source/json_form.py": "its own schema, inside the package; `storage` stands above it",
    "syntax/grammar.py": "its own tables and grammar, inside the package",
    "cli/reference_pages.py": "writes the pages of this checkout for its developers",
    "cli/several.py": "the null device",
    "pruning/free_memory.py": "the system's own figures below /proc and /sys",
    "planning/processor.py": "the system's own figures below /proc",
    "engine/parts.py": "safetensors, after `check_regular`, while digests are compared through `storage`",
    "engine/bench.py": "a folder of its own for an export, in the system's for such, which goes with it",
    "engine/latencies.py": "folders of its own for exports, in the system's for such, which go with it",
    "engine/forecast.py": "a folder of its own for a rehearsal, in the system's for such, which goes with it",
    "engine/teacher_cache.py": "safetensors, after `check_regular`",
    "engine/kept_scores.py": "safetensors, after `check_regular`",
    "engine/export.py": "weights that it has just written, in a folder of its own",
    "engine/offload.py": "safetensors, after `check_regular`",
    "engine/slices.py": "safetensors, after `check_regular`",
    "loops/trainer.py": "safetensors, after `check_regular`",
    "planning/safetensors_header.py": "safetensors, after the size of the header was checked through `storage`",
    "planning/zeros.py": "weights mapped into memory, after their header was read through `storage`",
    "cli/crash.py": "its report, in the system's folder for such files",
    "cli/main.py": "the null device",
    "planning/weights.py": "weights mapped into memory, after their header was read through `storage`",
    "spec/settings.py": "TOML of few parts, of a text that was read through `storage`",
    "methods/plugins.py": "TOML of a text that was read through `storage`",
    "spec/document.py": "strict JSON with places of its own, of a text that was read already",
    "tasks/fitting.py": "a folder of its own for the first records, in the system's for such, which goes with it",
    "tasks/reading.py": "data, whose errors have their own words, and a tokenizer after `check_regular`",
}


def touching(path: Path) -> list[str]:
    """Calls of a module that touch files, with their lines."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in _CALLS - {"read_text", "read_bytes", "write_text", "write_bytes"}:
                found.append(f"{node.lineno}: {name}")
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (owner, name) in _OF_MODULES:
                found.append(f"{node.lineno}: {owner}.{name}")
            case ast.Attribute(value=ast.Name(id=owner)) if owner in _DOORS:
                pass
            case ast.Attribute(attr="open") if not _has_mode(node):
                pass
            case ast.Attribute(attr=name) if name in _CALLS:
                found.append(f"{node.lineno}: .{name}")
    return found


def _has_mode(call: ast.Call) -> bool:
    """Whether `.open(...)` is that of a path: with a mode, or with nothing."""
    first = call.args[0] if call.args else None
    return first is None or (isinstance(first, ast.Constant) and str(first.value)[:1] in "rwax")


MODULES = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py") if "storage" not in p.parts)


@pytest.mark.parametrize("module", [m for m in MODULES if m not in ALLOWED])
def test_a_module_touches_no_file_by_itself(module: str):
    assert touching(ROOT / module) == [], "read and write through `recipelang.storage`"


@pytest.mark.parametrize("module", ALLOWED)
def test_what_is_allowed_is_needed(module: str):
    assert touching(ROOT / module), "take it off the list"


@pytest.mark.parametrize(
    "text",
    [
        'open("a")',
        'Path("a").read_text()',
        'p.write_bytes(b"")',
        "shutil.rmtree(p)",
        "json.loads(t)",
        "os.replace(a, b)",
    ],
)
def test_the_check_sees_every_door(text: str, tmp_path: Path):
    (tmp_path / "a.py").write_text(text)
    assert touching(tmp_path / "a.py")
