"""The rules of the house: short modules that say what they know, rooms that import one way, declared names."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from flowkit._moved import MOVED
from flowkit.data.records import Row, Times, Tokens, Verdict

PROJECT = Path(__file__).absolute().parent.parent
ROOMS = [path for root in ("flowkit", "offline_model") for path in (PROJECT / root).rglob("*.py")]
MODULES = sorted([*PROJECT.glob("*.py"), *ROOMS])
PACKAGES = [module for module in MODULES if module.name == "__init__.py"]
MOST_LINES = 250
MOST_OPEN_DICTS = 20


def name_of(module: Path) -> str:
    return str(module.relative_to(PROJECT))


def is_open(node: ast.AST) -> bool:
    """Say whether it is `dict[str, Any]`."""
    return isinstance(node, ast.Subscript) and ast.unparse(node) == "dict[str, Any]"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_is_short_and_its_first_line_says_what_it_knows(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES
    assert re.match(r'"""\S', text), text.split("\n")[0]


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_a_package_says_what_it_knows_and_what_it_gives(package: Path) -> None:
    room = importlib.import_module(".".join(package.parent.relative_to(PROJECT).parts))
    assert room.__doc__
    assert [name for name in room.__all__ if not hasattr(room, name) and not (package.parent / name).is_dir()] == []


def test_few_values_have_no_declared_fields() -> None:
    found = {
        name_of(module): count
        for module in MODULES
        if module.parts[-2] != "offline_model"  # it reads requests, all of them JSON
        if (count := sum(is_open(node) for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))))
    }
    assert sum(found.values()) <= MOST_OPEN_DICTS, found


@pytest.mark.slow
def test_an_import_of_a_room_above_is_found(tmp_path: Path) -> None:
    def complaints() -> str:
        lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
        done = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    for folder in ("flowkit", "offline_model"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    assert complaints() == ""
    with (tmp_path / "flowkit" / "data" / "lines.py").open("a") as module:
        module.write("from flowkit.run import options\n")
    assert "flowkit.data.lines -> flowkit.run" in complaints()


def test_the_page_of_a_report_reads_declared_fields_only() -> None:
    page = PROJECT / "flowkit" / "report" / "page"
    script = "".join((page / name).read_text(encoding="utf-8") for name in ("report.js", "labels.js"))
    added = {"before", "ending"}  # by flowkit/report/html.py
    declared = {
        "row": {each.name for each in fields(Row)} | added,
        "row.before": {"answer", "verdicts"},
        "timing": {each.name for each in fields(Times)},
        "tokens": {each.name for each in fields(Tokens)},
        "verdict": {each.name for each in fields(Verdict)},
        "earlier": {each.name for each in fields(Verdict)},
        "message": {"role", "content"},
    }
    for name, known in declared.items():
        read = set(re.findall(rf"(?<![\w.]){re.escape(name)}\??\.(\w+)", script.replace("?.", ".")))
        assert read, f"nothing is read of {name}"
        assert read <= known, name
    for kind in re.findall(r'\[\["(\w+)", "first text"\], \["(\w+)", "in all"\]\]', script)[0]:
        assert kind in declared["timing"]


@pytest.mark.parametrize("name", MOVED)
def test_an_old_address_imports_and_says_the_new_one(name: str) -> None:
    if name == "places":
        pytest.importorskip("pyarrow", reason="pyarrow comes with ray: pip install -r requirements-ray.txt")
    sys.modules.pop(f"flowkit.{name}", None)
    with pytest.warns(DeprecationWarning, match=rf"flowkit\.{name} has moved to flowkit\.{MOVED[name]}"):
        moved = importlib.import_module(f"flowkit.{name}")
    assert moved is importlib.import_module(f"flowkit.{MOVED[name]}")
