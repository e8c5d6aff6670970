"""Which ``lib`` modules a notebook's results depend on, and a hash of what each of them *does*.

The import closure is static: every ``import`` of the code cells and, transitively, of the modules they reach counts,
inside functions too, together with the ``__init__`` of every package on the way. A dynamic import with a literal name
is followed; one whose name is computed cannot be, so it brings in the whole of ``lib``.

A *facade* is an ``__init__`` that only hands on names of other modules. It counts name by name: who writes
``masks.random`` depends on the module that defines ``random``, not on every mask there is, so that a new mask reruns
nothing. Where a facade is used in another way than ``facade.name``, all of it counts.

A module's hash is taken over its syntax tree without comments, docstrings and layout: explaining a mask better reruns
nothing, changing it reruns what imports it. The tree is written in an own canonical form rather than by ``ast.dump``,
whose text differs between Python versions.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "lib"
Origin = tuple[str, str]  # a module and a name in it
DYNAMIC = ("import_module", "__import__")


def canonical(tree: ast.AST) -> str:
    """A syntax tree as text: the same for the same program, whatever its comments, docstrings and layout.

    Examples
    --------
    >>> canonical(ast.parse("x = 1  # one")) == canonical(ast.parse("x  =  1"))
    True
    >>> canonical(ast.parse("x = 1")) == canonical(ast.parse("x = 1.0"))
    False
    """
    if isinstance(tree, ast.Constant):
        return f"{type(tree.value).__name__}:{tree.value!r}"
    parts = []
    for name in tree._fields:
        value = getattr(tree, name, None)
        if isinstance(value, list):
            items = [item for item in value if not _is_text(item)]
            # an empty list is left out, so a field that a later Python adds does not change the text
            text = ",".join(canonical(item) if isinstance(item, ast.AST) else repr(item) for item in items)
            parts += [f"{name}=[{text}]"] if items else []
        elif isinstance(value, ast.AST):
            parts.append(f"{name}={canonical(value)}")
        elif value is not None:
            parts.append(f"{name}={value!r}")
    return f"{type(tree).__name__}({';'.join(parts)})"


def _is_text(node: object) -> bool:
    """Whether a statement is a bare string, which does nothing: a docstring or one under an attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def code_hash(source: str) -> str:
    """Sha256 of what a piece of Python does; text that does not parse (a magic) is hashed as it stands."""
    tree = _parsed(source)
    return hashlib.sha256((source if tree is None else canonical(tree)).encode()).hexdigest()


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


@dataclass(frozen=True)
class Module:
    """One module of the library.

    Attributes
    ----------
    name : str
        Dotted name, ``lib.masks.tokens``.
    path : Path
    package : bool
        Whether it is the ``__init__`` of a package.
    """

    name: str
    path: Path
    package: bool

    @cached_property
    def source(self) -> str:
        """Its text, read once."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module | None:
        """Its syntax tree, None where it does not parse."""
        return _parsed(self.source)


class Library:
    """The modules below one ``lib`` folder, each parsed at most once.

    Parameters
    ----------
    folder : Path
        The folder that *is* the package, ``…/lib``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hashes: dict[str, str] = {}
        self._reaches: dict[str, frozenset[str]] = {}

    @cached_property
    def modules(self) -> dict[str, Module]:
        """Every module by dotted name; a folder without ``__init__.py`` counts as an empty package."""
        found = {}
        for path in sorted(self.folder.rglob("*.py")):
            parts = (PACKAGE, *path.relative_to(self.folder).with_suffix("").parts)
            package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if package else parts)
            found[name] = Module(name, path, package)
        return found

    def hash(self, name: str) -> str:
        """Sha256 of what the module does."""
        if name not in self._hashes:
            tree, source = self.modules[name].tree, self.modules[name].source
            self._hashes[name] = hashlib.sha256((source if tree is None else canonical(tree)).encode()).hexdigest()
        return self._hashes[name]

    def reaches(self, name: str) -> frozenset[str]:
        """The modules that one module depends on itself."""
        if name not in self._reaches:
            module = self.modules[name]
            base = name if module.package else name.rpartition(".")[0]
            self._reaches[name] = frozenset() if module.tree is None else self.imports([module.tree], base)
        return self._reaches[name]

    def imports(self, trees: Iterable[ast.Module], base: str = "") -> frozenset[str]:
        """The library's modules that a piece of code depends on.

        Parameters
        ----------
        trees : iterable of ast.Module
            Its parts; a name that one of them binds is known to all.
        base : str
            The package against which relative imports are read.
        """
        nodes = [node for tree in trees for node in ast.walk(tree)]
        dynamic = list(_dynamic(nodes))
        if None in dynamic:
            return frozenset(self.modules)
        found = {module for name in dynamic if name is not None for module in self.resolve(name)}
        rooms: dict[str, str] = {}  # names in this code that stand for a facade
        for origin, name, bound in _imported(nodes, base):
            taken = f"{origin}.{name}" if name else origin
            handed_on = name in self.facades.get(origin, {})
            if taken in self.facades and not handed_on:
                rooms |= {bound: taken} if bound else {}
            else:
                found |= self.resolve(origin, name) if name else self.resolve(origin)
        for head, *attributes in _chains(nodes):
            if head in rooms:
                found |= self.resolve(rooms[head], *attributes)
            elif head == PACKAGE and attributes:
                found |= self.resolve(PACKAGE, *attributes)
        return frozenset(found)

    @cached_property
    def facades(self) -> dict[str, dict[str, tuple[Origin, ...]]]:
        """What each facade hands on, by the name it gives it."""
        found = {}
        for name, module in self.modules.items():
            if module.package and module.tree is not None:
                handed_on = _facade(module.tree, name)
                if handed_on is not None:
                    found[name] = handed_on
        return found

    def resolve(self, module: str, *attributes: str) -> set[str]:
        """The modules behind ``module.attribute…``: the one that defines it and those on the way that are no facades.

        Examples
        --------
        >>> here = Library(Path(__file__).resolve().parent)
        >>> sorted(here.resolve("lib", "masks", "random"))
        ['lib', 'lib.masks.tokens']
        """
        if module not in self.modules:
            return set()
        above = module.rpartition(".")[0]
        found = {above} & (set(self.modules) - set(self.facades))
        found |= self.resolve(above) if found else set()
        handed_on, first = self.facades.get(module), attributes[0] if attributes else ""
        if handed_on is not None and first in handed_on:
            return found.union(*(self.resolve(origin, name, *attributes[1:]) for origin, name in handed_on[first]))
        inside = f"{module}.{first}" in self.modules
        found |= self.resolve(f"{module}.{first}", *attributes[1:]) if inside else set()
        return found if inside and handed_on is not None else found | {module}

    def closure(self, sources: Iterable[str]) -> dict[str, str]:
        """The transitive closure of the pieces of one program, as hashes by module name, sorted.

        Examples
        --------
        >>> here = Library(Path(__file__).resolve().parent)
        >>> list(here.closure(["from lib import closure"]))
        ['lib', 'lib.closure']
        """
        todo = set(self.imports(tree for tree in map(_parsed, sources) if tree is not None))
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            seen.add(name)
            todo |= self.reaches(name) - seen
        return {name: self.hash(name) for name in sorted(seen)}


def _imported(nodes: Iterable[ast.AST], base: str) -> Iterator[tuple[str, str, str]]:
    """``(module, name taken from it, name it is bound to)`` of every import; empty where there is none."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", alias.asname or "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _absolute(node, base)
            yield from ((origin, alias.name, alias.asname or alias.name) for alias in node.names)


def _facade(tree: ast.Module, package: str) -> dict[str, tuple[Origin, ...]] | None:
    """What an ``__init__`` hands on; None where it does anything of its own."""
    handed_on: dict[str, tuple[Origin, ...]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            origin = _absolute(node, package)
            if origin.split(".")[0] != PACKAGE or any(alias.asname or alias.name == "*" for alias in node.names):
                return None
            if origin != package:  # its own modules are found by their names
                handed_on |= {alias.name: ((origin, alias.name),) for alias in node.names}
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            items = [item.id if isinstance(item, ast.Name) else "" for item in getattr(node.value, "elts", [""])]
            if names != ["__all__"] and (len(names) != 1 or not set(items) <= set(handed_on)):
                return None
            handed_on[names[0]] = tuple(origin for item in items for origin in handed_on.get(item, ()))
        elif not _is_text(node) and not isinstance(node, ast.ImportFrom):
            return None
    return handed_on


def _absolute(node: ast.ImportFrom, base: str) -> str:
    if not node.level:
        return node.module or ""
    parts = base.split(".")
    package = ".".join(parts[: len(parts) - node.level + 1])
    return f"{package}.{node.module}" if node.module else package


def _chains(nodes: Sequence[ast.AST]) -> Iterator[list[str]]:
    """Every name that is mentioned, with the attributes taken from it: ``[x]``, ``[x, y, z]``; the longest only."""
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if id(node) not in inner and isinstance(node, (ast.Name, ast.Attribute)):
            parts: list[str] = []
            here: ast.expr = node
            while isinstance(here, ast.Attribute):
                parts.append(here.attr)
                here = here.value
            if isinstance(here, ast.Name):
                yield [here.id, *reversed(parts)]


def _dynamic(nodes: Iterable[ast.AST]) -> Iterator[str | None]:
    """Names of dynamic imports; None where the name is computed."""
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in DYNAMIC:
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            yield name if isinstance(name, str) else None
