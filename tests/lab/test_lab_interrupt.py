"""The table of functions during which an interrupt waits names functions that exist, and all of those that write."""

from __future__ import annotations

import ast
import importlib
import inspect
import operator
import sys
from pathlib import Path

import pytest

from lib.lab.interrupt import WRITING, _where

ROOT = Path(__file__).resolve().parents[2]
WRITERS = ("os.replace", "torch.save", "fig.savefig", "frame.to_csv")


@pytest.mark.parametrize("name", sorted({*WRITING, *filter(None, WRITING.values())}))
def test_what_the_table_names_is_a_function_of_that_name_in_that_module(name):
    module, path = name.split(":")
    function = inspect.unwrap(operator.attrgetter(path)(importlib.import_module(module)))
    assert f"{function.__globals__['__name__']}:{function.__code__.co_qualname}" == name, "what a frame of it is called"


@pytest.mark.parametrize("module", ["run", "train", "trained"])
def test_the_table_names_every_function_of_a_run_that_writes(module):
    found = set()

    def look(node: ast.AST, path: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Attribute) and ast.unparse(child) in WRITERS:
                found.add(f"lib.{module}:{'.'.join(path)}")
            look(child, (*path, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else path)

    look(ast.parse((ROOT / "lib" / f"{module}.py").read_text(encoding="utf-8")), ())
    assert found and found <= set(WRITING)


def called(*modules_and_names: str):
    """What the guard says in the innermost of functions that call each other, each made in a module of some name."""
    namespace = {"__name__": "__main__"}
    inner = lambda: _where(sys._getframe(1), namespace)  # noqa: E731
    for made in reversed(modules_and_names):
        module, _, name = made.partition(":")
        within = namespace if module == "__main__" else {"__name__": module}
        within["inner"] = inner
        exec(f"def {name}(inner=inner): return inner()", within)
        inner = within[name]
    return inner()


CELL = "__main__:cell"


@pytest.mark.parametrize(
    ("stack", "unsafe"),
    [
        ((CELL, "lib.trained:once"), True),
        ((CELL, "lib.trained:once", "torch.serialization:save"), True),
        ((CELL, "lib.trained:once", "torch.serialization:save", "__main__:reduce"), True),
        ((CELL, "lib.trained:once", "lib.measure:train"), False),
        ((CELL, "lib.trained:once", "__main__:train"), False),
        ((CELL, "lib.trained:once", "filelock:acquire"), False),
        ((CELL, "lib.trained:once", "lib.measure:train", "torch.serialization:save"), False),
        ((CELL, "lib.run:_write_json", "json:dumps"), True),
        ((CELL, "lib.run:_write_json", "__main__:default"), True),
        ((CELL, "mine:_write_json"), False),
        ((CELL,), False),
    ],
)
def test_it_waits_for_what_writes_and_for_nothing_that_takes_long(stack, unsafe):
    assert called(*stack) == (True, unsafe)
    assert called(*(part for part in stack if not part.startswith("__main__")))[0] is False, "no cell is running"
