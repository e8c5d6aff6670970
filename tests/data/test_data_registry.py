"""The registry file itself, and how it is read."""

import subprocess
import sys

import pytest

from lib.data import DataError, entry, ids, images, table
from lib.data.registry import KINDS, cache_dir


def test_every_entry_says_what_it_must():
    for id in ids():
        found = entry(id)
        assert found.kind in KINDS, id
        assert found.title and found.licence and found.citation, id
        assert found.rows or found.kind == "generator", id
        for form in [form for file in found.files for form in file.forms]:
            assert len(form.sha256) == 64 and form.bytes > 0, (id, form.name)
            assert all(url.startswith(("http://", "https://")) for url in form.urls), (id, form.name)
        if found.needs_files:
            direct = not found.trees and all(any(form.urls for form in file.forms) for file in found.files)
            assert found.folder and (found.files or found.trees), id
            assert direct or "data/" in found.access, f"{id}: neither an address nor where to put it"


def test_columns_and_classes_are_declared_once():
    for id in ids():
        found = entry(id)
        if found.kind == "table":
            assert len(found.names) == found.facts["columns"], id
            assert len(set(found.names)) == len(found.names), id
        if found.kind in ("table", "images"):
            assert len(found.classes) == len(set(found.classes)) >= 2, id


@pytest.mark.parametrize(
    ("id", "word"), [("madelon", "not published"), ("colon", "Discretised"), ("nih-1000", "patient")]
)
def test_known_caveats_are_stated(id, word):
    assert word in entry(id).caveat


def test_unknown_id_suggests_a_near_one():
    with pytest.raises(DataError, match="got 'fashon-mnist'; did you mean 'fashion-mnist'"):
        entry("fashon-mnist")
    with pytest.raises(DataError, match="known: fashion-mnist"):
        entry("zzzzzz")


def test_wrong_loader_names_the_right_one():
    with pytest.raises(DataError, match=r"got 'colon', of kind 'table'; use lib\.data\.table"):
        images("colon")
    with pytest.raises(DataError, match=r"use lib\.data\.nih_metadata"):
        table("nih-metadata")
    with pytest.raises(DataError, match=r"of kind 'generator'; use this repository, lib/data/thorax\.py"):
        images("thorax")


def test_twin_keeps_the_facts_of_its_set():
    original, twin = entry("colon"), entry("colon-twin")
    assert twin.is_twin and not twin.needs_files and not original.is_twin
    assert (twin.names, twin.classes) == (original.names, original.classes)
    assert (original.source, twin.source) == ("colon", "synthetic twin of colon")


def test_incomplete_entry_is_an_error(house):
    house.register("x", kind="sound")
    with pytest.raises(DataError, match="registry entry 'x' needs kind"):
        entry("x")


def test_missing_registry_is_an_error(house):
    with pytest.raises(DataError, match="registry file not found"):
        ids()


def test_cache_folder_can_be_moved(house):
    assert cache_dir() == house.cache


def test_importing_the_package_imports_no_heavy_library():
    code = (
        "import lib.data, sys; print([m for m in ('torch', 'pandas', 'scipy', 'sklearn', 'pooch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
