"""Which ``lib`` modules a notebook's results depend on, and a hash of what each of them *does*.

The import closure is static: every ``import`` of the code cells and, transitively, of the modules they reach counts,
inside functions too, together with the ``__init__`` of every package on the way. A dynamic import with a literal name
is followed; one whose name is computed cannot be, so it brings in the whole of ``lib``.

A module's hash is taken over its syntax tree without comments, docstrings and layout: explaining a mask better reruns
nothing, changing it reruns what imports it. The tree is written in an own canonical form rather than by ``ast.dump``,
whose text differs between Python versions.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "lib"
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
    try:
        text = canonical(ast.parse(source))
    except SyntaxError:
        text = source
    return hashlib.sha256(text.encode()).hexdigest()


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
            self._hashes[name] = code_hash(self.modules[name].path.read_text(encoding="utf-8"))
        return self._hashes[name]

    def reaches(self, name: str) -> frozenset[str]:
        """The modules that one module imports itself."""
        if name not in self._reaches:
            module = self.modules[name]
            base = name if module.package else name.rpartition(".")[0]
            self._reaches[name] = self.imports(module.path.read_text(encoding="utf-8"), base)
        return self._reaches[name]

    def imports(self, source: str, base: str = "") -> frozenset[str]:
        """The library's modules that a piece of code names, with the packages they lie in.

        Parameters
        ----------
        source : str
            Python; text that does not parse names nothing.
        base : str
            The package against which relative imports are read.
        """
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return frozenset()
        named = {part for name in _names(tree, base) for part in _prefixes(name)}
        if None in list(_dynamic(tree)):
            return frozenset(self.modules)
        return frozenset(named & set(self.modules))

    def closure(self, sources: Iterable[str]) -> dict[str, str]:
        """The transitive closure of some code, as hashes by module name, sorted.

        Examples
        --------
        >>> here = Library(Path(__file__).resolve().parent)
        >>> list(here.closure(["from lib import closure"]))
        ['lib', 'lib.closure']
        """
        todo = {name for source in sources for name in self.imports(source)}
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            seen.add(name)
            todo |= self.reaches(name) - seen
        return {name: self.hash(name) for name in sorted(seen)}


def _names(tree: ast.AST, base: str) -> Iterator[str]:
    """Dotted names that a tree may load: imports, ``lib.a.b`` attribute chains, literal dynamic imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = _absolute(node, base)
            yield package
            yield from (f"{package}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            chain = _chain(node)
            if chain.split(".")[0] == PACKAGE:
                yield chain
    yield from (name for name in _dynamic(tree) if name is not None)


def _absolute(node: ast.ImportFrom, base: str) -> str:
    if not node.level:
        return node.module or ""
    parts = base.split(".")
    package = ".".join(parts[: len(parts) - node.level + 1])
    return f"{package}.{node.module}" if node.module else package


def _chain(node: ast.expr) -> str:
    """``a.b.c`` of an attribute chain on a plain name, else an empty text."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _dynamic(tree: ast.AST) -> Iterator[str | None]:
    """Names of dynamic imports; None where the name is computed."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in DYNAMIC:
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            yield name if isinstance(name, str) else None


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)))
