"""Packed files are built from an upstream archive that lies in the cache."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from lib.data import DataError, available, fetch, images
from lib.data.derive import pack


def jpeg(level):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (level,) * 3).save(stream, "JPEG")
    return stream.getvalue()


def put_archive(house, name, members):
    path = house.cache / "set" / name
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def tiny_members():
    members = {"t/wnids.txt": "n2\nn1\nn3\n", "t/test/images/test_0.JPEG": "never read"}
    for wnid, level in (("n1", 10), ("n2", 100), ("n3", 200)):
        rows = []
        for k in (10, 2):  # numbers, not text, give the order
            members[f"t/train/{wnid}/images/{wnid}_{k}.JPEG"] = jpeg(level + k)
            rows.append(f"{wnid}_{k}.JPEG\t0\t0\t{k}\t3")
        members[f"t/train/{wnid}/{wnid}_boxes.txt"] = "\n".join(rows) + "\n"
    members["t/val/val_annotations.txt"] = "val_1.JPEG\tn3\t0\t0\t1\t1\nval_0.JPEG\tn1\t0\t1\t2\t3\n"
    members |= {f"t/val/images/val_{k}.JPEG": jpeg(30 * k) for k in (0, 1)}
    return members


def expected_train():
    levels = [102, 110, 12, 20]
    arrays = pack([], []) | {"label": np.array([0, 0, 1, 1], np.int16)}
    contents = [jpeg(level) for level in levels]
    arrays["jpeg"] = np.frombuffer(b"".join(contents), np.uint8)
    arrays["offset"] = np.cumsum([0, *map(len, contents)])
    arrays["box"] = np.array([[0, 0, k, 3] for k in (2, 10, 2, 10)], np.int16)
    return arrays


def register_tiny(house, content):
    file = {"name": "train_jpeg.npz", "bytes": 1, "sha256": "0" * 64, "content": content, "urls": []}
    facts = {"kind": "images", "shape": [3, 4, 4], "rows": [4, 1], "classes": ["a", "b"], "files": [file]}
    house.register("tiny-imagenet-50", archive="tiny-imagenet-200.zip", **facts)


def test_tiny_imagenet_is_packed_in_the_order_of_the_class_list(house, data_module):
    np.savez(house.cache.parent / "want.npz", **expected_train())
    register_tiny(house, data_module("fetch").content_sha256(house.cache.parent / "want.npz"))
    assert not available("tiny-imagenet-50")
    put_archive(house, "tiny-imagenet-200.zip", tiny_members())
    assert available("tiny-imagenet-50")
    loaded = images("tiny-imagenet-50")
    assert loaded.y.tolist() == [0, 0, 1, 1]
    assert loaded.boxes[:, 2].tolist() == [3, 11, 3, 11]
    assert house.left() == ["set/tiny-imagenet-200.zip", "set/train_jpeg.npz", "set/val_jpeg.npz"]
    with np.load(house.cache / "set" / "val_jpeg.npz") as held_out:
        assert held_out["label"].tolist() == [1]  # the third class is not among the first two


def test_archive_with_other_images_fails_its_content_sum(house):
    register_tiny(house, hashlib.sha256(b"other").hexdigest())
    put_archive(house, "tiny-imagenet-200.zip", tiny_members())
    with pytest.raises(DataError, match=r"sha256 of .*train_jpeg\.npz must be"):
        fetch("tiny-imagenet-50")


def test_archive_of_another_layout_leaves_nothing(house):
    register_tiny(house, "")
    put_archive(house, "tiny-imagenet-200.zip", {"t/readme.txt": "hello"})
    with pytest.raises(DataError, match="does not have the expected layout"):
        fetch("tiny-imagenet-50")
    assert house.left() == ["set/tiny-imagenet-200.zip"]


def test_class_folders_are_packed_by_class_and_name(house):
    members = {f"c-abc/{s}/{c}/000{k}.jpg": jpeg(k) for s in ("train", "test") for c in ("cat", "ant") for k in (1, 0)}
    file = {"name": "cifar10_train_jpeg.npz", "bytes": 1, "sha256": "0" * 64, "urls": []}
    facts = {"kind": "images", "classes": ["cat", "ant"], "rows": [4, 4], "archive": "CIFAR-10-images.zip"}
    house.register("cifar10-jpeg", files=[file], **facts)
    put_archive(house, "CIFAR-10-images.zip", members)
    with pytest.raises(DataError, match="sha256 of"):  # no content sum is registered here
        fetch("cifar10-jpeg")
    with np.load(house.cache / "set" / "cifar10_train_jpeg.npz") as packed:
        assert packed["label"].tolist() == [0, 0, 1, 1]
        assert packed["jpeg"][: packed["offset"][1]].tobytes() == jpeg(0)


def test_pack_can_be_cut_apart_again(tmp_path):
    contents = [b"one", b"", b"three"]
    paths = [tmp_path / str(place) for place in range(3)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    arrays = pack(paths, [2, 0, 1])
    cut = np.split(arrays["jpeg"], arrays["offset"][1:-1])
    assert [part.tobytes() for part in cut] == contents
