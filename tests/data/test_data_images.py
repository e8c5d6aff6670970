"""Image loaders on fabricated files, and the bundled digits."""

import gzip
import io

import numpy as np
import pytest
import torch
from PIL import Image

from lib.data import DataError, images
from lib.data import Images as ImagesType

RNG = np.random.default_rng(0)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def put_fashion(house, x, y):
    files = {"train-images-idx3-ubyte.gz": idx(x), "train-labels-idx1-ubyte.gz": idx(y)}
    for name, content in files.items():
        house.put(house.cache / "set" / name, content)
    house.register(
        "fashion-mnist",
        kind="images",
        shape=[1, *x.shape[1:]],
        rows=[len(x), 0],
        classes=["a", "b"],
        files=[house.file(name, content) for name, content in files.items()],
    )


def put_tiny(house, colours, boxes):
    jpegs = []
    for colour in colours:
        stream = io.BytesIO()
        picture = Image.new("L" if isinstance(colour, int) else "RGB", (8, 8), colour)
        picture.save(stream, "JPEG", quality=100, subsampling=0)
        jpegs.append(stream.getvalue())
    stream = io.BytesIO()
    np.savez(
        stream,
        jpeg=np.frombuffer(b"".join(jpegs), np.uint8),
        offset=np.cumsum([0, *map(len, jpegs)]),
        label=np.arange(len(colours), dtype=np.int16) % 2,
        box=np.array(boxes, np.int16),
    )
    house.put(house.cache / "set" / "train_jpeg.npz", stream.getvalue())
    file = house.file("train_jpeg.npz", stream.getvalue())
    facts = {"kind": "images", "shape": [3, 8, 8], "rows": [len(colours), 0], "classes": ["a", "b"], "files": [file]}
    house.register("tiny-imagenet-50", **facts)


def test_idx_files_become_floats_in_unit_range_in_file_order(house):
    x = RNG.integers(0, 256, (6, 4, 5))
    y = np.array([0, 1, 0, 1, 1, 0])
    put_fashion(house, x, y)
    loaded = images("fashion-mnist")
    assert isinstance(loaded, ImagesType)
    assert (loaded.x.dtype, loaded.y.dtype, loaded.boxes) == (torch.float32, torch.int64, None)
    assert np.array_equal((loaded.x[:, 0] * 255).round().numpy(), x)
    assert loaded.y.tolist() == y.tolist()
    assert (loaded.classes, loaded.source) == (("a", "b"), "fashion-mnist")


def test_n_takes_a_seeded_stratified_part_and_keeps_image_and_label_together(house):
    y = np.array([0, 1] * 20)
    x = np.repeat(np.arange(40), 4).reshape(40, 2, 2)
    put_fashion(house, x, y)
    half, quarter, other = (images("fashion-mnist", n=n, seed=s) for n, s in ((20, 0), (10, 0), (20, 1)))
    rows = (half.x[:, 0, 0, 0] * 255).round().long()
    assert half.y.tolist() == y[rows].tolist()
    assert torch.bincount(half.y).tolist() == [10, 10]
    assert torch.equal(half.x[:10], quarter.x)
    assert not torch.equal(half.x, other.x)
    assert len(set(rows.tolist())) == 20


@pytest.mark.parametrize("n", [0, 7, -1])
def test_n_out_of_range(house, n):
    put_fashion(house, np.zeros((6, 2, 2)), np.zeros(6))
    with pytest.raises(ValueError, match=r"n must be in 1\.\.6 for the train split"):
        images("fashion-mnist", n=n)


def test_unknown_split():
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        images("digits", split="val")


def test_damaged_idx_file_is_an_error(house, data_module):
    path = house.put(house.cache / "bad.gz", gzip.compress(b"\0\0\x0d\x01" + bytes(20)))
    with pytest.raises(DataError, match=r"bad\.gz must be an IDX file of unsigned bytes"):
        data_module("images").read_idx(path)
    house.put(path, idx(np.zeros(9))[:0] + gzip.compress(gzip.decompress(idx(np.zeros(9)))[:-1]))
    with pytest.raises(DataError, match="must be an IDX file"):
        data_module("images").read_idx(path)


def test_jpegs_are_decoded_as_rgb_with_half_open_boxes(house):
    put_tiny(house, [(255, 0, 0), 128], [[0, 1, 3, 4], [2, 2, 2, 2]])
    loaded = images("tiny-imagenet-50")
    assert loaded.x.shape == (2, 3, 8, 8)
    # JPEG at quality 100 is off by at most two grey levels on a flat image
    assert torch.allclose(loaded.x.mean((2, 3)), torch.tensor([[1.0, 0, 0], [0.502] * 3]), atol=2 / 255)
    assert loaded.boxes.tolist() == [[0, 1, 4, 5], [2, 2, 3, 3]]


def test_boxes_follow_the_chosen_rows(house):
    grey = list(range(0, 200, 10))
    put_tiny(house, grey, [[i, i, i, i] for i in range(len(grey))])
    loaded = images("tiny-imagenet-50", n=6, seed=3)
    shown = (loaded.x.mean((1, 2, 3)) * 255 / 10).round()
    assert shown.tolist() == loaded.boxes[:, 0].tolist()


def test_digits_are_interpolated_and_split_by_class():
    train, test = images("digits"), images("digits", split="test")
    assert train.x.shape[1:] == test.x.shape[1:] == (1, 28, 28)
    assert len(train.y) + len(test.y) == 1797
    share = torch.bincount(test.y) / (torch.bincount(train.y) + torch.bincount(test.y))
    assert ((share > 0.19) & (share < 0.21)).all()
    assert float(train.x.min()) == 0.0
    assert 0.95 < float(train.x.max()) <= 1.0


def test_digits_keep_the_mean_of_the_original():
    from sklearn.datasets import load_digits

    whole = torch.cat([images("digits").x, images("digits", split="test").x])
    # bilinear resizing repeats the border, so the mean intensity moves by less than a grey level of the 16
    assert abs(float(whole.mean()) - load_digits().images.mean() / 16) < 1 / 16


def test_stratified_order_holds_every_prefix_to_the_proportions(data_module):
    y = np.repeat([0, 1, 2], [60, 30, 10])
    order = data_module("images").stratified_order(y, seed=1)
    assert sorted(order) == list(range(100))
    counts = np.cumsum(np.eye(3)[y[order]], axis=0)
    expected = np.arange(1, 101)[:, None] * np.array([0.6, 0.3, 0.1])
    assert np.abs(counts - expected).max() <= 2  # one for its own rounding, one for the other classes'
