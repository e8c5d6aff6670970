"""Extraction stays in its folder and is all or nothing."""

import io
import shutil
import tarfile
import zipfile

import pytest

from lib.data.registry import DataError
from lib.data.unpack import extract, safe_path


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            member = info if isinstance(info, tarfile.TarInfo) else tarfile.TarInfo(info)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_members_arrive_with_their_bytes(tmp_path, make):
    archive = make(tmp_path / "a", [("d/one.txt", b"1"), ("d/e/two.txt", b"22")])
    target = extract(archive, tmp_path / "out")
    assert (target / "d" / "one.txt").read_bytes() == b"1"
    assert (target / "d" / "e" / "two.txt").read_bytes() == b"22"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "out"]


def test_keep_chooses_members(tmp_path):
    archive = make_zip(tmp_path / "a", [("d/one.txt", b"1"), ("d/two.csv", b"2")])
    target = extract(archive, tmp_path / "out", keep=lambda path: path.endswith(".csv"))
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["two.csv"]


@pytest.mark.parametrize("name", ["../evil", "d/../../evil", "/evil", "d/../evil"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_path_that_leaves_the_folder_refuses_the_whole_archive(tmp_path, make, name):
    box = tmp_path / "box"
    box.mkdir()
    archive = make(box / "a", [("good", b"1"), (name, b"2")])
    with pytest.raises(DataError, match="must stay inside their folder"):
        extract(archive, box / "out")
    assert [path.name for path in box.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["box"]


@pytest.mark.parametrize("name", ["..\\evil", "C:evil", ""])
def test_names_of_other_systems_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="must stay inside"):
        safe_path(name, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = make_tar(tmp_path / "a", [("good", b"1"), (special("bad", kind, "good"), b"")])
    with pytest.raises(DataError, match="link or device 'bad'"):
        extract(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        link = zipfile.ZipInfo("bad")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="link or device"):
        extract(tmp_path / "a", tmp_path / "out")


def test_interrupted_extraction_leaves_nothing(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a", [("one", b"1"), ("two", b"2")])
    copy, calls = shutil.copyfileobj, []

    def stops(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        copy(*args)

    monkeypatch.setattr(shutil, "copyfileobj", stops)
    with pytest.raises(KeyboardInterrupt):
        extract(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_existing_target_and_a_file_that_is_no_archive_are_errors(tmp_path):
    (tmp_path / "a").write_bytes(b"no archive")
    with pytest.raises(DataError, match="must not exist"):
        extract(tmp_path / "a", tmp_path)
    with pytest.raises(DataError, match="must be a zip or tar file, got a"):
        extract(tmp_path / "a", tmp_path / "out")
