"""Downloads, sums and mirrors, against a server on 127.0.0.1."""

import gzip
import hashlib
import socket
import sys

import numpy as np
import pytest

from lib.data import DataError, available, fetch, file_path, sums

CONTENT = bytes(range(256)) * 40
NOWHERE = "http://127.0.0.1:9/never"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_download_lands_in_the_cache_and_is_not_asked_for_twice(house, server):
    house.register("x", files=[house.file("a.bin", CONTENT, server.serve("/a.bin", CONTENT))])
    assert not available("x")
    assert fetch("x") == house.cache / "set"
    assert (house.cache / "set" / "a.bin").read_bytes() == CONTENT
    fetch("x")
    assert server.asked == ["/a.bin"]
    assert house.left() == ["set/a.bin"]
    assert available("x")


@pytest.mark.parametrize("claimed", [None, len(CONTENT)], ids=["short file", "connection cut"])
def test_truncated_download_leaves_nothing(house, server, claimed):
    url = server.serve("/a.bin", CONTENT[:-5], length=claimed)
    house.register("x", files=[house.file("a.bin", CONTENT, url)])
    with pytest.raises(DataError, match=r"a\.bin of 'x' could not be downloaded"):
        fetch("x")
    assert house.left() == []
    assert not available("x")


def test_wrong_sum_says_expected_got_and_next_step(house, server):
    other = CONTENT[::-1]
    file = house.file("a.bin", CONTENT, server.serve("/a.bin", other))
    house.register("x", files=[file])
    with pytest.raises(DataError, match=f"expected sha256 {file['sha256']}") as caught:
        fetch("x")
    assert hashlib.sha256(other).hexdigest() in str(caught.value)
    assert "set DATA_MIRROR" in str(caught.value)
    assert house.left() == []


def test_second_address_is_tried_when_the_first_is_unreachable_or_missing(house, server):
    dead = f"http://127.0.0.1:{free_port()}/a.bin"
    urls = [dead, server.address + "/absent", server.serve("/a.bin", CONTENT)]
    house.register("x", files=[house.file("a.bin", CONTENT, *urls)])
    assert file_path("x", "a.bin").read_bytes() == CONTENT
    assert server.asked == ["/absent", "/a.bin"]
    assert house.left() == ["set/a.bin"]


def test_all_addresses_failing_are_all_named(house, server):
    dead = f"http://127.0.0.1:{free_port()}/a.bin"
    house.register("x", files=[house.file("a.bin", CONTENT, dead, server.address + "/absent")])
    with pytest.raises(DataError, match="404") as caught:
        fetch("x")
    assert dead in str(caught.value)


def test_plain_form_of_a_packed_file_satisfies_the_entry(house, server):
    packed = gzip.compress(b"a,b\n")
    plain = house.file("t.csv", b"a,b\n", server.serve("/t.csv", b"a,b\n"))
    house.register("x", files=[house.file("t.csv.gz", packed, plain=plain)])
    assert file_path("x", "t.csv.gz") == house.cache / "set" / "t.csv"


def test_mirror_folder_is_read_in_place_and_checked_once(house, monkeypatch, data_module):
    path = house.put(house.mirror / "set" / "a.bin", CONTENT)
    house.register("x", files=[house.file("a.bin", CONTENT, NOWHERE)])
    monkeypatch.setenv("DATA_MIRROR", str(house.mirror))
    counted = []
    true_sum = data_module("fetch").sha256
    monkeypatch.setattr(data_module("fetch"), "sha256", lambda path: counted.append(path) or true_sum(path))
    assert available("x")
    assert file_path("x", "a.bin") == path
    assert file_path("x", "a.bin") == path
    assert counted == [path]
    assert house.left() == []


def test_changed_file_is_checked_again(house, monkeypatch):
    path = house.put(house.mirror / "set" / "a.bin", CONTENT)
    house.register("x", files=[house.file("a.bin", CONTENT)])
    monkeypatch.setenv("DATA_MIRROR", str(house.mirror))
    fetch("x")
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(DataError, match="correct the mirror"):
        fetch("x")


def test_incomplete_mirror_is_completed_in_the_cache(house, server, monkeypatch):
    house.put(house.mirror / "set" / "a.bin", CONTENT)
    url = server.serve("/b.bin", b"b")
    house.register("x", files=[house.file("a.bin", CONTENT, NOWHERE), house.file("b.bin", b"b", url)])
    monkeypatch.setenv("DATA_MIRROR", str(house.mirror))
    assert not available("x")
    assert fetch("x") == house.cache / "set"
    assert house.left() == ["set/a.bin", "set/b.bin"]


def test_mirror_url_is_tried_before_upstream(house, server, monkeypatch):
    server.serve("/m/set/a.bin", CONTENT)
    house.register("x", files=[house.file("a.bin", CONTENT, server.serve("/upstream", CONTENT))])
    monkeypatch.setenv("DATA_MIRROR", server.address + "/m/")
    fetch("x")
    assert server.asked == ["/m/set/a.bin"]


def test_mirror_that_does_not_exist_is_an_error(house, monkeypatch):
    house.register("x", files=[house.file("a.bin", CONTENT)])
    monkeypatch.setenv("DATA_MIRROR", str(house.mirror / "typo"))
    with pytest.raises(DataError, match="DATA_MIRROR must be an existing folder"):
        available("x")


def test_offline_forbids_the_network(house, server, monkeypatch):
    house.register("x", files=[house.file("a.bin", CONTENT, server.serve("/a.bin", CONTENT))])
    monkeypatch.setenv("BLINDSPOT_OFFLINE", "1")
    with pytest.raises(DataError, match="BLINDSPOT_OFFLINE forbids the network"):
        fetch("x")
    assert server.asked == []
    monkeypatch.setenv("BLINDSPOT_OFFLINE", "0")
    fetch("x")
    assert server.asked == ["/a.bin"]


def test_gated_set_says_how_to_get_it(house):
    house.register("x", files=[house.file("a.bin", CONTENT)], access="Ask nicely, put it at data/set/a.bin.")
    with pytest.raises(DataError, match=r"no direct download for a\.bin\. Ask nicely.*Licence: CC0.*use x-twin"):
        fetch("x")


def test_progress_is_shown_on_a_terminal_only(house, server, capfd, monkeypatch):
    house.register("x", files=[house.file("a.bin", CONTENT, server.serve("/a.bin", CONTENT))])
    fetch("x")
    assert capfd.readouterr().err == ""
    house.register("y", folder="other", files=[house.file("a.bin", CONTENT, server.serve("/a.bin", CONTENT))])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fetch("y")
    assert "100%" in capfd.readouterr().err


def test_tree_of_small_files_has_one_sum_over_sorted_lines(house, monkeypatch):
    rows = {"t/a.png": b"1", "t/b/c.png": b"22"}
    for name, content in rows.items():
        house.put(house.mirror / "set" / name, content)
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(rows.items()))
    total = hashlib.sha256(lines.encode()).hexdigest()
    house.register("x", trees=[{"name": "t", "count": 2, "bytes": 3, "sha256": total}])
    monkeypatch.setenv("DATA_MIRROR", str(house.mirror))
    assert fetch("x") == house.mirror / "set"
    assert sums("x") == {"t/": total}
    house.put(house.mirror / "set" / "t" / "a.png", b"3")
    with pytest.raises(DataError, match="sha256 over the 2 files"):
        fetch("x")
    (house.mirror / "set" / "t" / "a.png").unlink()
    assert not available("x")
    with pytest.raises(DataError, match="no direct download for t/"):
        fetch("x")


def test_content_sum_ignores_packing_and_sees_a_changed_number(tmp_path, data_module):
    content_sha256 = data_module("fetch").content_sha256
    image = np.arange(6, dtype=np.uint8)
    np.savez(tmp_path / "plain.npz", image=image, note=np.arange(3))
    np.savez_compressed(tmp_path / "packed.npz", image=image)
    np.savez(tmp_path / "other.npz", image=image[::-1])
    np.savez(tmp_path / "typed.npz", image=image.astype(np.int8))
    same, packed, other, typed = (content_sha256(tmp_path / f"{n}.npz") for n in ("plain", "packed", "other", "typed"))
    assert same == packed
    assert len({same, other, typed}) == 3


def test_sums_name_files_generators_and_libraries(house, monkeypatch):
    file = house.file("a.bin", CONTENT)
    house.register("x", files=[file])
    assert sums("x") == {"a.bin": file["sha256"]}
    assert list(sums("x-twin")) == ["generator"]
    house.register("b", bundled="scikit-learn")
    assert set(sums("b")) == {"scikit-learn"}
    assert available("b")
    assert available("x-twin")


def test_fetching_a_generator_says_what_to_do(house):
    house.register("x", files=[house.file("a.bin", CONTENT)])
    with pytest.raises(DataError, match=r"no files to fetch; use lib\.data\.table"):
        fetch("x-twin")


def test_file_path_of_an_unknown_file_lists_the_known(house, monkeypatch):
    house.put(house.cache / "set" / "a.bin", CONTENT)
    house.register("x", files=[house.file("a.bin", CONTENT)])
    with pytest.raises(DataError, match=r"has no file 'b\.bin'; it has a\.bin"):
        file_path("x", "b.bin")
