"""Find a set's files, download what is missing, and never hand out a file whose sum is wrong.

A folder named by ``DATA_MIRROR`` that holds the whole set is read in place; else the set is put together in the cache
folder from the mirror (folder or url, laid out as ``<mirror>/<folder>/<file>``) and then from the registry's addresses
in order. Each file is written beside its place and renamed, so an interrupted download leaves nothing. Sums are checked
once per file and remembered by path, size and modification time. ``BLINDSPOT_OFFLINE=1`` forbids the network.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lib.data.registry import DataError, Entry, File, Tree, cache_dir, entry, mirror

RETRIES = 2
TIMEOUT_S = 30
TWIN_VERSION = "twin 1"
CONTENT = ("image", "jpeg", "offset", "label", "box")  # arrays that loaders read


def available(id: str) -> bool:
    """Whether the set can be read now: bundled, a generator, in ``DATA_MIRROR`` or in the cache.

    Never touches the network and checks presence only; sums are checked when the files are read.
    """
    found = entry(id)
    return not found.needs_files or _complete(found) is not None or archive_path(found) is not None


def fetch(id: str) -> Path:
    """Return the folder that holds all files of a set, downloading what is missing.

    Returns
    -------
    Path
        The set's folder in ``DATA_MIRROR`` where that is complete, else in the cache.

    Raises
    ------
    DataError
        If the set has no files (bundled, generator), cannot be downloaded, or a sum is wrong.
    """
    found = entry(id)
    if not found.needs_files:
        raise DataError(f"{id!r} is made or bundled and has no files to fetch; use {found.maker}")
    folder = _complete(found)
    if folder is None:
        folder = cache_dir() / found.folder
        archive = archive_path(found)
        if archive is not None:
            from lib.data.derive import build

            build(found, archive, folder)
        for file in found.files:
            if _form(folder, file) is None:
                _obtain(found, file, folder)
        if any(not _tree_complete(folder, tree) for tree in found.trees):
            raise DataError(_access(found, ", ".join(f"{tree.name}/" for tree in found.trees)))
    for file in found.files:
        _check(folder / _form_name(folder, file), file)
    for tree in found.trees:
        _check_tree(folder, tree)
    return folder


def file_path(id: str, name: str) -> Path:
    """Return the path of one file of a set, in the packing that is there; fetches the set when needed."""
    found = entry(id)
    folder = fetch(id)
    for file in found.files:
        if file.name == name:
            return folder / _form_name(folder, file)
    raise DataError(f"{id!r} has no file {name!r}; it has {', '.join(file.name for file in found.files)}")


def sums(id: str) -> dict[str, str]:
    """Return what identifies the data: file (or folder/) -> sha256, or the version of what makes them.

    Examples
    --------
    >>> sums("iris-twin")
    {'generator': 'twin 1'}
    """
    found = entry(id)
    if found.is_twin:
        return {"generator": TWIN_VERSION}
    if found.bundled:
        return {found.bundled: version(found.bundled)}
    return {file.name: file.sha256 for file in found.files} | {f"{tree.name}/": tree.sha256 for tree in found.trees}


def archive_path(found: Entry) -> Path | None:
    """Path of the upstream archive that was put into the cache by hand, or None."""
    name = found.facts.get("archive")
    path = cache_dir() / found.folder / str(name)
    return path if name and path.is_file() else None


def sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_sha256(path: Path) -> str:
    """Return the sha256 over the arrays that are read from an .npz file, whatever compressed them.

    Covers name, type, shape and bytes of each array in ``CONTENT`` that the file has.
    """
    total = hashlib.sha256()
    with np.load(path, allow_pickle=False) as arrays:
        for name in sorted(set(arrays.files) & set(CONTENT)):
            array = np.ascontiguousarray(arrays[name])
            total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            total.update(array.tobytes())
    return total.hexdigest()


def _complete(found: Entry) -> Path | None:
    """Return the first folder, mirror before cache, that holds every file and tree at its size."""
    base = mirror()
    places = [base / found.folder] if isinstance(base, Path) else []
    for folder in (*places, cache_dir() / found.folder):
        files = all(_form(folder, file) is not None for file in found.files)
        if files and all(_tree_complete(folder, tree) for tree in found.trees):
            return folder
    return None


def _form(folder: Path, file: File) -> File | None:
    return next((form for form in file.forms if (folder / form.name).is_file()), None)


def _form_name(folder: Path, file: File) -> str:
    form = _form(folder, file)
    return file.name if form is None else form.name


def _tree_complete(folder: Path, tree: Tree) -> bool:
    return (folder / tree.name).is_dir() and sum(1 for _ in _tree_files(folder, tree)) == tree.count


def _tree_files(folder: Path, tree: Tree) -> list[Path]:
    found = [path for path in (folder / tree.name).rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _check(path: Path, file: File) -> None:
    """Raise unless the file has the registered sum (or, rebuilt from its archive, the registered content)."""
    expected = next(form for form in file.forms if form.name == path.name)
    info = path.stat()
    stamp = _stamp(f"{path.resolve()} {info.st_size} {info.st_mtime_ns} {expected.sha256} {expected.content}")
    if stamp.is_file():
        return
    got = sha256(path)
    if got != expected.sha256 and not (expected.content and content_sha256(path) == expected.content):
        raise DataError(
            f"sha256 of {path} must be {expected.sha256} ({expected.bytes:,} bytes), "
            f"got {got} ({info.st_size:,} bytes); delete the file and fetch again, or correct the mirror"
        )
    _remember(stamp)


def _check_tree(folder: Path, tree: Tree) -> None:
    files = _tree_files(folder, tree)
    facts = " ".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)
    stamp = _stamp(f"{(folder / tree.name).resolve()} {facts} {tree.sha256}")
    if stamp.is_file():
        return
    lines = "".join(f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    got = hashlib.sha256(lines.encode()).hexdigest()
    if got != tree.sha256:
        raise DataError(
            f"sha256 over the {tree.count} files of {folder / tree.name} must be {tree.sha256}, got {got} "
            f"({len(files)} files); correct the mirror or delete the folder"
        )
    _remember(stamp)


def _stamp(facts: str) -> Path:
    return cache_dir() / ".verified" / hashlib.sha256(facts.encode()).hexdigest()


def _remember(stamp: Path) -> None:
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    except OSError:  # a read-only cache: the sum is checked again next time
        return


def _obtain(found: Entry, file: File, folder: Path) -> None:
    """Put one missing file into ``folder``: from the mirror, then from each address in turn."""
    base = mirror()
    attempts = [(f"{base}/{found.folder}/{file.name}", file)] if isinstance(base, str) else []
    attempts += [(url, form) for form in file.forms for url in form.urls]
    if isinstance(base, Path):
        form = _form(base / found.folder, file)
        if form is not None:
            _check(base / found.folder / form.name, file)
            return _place(base / found.folder / form.name, folder / form.name)
    if not attempts:
        raise DataError(_access(found, file.name))
    if os.environ.get("BLINDSPOT_OFFLINE", "") not in ("", "0"):
        raise DataError(
            f"{file.name} of {found.id!r} is not in the cache and BLINDSPOT_OFFLINE forbids the network; "
            f"unset it, set DATA_MIRROR to a folder, or use {found.id}-twin"
        )
    failures = []
    for url, form in attempts:
        try:
            return _download(url, form, folder)
        except Exception as error:  # any failure of one address is a reason to try the next
            failures.append(f"{url}: {_reason(error, form)}")
    raise DataError(
        f"{file.name} of {found.id!r} could not be downloaded:\n  " + "\n  ".join(failures) + "\n"
        f"check the connection, or set DATA_MIRROR to a folder that has {found.folder}/{file.name}. {found.access}"
    )


def _reason(error: Exception, form: File) -> str:
    got = re.search("but got ([0-9a-f]{64})", str(error))
    if got:
        return f"wrong or truncated file, expected sha256 {form.sha256} ({form.bytes:,} bytes), got {got.group(1)}"
    return f"{type(error).__name__}: {error}"


def _download(url: str, form: File, folder: Path) -> None:
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as beside:
        source = pooch.create(
            path=beside,
            base_url="",
            registry={form.name: f"sha256:{form.sha256}"},
            urls={form.name: url},
            retry_if_failed=RETRIES,
        )
        getter = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_S)
        path = Path(source.fetch(form.name, downloader=getter))
        os.replace(path, folder / form.name)


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as beside:
        os.replace(shutil.copyfile(source, Path(beside) / target.name), target)


def _access(found: Entry, missing: str) -> str:
    how = found.access or f"Set DATA_MIRROR to a folder that has {found.folder}/."
    terms = f"Licence: {found.licence}. Without it, use {found.id}-twin"
    return f"{found.id!r} has no direct download for {missing}. {how} {terms}"
