"""Unpack a zip or tar archive without ever leaving its folder.

Members are written one by one. A path that is absolute, climbs with ``..``, or names a link or a device is refused, and
one refused member refuses the whole archive. Everything is written to a folder beside the target, which is renamed to
the target at the very end, so that an interrupted extraction leaves nothing behind.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from lib.data.registry import DataError


def extract(archive: Path, target: Path, *, keep: Callable[[str], bool] | None = None) -> Path:
    """Unpack ``archive`` into the new folder ``target``.

    Parameters
    ----------
    archive : Path
        A .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz file.
    target : Path
        Folder to make; must not exist.
    keep : callable, optional
        ``keep(path) -> bool`` chooses members by their path in the archive; all are checked, chosen or not.

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    DataError
        If the target exists, the file is no archive, or a member would leave the folder or is no plain file.
    """
    if target.exists():
        raise DataError(f"target of an extraction must not exist, got {target}; remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".unpack-", dir=target.parent))
    try:
        for path, stream in _members(archive):
            place = beside / path
            if keep is not None and not keep(path.as_posix()):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as out:
                shutil.copyfileobj(stream, out)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def safe_path(name: str, archive: Path) -> PurePosixPath:
    """Return a member's name as a relative path.

    Raises
    ------
    DataError
        If the name is absolute, has a drive, a backslash or a NUL, or climbs with ``..``.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or any(c in name for c in "\\:\0"):
        raise DataError(
            f"archive members must stay inside their folder, got {name!r} in {archive.name}; "
            "nothing was unpacked, download the archive again from its publisher"
        )
    return path


def _members(archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive)
    elif tarfile.is_tarfile(archive):
        yield from _tar_members(archive)
    else:
        raise DataError(f"archive must be a zip or tar file, got {archive.name}; was its download cut short?")


def _zip_members(archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            path = safe_path(member.filename, archive)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(member.filename, archive)
            if not member.is_dir():
                with opened.open(member) as stream:
                    yield path, stream


def _tar_members(archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.name == "." and member.isdir():
                continue
            path = safe_path(member.name, archive)
            if not (member.isreg() or member.isdir()):
                raise _refused(member.name, archive)
            stream = opened.extractfile(member) if member.isreg() else None
            if stream is not None:
                with stream:
                    yield path, stream


def _refused(name: str, archive: Path) -> DataError:
    return DataError(
        f"archive members must be files or folders, got a link or device {name!r} in {archive.name}; "
        "nothing was unpacked, download the archive again from its publisher"
    )
