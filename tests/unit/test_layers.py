"""The order of rooms in ARCHITECTURE.md and inside `cli`, "the front half does not load torch", and no import circle."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]


def test_imports_keep_to_the_order_of_rooms():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stdout
    assert "Contracts: 4 kept, 0 broken" in out.stdout


def in_circles(graph: grimp.ImportGraph) -> dict[str, list[str]]:
    """Modules that import each other, or lie between such, with what each imports of them."""
    left = {m: set(graph.find_modules_directly_imported_by(m)) for m in graph.modules}
    while ends := {m for m, imported in left.items() if not imported & left.keys()}:
        left = {m: imported for m, imported in left.items() if m not in ends}
    return {m: sorted(imported & left.keys()) for m, imported in sorted(left.items())}


def test_no_module_imports_itself_by_way_of_others():
    """Inside rooms too; imports inside functions and for type checkers count."""
    assert in_circles(grimp.build_graph("recipelang", cache_dir=None)) == {}


@pytest.mark.parametrize(
    "imported",
    [
        "from circular import b",
        "def f():\n    from circular.b import g",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import circular.b",
    ],
)
def test_a_circle_is_found_wherever_its_import_stands(imported, tmp_path, monkeypatch):
    package = tmp_path / "circular"
    package.mkdir()
    for name, text in (("__init__", ""), ("a", imported), ("b", "import circular.c"), ("c", "import circular.a")):
        (package / f"{name}.py").write_text(text + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(in_circles(grimp.build_graph("circular", cache_dir=None))) == {"circular.a", "circular.b", "circular.c"}
    (package / "a.py").write_text("")
    assert in_circles(grimp.build_graph("circular", cache_dir=None)) == {}
