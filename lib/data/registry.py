"""What data there are: the entries of data/registry.toml, and where a set's files belong on this machine.

An id names a set ("fashion-mnist"); the same id with the suffix ``-twin`` names its generator, which has the same
columns, classes and shapes and needs no file. Sets that a library ships ("digits", "iris") are *bundled*.

Conventions: ``DATA_DIR`` overrides the cache folder (default ``data/`` in the repository root), ``DATA_REGISTRY`` the
registry file; relative paths count from the repository root. Nothing here touches the network.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TWIN = "-twin"
KINDS = ("images", "table", "metadata", "radiographs", "generator")


class DataError(RuntimeError):
    """A data set cannot be had, or is not what the registry says; the message names the next step."""


@dataclass(frozen=True)
class File:
    """One file: its name, size in bytes, sha256 and addresses.

    ``plain`` is the same file as upstream serves it unpacked; ``content`` is the sum over an .npz file's arrays, which
    stays the same when the file is built again by another version of zlib.
    """

    name: str
    bytes: int
    sha256: str
    urls: tuple[str, ...] = ()
    content: str = ""
    plain: File | None = None

    @property
    def forms(self) -> tuple[File, ...]:
        """The file and, where there is one, its unpacked form: either satisfies the entry."""
        return (self,) if self.plain is None else (self, self.plain)


@dataclass(frozen=True)
class Tree:
    """A folder of ``count`` files; sha256 is of the lines ``'sha256  path'`` sorted by path."""

    name: str
    count: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """One data set of the registry; see data/registry.toml for what each field means.

    Attributes
    ----------
    id : str
        Name of the set, with ``-twin`` for its generator.
    kind : str
        "images", "table", "metadata", "radiographs", or "generator" (made by the code that ``citation`` names).
    rows : tuple of int
        Number of rows, for images of each split (train, test).
    classes, names, findings, masks : tuple of str
        Labels in the order of their integer codes; column names; finding names; mask names.
    facts : Mapping
        Further fields that one reader needs (``reader``, ``fields``, ``target``, ``content`` ...).
    """

    id: str
    kind: str
    title: str
    licence: str
    citation: str
    folder: str = ""
    bundled: str = ""
    caveat: str = ""
    access: str = ""
    files: tuple[File, ...] = ()
    trees: tuple[Tree, ...] = ()
    rows: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_twin(self) -> bool:
        """Whether the set is a generator."""
        return self.id.endswith(TWIN)

    @property
    def needs_files(self) -> bool:
        """Whether files must be found or downloaded before the set can be read."""
        return not self.is_twin and not self.bundled

    @property
    def maker(self) -> str:
        """Where to get the data: the loader, or for a generator the code that its citation names."""
        loaders = {"metadata": "lib.data.nih_metadata", "generator": self.citation}
        return loaders.get(self.kind, f"lib.data.{self.kind}")

    @property
    def source(self) -> str:
        """What a report says the data are: the id, or "synthetic twin of <id>"."""
        return f"synthetic twin of {self.id.removesuffix(TWIN)}" if self.is_twin else self.id


def registry_path() -> Path:
    """Path of the registry file: ``DATA_REGISTRY``, or data/registry.toml in the repository root."""
    return ROOT / os.environ.get("DATA_REGISTRY", "data/registry.toml")


def cache_dir() -> Path:
    """Folder of downloads: ``DATA_DIR``, or data/ in the repository root. It need not exist yet."""
    return ROOT / os.environ.get("DATA_DIR", "data")


def mirror() -> str | Path | None:
    """Return ``DATA_MIRROR`` as a folder or a url without a trailing slash; None when it is not set.

    Raises
    ------
    DataError
        If it is neither a url nor an existing folder: falling back silently would change what is measured.
    """
    value = os.environ.get("DATA_MIRROR", "").strip()
    if not value:
        return None
    if value.startswith(("http://", "https://")):
        return value.rstrip("/")
    folder = ROOT / Path(value.removeprefix("file://")).expanduser()
    if not folder.is_dir():
        raise DataError(f"DATA_MIRROR must be an existing folder or a http(s) url, got {value!r}; create or unset it")
    return folder


def ids() -> tuple[str, ...]:
    """Names of all registered sets, in the registry's order, without twins."""
    return tuple(_entries())


def entry(id: str) -> Entry:
    """Return the entry of a set or of its twin.

    Raises
    ------
    DataError
        If no such set is registered.

    Examples
    --------
    >>> entry("iris").classes
    ('setosa', 'versicolor', 'virginica')
    >>> entry("iris-twin").source
    'synthetic twin of iris'
    """
    known = _entries()
    base = id.removesuffix(TWIN)
    if base not in known:
        near = difflib.get_close_matches(base, known, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
        raise DataError(f"data id must be registered in {registry_path().name}, got {id!r}; {hint}")
    return replace(known[base], id=id)


def expect(id: str, kind: str, loader: str) -> Entry:
    """Return the entry and check its kind, so that a wrong loader says which one is right.

    Raises
    ------
    DataError
        If the set is of another kind than ``kind``.
    """
    found = entry(id)
    if found.kind != kind:
        raise DataError(f"{loader} reads kind {kind!r}, got {id!r}, of kind {found.kind!r}; use {found.maker}")
    return found


def _entries() -> dict[str, Entry]:
    path = registry_path()
    if not path.is_file():
        raise DataError(f"registry file not found: {path}; restore data/registry.toml or set DATA_REGISTRY")
    return _parse(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _parse(path: Path, stamp: int) -> dict[str, Entry]:
    with path.open("rb") as stream:
        return {id: _entry(id, fields) for id, fields in tomllib.load(stream).items()}


def _entry(id: str, fields: dict[str, Any]) -> Entry:
    missing = {"kind", "title", "licence", "citation"} - set(fields)
    if missing or fields["kind"] not in KINDS:
        raise DataError(f"registry entry {id!r} needs kind (one of {', '.join(KINDS)}), title, licence and citation")
    own = dict(fields)
    rows = own.pop("rows", ())
    files = tuple(_file(item) for item in own.pop("files", ()))
    trees = tuple(Tree(**item) for item in own.pop("trees", ()))
    names = tuple(own.pop("names", ()))
    if not names and "name_pattern" in own:
        names = tuple(own["name_pattern"].format(i) for i in range(own["columns"]))
    texts = ("kind", "title", "licence", "citation", "folder", "bundled", "caveat", "access")
    lists = ("shape", "classes", "findings", "masks")
    plain: dict[str, Any] = {key: own.pop(key) for key in texts if key in own}
    plain |= {key: tuple(own.pop(key)) for key in lists if key in own}
    rows = (rows,) if isinstance(rows, int) else tuple(rows)
    return Entry(id=id, files=files, trees=trees, rows=rows, names=names, facts=own, **plain)


def _file(item: dict[str, Any]) -> File:
    plain = item.get("plain")
    return File(
        name=item["name"],
        bytes=item["bytes"],
        sha256=item["sha256"],
        urls=tuple(item.get("urls", ())),
        content=item.get("content", ""),
        plain=_file(plain) if plain else None,
    )
