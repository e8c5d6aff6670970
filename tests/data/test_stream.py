"""A packed set streams in random order, every row once, within bounded memory, and trains through the one loop."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lib.data import DataError
from lib.data import packed as packing
from lib.data.image_folder import listing, main, pack
from lib.data.packed import create, open_packed, write_rows
from lib.data.stream import Stream
from lib.train import fit

SIDE = 16


def numbered(folder, *, n=1000, side=SIDE, classes=7):
    """A set whose row i says i in its first two pixels; the others are noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 1, side, side), dtype=np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = np.arange(n) // 256, np.arange(n) % 256
    facts = {"labels": np.arange(n) % classes, "classes": [str(k) for k in range(classes)], "source": "numbers"}
    with create(folder, shape=pixels.shape, **facts) as path:
        write_rows(path, 0, pixels)
    return open_packed(folder), pixels


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return numbered(tmp_path_factory.mktemp("set") / "numbers")


def rows_of(x):
    """Which rows a batch holds, read from its pixels."""
    pair = (x[:, 0, 0, :2] * 255).round().long()
    return (pair[:, 0] * 256 + pair[:, 1]).tolist()


def drawn(stream, generator=None, **options):
    with stream.batches(generator, **options) as batches:
        return [(rows_of(x), y.tolist()) for x, y in batches]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "lib.data.stream"]


SMALL = {"buffer_bytes": 2 * 100 * SIDE * SIDE}  # windows of 100 rows


@pytest.fixture(params=[{}, SMALL], ids=["whole", "windows"])
def options(request, monkeypatch):
    monkeypatch.setattr("lib.data.stream.BLOCK_BYTES", 10 * SIDE * SIDE)
    return request.param


def test_an_epoch_has_every_row_once_with_its_pixels_and_label(made, options):
    packed, pixels = made
    seen = []
    with Stream(packed, batch_size=64, **options).batches(seeded()) as batches:
        for x, y in batches:
            rows = rows_of(x)
            assert x.dtype == torch.float32 and y.dtype == torch.int64
            assert torch.equal(x, torch.from_numpy(pixels[rows]).to(torch.float32) / 255.0)
            assert y.tolist() == [row % 7 for row in rows]
            seen.append(rows)
    assert sorted(sum(seen, [])) == list(range(1000))
    assert {len(rows) for rows in seen} == {62, 63} and len(seen) == 16  # 1000 in 16, as equal as can be


def test_the_seed_is_the_order(made, options):
    stream = Stream(made[0], batch_size=64, **options)
    first, again, other = (drawn(stream, seeded(seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert drawn(stream, np.random.default_rng(3)) == drawn(stream, np.random.default_rng(3))
    assert sum((rows for rows, _ in drawn(stream)), []) == list(range(1000))  # without a generator as in the file


def test_two_epochs_of_one_generator_differ(made):
    stream, generator = Stream(made[0], batch_size=64), seeded()
    assert drawn(stream, generator) != drawn(stream, generator)


def test_a_buffer_that_holds_all_gives_uniform_permutations(tmp_path):
    packed, _ = numbered(tmp_path / "few", n=5, classes=1)
    stream = Stream(packed, batch_size=2)
    orders = np.stack([stream.order(seed) for seed in range(2000)])
    # each row stands in each place 400 times; binomial standard deviation 17.9, five of them
    counts = np.stack([(orders == row).sum(0) for row in range(5)])
    assert abs(counts - 400).max() < 90
    assert len({tuple(order) for order in orders}) == 120


def test_windows_mix_far_rows_and_read_whole_blocks(made, options):
    stream = Stream(made[0], batch_size=50, **options)
    order = stream.order(0)
    first = order[:100]
    assert np.ptp(first) > 500  # rows from far apart in the file come together
    if options:
        assert len(np.unique(first // 10)) == 10  # ten blocks of ten neighbours, each whole
        assert not np.array_equal(np.sort(first), first)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_each_batch_without_repeats(made, options, world):
    streams = [Stream(made[0], batch_size=64, rank=rank, world=world, **options) for rank in range(world)]
    shares = [[rows for rows, _ in drawn(stream, seeded())] for stream in streams]
    assert sorted(sum(sum(shares, []), [])) == list(range(1000))
    sizes = [[len(part) for part in torch.arange(size).tensor_split(world)] for size in _cut(1000, 64)]
    assert [[len(share[step]) for share in shares] for step in range(16)] == sizes  # as lib.train cuts a batch


def _cut(n, batch):
    return [len(part) for part in torch.arange(n).tensor_split(-(-n // batch))]


@pytest.mark.parametrize("start", [1, 7, 15, 16])
def test_an_epoch_goes_on_where_it_was_left(made, options, start):
    stream = Stream(made[0], batch_size=64, **options)
    assert drawn(stream, seeded(), start=start) == drawn(stream, seeded())[start:]


def test_the_thread_ends_with_the_block_the_error_and_the_last_reference(made):
    stream = Stream(made[0], batch_size=8, prefetch=1)
    with stream.batches(seeded()) as batches:
        next(batches)
        assert len(threads()) == 1
    assert threads() == [] and next(batches, None) is None
    with pytest.raises(KeyboardInterrupt), stream.batches(seeded()):
        raise KeyboardInterrupt
    assert threads() == []
    forgotten = stream.batches(seeded())
    next(forgotten)
    del forgotten
    gc.collect()
    assert threads() == []
    assert len(list(stream.batches(seeded()))) == stream.steps and threads() == []


def test_the_queue_is_bounded(made):
    stream = Stream(made[0], batch_size=10, prefetch=3)
    with stream.batches() as batches:
        deadline = time.monotonic() + 10
        while batches._ready.qsize() < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert batches._ready.qsize() == 3
        assert rows_of(next(batches)[0]) == list(range(10))


def test_a_file_that_shrinks_ends_the_epoch_with_its_name(tmp_path):
    packed, _ = numbered(tmp_path / "cut", n=300)
    os.truncate(packed.path, packed.offset + 200 * packed.row_bytes)
    with pytest.raises(DataError, match=r"images\.npy must keep its size"):
        drawn(Stream(packed, batch_size=10))
    assert threads() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size and prefetch must be positive"),
        ({"batch_size": 4, "rank": 2, "world": 2}, "rank in 0..world-1"),
        ({"batch_size": 4, "buffer_bytes": 300}, "buffer_bytes must hold two images"),
        ({"batch_size": 2, "world": 3}, "must give each of 3 processes an image"),
    ],
)
def test_options_out_of_range_are_refused(made, options, message):
    with pytest.raises(ValueError, match=message):
        Stream(made[0], **options)


# ---- one training loop


class Mean(nn.Module):
    """Predicts a class from the image's pixels; remembers nothing."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(SIDE * SIDE, 7)

    def forward(self, x):
        return self.head(x.flatten(1))


def class_loss(model, batch, generator):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def trained(stream, folder=None, *, epochs=3, loss=class_loss, batch_size=64):
    torch.manual_seed(1)
    model = Mean()
    path = None if folder is None else folder / "run.pt"
    with stream.feed(loss) as fed:
        history = fit(
            model, fed, [stream.stand_in()], epochs=epochs, batch_size=batch_size, lr=1e-2, generator=seeded(),
            checkpoint=path,
        )  # fmt: skip
    return model, history


def test_fit_sees_every_row_once_per_epoch_in_new_orders(made, options):
    stream, seen = Stream(made[0], batch_size=64, **options), []

    def noting(model, batch, generator):
        seen.append(rows_of(batch[0]))
        return class_loss(model, batch, generator)

    _, history = trained(stream, loss=noting)
    epochs = [sum(seen[first : first + 16], []) for first in (0, 16, 32)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(1000))] * 3
    assert epochs[0] != epochs[1] != epochs[2] and history.steps == 48
    assert threads() == []


def test_fit_learns_from_a_stream_what_it_learns_from_memory(made):
    """Every epoch as one batch: the order within it is gone, so both take the same steps up to rounding."""
    packed, pixels = made
    streamed, history = trained(Stream(packed, batch_size=1000), batch_size=1000, epochs=5)
    torch.manual_seed(1)
    model = Mean()
    tensors = [torch.from_numpy(pixels).float() / 255, torch.from_numpy(packed.labels)]
    expected = fit(model, class_loss, tensors, epochs=5, batch_size=1000, lr=1e-2, generator=seeded())
    assert history.loss == pytest.approx(expected.loss, rel=1e-5)
    assert torch.allclose(streamed.head.weight, model.head.weight, atol=1e-4)


def test_a_resumed_training_has_the_bits_it_would_have_had(made, tmp_path, monkeypatch):
    stream = Stream(made[0], batch_size=64, **SMALL)
    whole, expected = trained(stream, epochs=3)
    monkeypatch.setattr("lib.train.CHECKPOINT_EVERY_S", 0.0)
    calls = []

    def dying(model, batch, generator):
        calls.append(1)
        if len(calls) == 40:
            raise RuntimeError("pulled the plug")
        return class_loss(model, batch, generator)

    dying.__qualname__ = class_loss.__qualname__
    with pytest.raises(RuntimeError, match="pulled the plug"):
        trained(stream, tmp_path, loss=dying)
    assert threads() == []
    resumed, history = trained(stream, tmp_path)
    assert history.resumed_at == 2 and history.loss == expected.loss
    assert torch.equal(resumed.head.weight, whole.head.weight)


def test_a_checkpoint_of_another_set_is_refused(made, tmp_path):
    trained(Stream(made[0], batch_size=64), tmp_path, epochs=1)
    other, _ = numbered(tmp_path / "other", classes=5)
    with pytest.raises(ValueError, match="belongs to another run .it differs in data"):
        trained(Stream(other, batch_size=64), tmp_path, epochs=1)


def test_a_training_that_asks_for_other_batches_is_refused(made):
    with pytest.raises(ValueError, match="give both the same batch_size"):
        trained(Stream(made[0], batch_size=64), batch_size=50)
    assert threads() == []


def test_ranks_of_one_training_agree_on_the_order(made):
    """lib.train seeds each process's generator with the epoch's number plus its rank."""
    seen = []
    for rank in (0, 1):
        stream = Stream(made[0], batch_size=1000, rank=rank, world=2)
        with stream.feed(lambda model, batch, generator: seen.extend(rows_of(batch[0]))) as fed:
            fed(nn.Identity(), (torch.zeros(500),), seeded(77 + rank))
    assert sorted(seen) == list(range(1000))


# ---- memory


def test_a_set_hundred_times_the_memory_stays_within_its_bound(tmp_path):
    """20 GB of holes under a limit of 200 MB more address space than the imports took."""
    shape = (20_000_000_000 // (3 * 224 * 224), 3, 224, 224)
    facts = {"labels": np.zeros(shape[0], np.int8), "classes": ["hole"], "source": "holes"}
    with create(tmp_path / "large", shape=shape, **facts):
        pass
    used = sum(path.stat().st_blocks * 512 for path in (tmp_path / "large").iterdir())
    assert used < 2_000_000  # the labels: the images are a hole
    code = """
        import resource, sys
        import psutil, torch
        from lib.data.packed import open_packed
        from lib.data.stream import Stream
        stream = Stream(open_packed(sys.argv[1]), batch_size=32, buffer_bytes=32 * 2**20)
        torch.zeros(2**20).sum()
        me = psutil.Process()
        before = me.memory_info()
        resource.setrlimit(resource.RLIMIT_AS, (before.vms + 200_000_000,) * 2)
        peak, total = 0, 0
        with stream.batches(torch.Generator().manual_seed(0)) as batches:
            for _, (x, y) in zip(range(60), batches):
                total += len(x)
                peak = max(peak, me.memory_info().rss - before.rss)
        print(total, peak, stream.memory_bytes)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "large")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    total, peak, bound = map(int, done.stdout.split())
    assert total * 3 * 224 * 224 > 3 * bound  # far more passed through than may stay
    assert peak < bound + 64_000_000 < 150_000_000  # 64 MB: an allocator keeps for each thread what was freed


# ---- what is on the disk


@pytest.fixture
def mine(tmp_path):
    return numbered(tmp_path / "mine", n=20)[0]


def test_rows_reads_what_was_written(made):
    packed, pixels = made
    assert torch.equal(packed.rows([5, 3]), torch.from_numpy(pixels[[5, 3]]).to(torch.float32) / 255.0)
    assert packed.mapped().dtype == np.uint8 and packed.mapped().shape == (1000, 1, SIDE, SIDE)
    assert np.array_equal(np.load(packed.path, mmap_mode="r")[7], pixels[7])  # any program can open it


def test_a_truncated_array_is_refused(mine):
    os.truncate(mine.path, mine.path.stat().st_size - 1)
    with pytest.raises(DataError, match=r"have 5,248 bytes in images\.npy, got 5,247; pack the images again"):
        open_packed(mine.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [19, 1, SIDE, SIDE]}, "as its header says"),
        ({"shape": None}, "be a packed set, got TypeError"),
        ({"format": "packed 0"}, "be of the format"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(mine, change, message):
    path = mine.folder / packing.HEADER
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        open_packed(mine.folder)


def test_other_broken_files_are_refused(mine):
    np.save(mine.folder / packing.LABELS, np.zeros(20, np.int64))
    with pytest.raises(DataError, match="have the 20 int64 labels that were packed"):
        open_packed(mine.folder)
    (mine.folder / packing.HEADER).write_text("{")
    with pytest.raises(DataError, match="be a packed set, got JSONDecodeError"):
        open_packed(mine.folder)
    with pytest.raises(DataError, match="be a packed set, got FileNotFoundError"):
        open_packed(mine.folder / "nowhere")


def test_what_is_made_appears_whole_or_not_at_all(tmp_path):
    facts = {"shape": (2, 1, 4, 4), "labels": np.zeros(2, int), "classes": ["a"], "source": "none"}
    with pytest.raises(RuntimeError, match="stop, .set.part, False"), create(tmp_path / "set", **facts) as path:
        raise RuntimeError(f"stop, {path.parent.name}, {(tmp_path / 'set').exists()}")
    assert list(tmp_path.iterdir()) == []
    with create(tmp_path / "set", **facts) as path, pytest.raises(ValueError, match="first must leave room in 2 rows"):
        write_rows(path, 1, np.zeros((2, 1, 4, 4), np.uint8))
    with pytest.raises(DataError, match="out must not exist"), create(tmp_path / "set", **facts):
        pass
    with (
        pytest.raises(ValueError, match="labels must be 2 codes in 0..0"),
        create(tmp_path / "new", **(facts | {"labels": np.array([0, 1])})),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


# ---- folders of images


def put(path, level, *, size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(level).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path, "PNG" if path.suffix == ".png" else "JPEG", quality=90)


def as_rgb(path):
    return np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)


def contents(packed):
    """Pixels with their label, in any order."""
    return {(row.tobytes(), int(label)) for row, label in zip(packed.mapped(), packed.labels, strict=True)}


def decoded_by_pillow(root, classes):
    files = [(root / "train" / name / "images" / f"{name}_{k}.JPEG", name) for name in classes for k in range(4)]
    return {(as_rgb(file).tobytes(), classes.index(name)) for file, name in files}


@pytest.fixture
def tiny(tmp_path):
    """Tiny ImageNet's layout."""
    root = tmp_path / "tiny-imagenet-200"
    for number, name in enumerate(["n02", "n01", "n03"]):
        for k in range(4):
            put(root / "train" / name / "images" / f"{name}_{k}.JPEG", 10 * number + k, mode="L" if k == 3 else "RGB")
        (root / "train" / name / f"{name}_boxes.txt").write_text("n\t0\t0\t1\t1\n")
    for k in range(3):
        put(root / "val" / "images" / f"val_{k}.JPEG", 100 + k)
    rows = [("val_2.JPEG", "n01"), ("val_0.JPEG", "n03"), ("val_1.JPEG", "n02")]
    text = "".join(f"{name}\t{wnid}\t0\t0\t7\t7\n" for name, wnid in rows)
    (root / "val" / "val_annotations.txt").write_text(text)
    return root


@pytest.fixture
def imagenet(tmp_path):
    """ImageNet's layout: other sizes, folders of classes in both splits."""
    root = tmp_path / "imagenet"
    for number, name in enumerate(["n09", "n05"]):
        put(root / "train" / name / f"{name}_1.JPEG", number, size=(20, 12))
        put(root / "train" / name / f"{name}_2.JPEG", 10 + number, size=(9, 30), mode="CMYK")
    put(root / "val" / "n09" / "v.JPEG", 50)
    put(root / "val" / "n05" / "w.png", 51, mode="P")
    return root


def test_tiny_imagenet_is_packed_as_pillow_decodes_it(tiny, tmp_path):
    packed = pack(tiny, tmp_path / "train", size=8, jobs=1)
    assert packed.classes == ("n01", "n02", "n03") and packed.shape == (12, 3, 8, 8)
    assert contents(packed) == decoded_by_pillow(tiny, packed.classes)
    assert sorted(packed.labels[:3]) == [0, 1, 2] == sorted(packed.labels[-3:])  # neighbours are not of one class
    assert packed.source == "tiny-imagenet-200 train, 12 images of 8 px"
    held_out = pack(tiny, tmp_path / "val", size=8, split="val", jobs=1)
    files = {f"val_{k}.JPEG": code for k, code in ((0, 2), (1, 1), (2, 0))}
    expected = {(as_rgb(tiny / "val" / "images" / name).tobytes(), code) for name, code in files.items()}
    assert held_out.classes == packed.classes and contents(held_out) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-imagenet-200", "train", "val"]


def test_imagenet_is_packed_with_the_shorter_side_and_the_middle(imagenet, tmp_path):
    packed = pack(imagenet, tmp_path / "train", size=6, jobs=1)
    assert packed.classes == ("n05", "n09") and sorted(packed.labels) == [0, 0, 1, 1]
    whole = Image.open(imagenet / "train" / "n05" / "n05_1.JPEG").convert("RGB")
    middle = whole.resize((10, 6), Image.Resampling.BICUBIC).crop((2, 0, 8, 6))
    assert (np.asarray(middle).transpose(2, 0, 1).tobytes(), 0) in contents(packed)
    held_out = pack(imagenet, tmp_path / "val", size=8, split="val", channels=1, jobs=1)
    assert sorted(held_out.labels) == [0, 1] and held_out.shape == (2, 1, 8, 8)


def test_processes_write_what_one_process_writes(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.data.image_folder.CHUNK", 5)
    one, two = (pack(tiny, tmp_path / name, size=8, jobs=jobs) for name, jobs in (("one", 1), ("two", 2)))
    assert np.array_equal(one.mapped(), two.mapped()) and one.sha256 == two.sha256
    assert multiprocessing.active_children() == []


def test_the_sum_follows_the_files(tiny, tmp_path):
    before = listing(tiny).sha256()
    assert listing(tiny).sha256() == before
    put(tiny / "train" / "n01" / "images" / "n01_0.JPEG", 999, size=(9, 9))
    assert listing(tiny).sha256() != before


def test_an_interrupted_pack_leaves_nothing_half_and_goes_on(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.data.image_folder.CHUNK", 4)
    bad = tiny / listing(tiny).files[6]  # in the second of three chunks
    kept = 1
    content = bad.read_bytes()
    bad.write_bytes(content[: len(content) // 2])
    out = tmp_path / "out"
    with pytest.raises(DataError, match=rf"{bad.name} must be a whole image, got OSError"):
        pack(tiny, out, size=8, jobs=1)
    assert not out.exists() and not (tmp_path / ".out.lock").exists()
    with pytest.raises(DataError, match="must be a packed set"):
        open_packed(out)
    bad.write_bytes(content)
    decoded = []
    decode = pack.__globals__["decode"]

    def noting(path, **sizes):
        decoded.append(path)
        return decode(path, **sizes)

    monkeypatch.setitem(pack.__globals__, "decode", noting)
    packed = pack(tiny, out, size=8, jobs=1)
    assert len(decoded) == 12 - 4 * kept  # whole chunks that were there are not decoded again
    assert contents(packed) == decoded_by_pillow(tiny, packed.classes)
    assert sorted(path.name for path in out.iterdir()) == ["header.json", "images.npy", "labels.npy"]
    assert not packing.part_of(out).exists()


def test_another_size_does_not_go_on_with_what_is_half(tiny, tmp_path, monkeypatch):
    def stop(path, **sizes):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(pack.__globals__, "decode", stop)
        with pytest.raises(KeyboardInterrupt):
            pack(tiny, tmp_path / "out", size=6, jobs=1)
    assert packing.part_of(tmp_path / "out").exists() and not (tmp_path / "out").exists()
    assert pack(tiny, tmp_path / "out", size=8, jobs=1).shape == (12, 3, 8, 8)
    with pytest.raises(DataError, match="out must not exist"):
        pack(tiny, tmp_path / "out", size=8, jobs=1)


def test_a_second_packer_is_kept_out(tiny, tmp_path):
    import fcntl

    with (tmp_path / ".out.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="out must be packed by one process"):
            pack(tiny, tmp_path / "out", size=8, jobs=1)


def test_folders_of_another_layout_are_refused(tiny, imagenet, tmp_path):
    with pytest.raises(DataError, match="folder must hold train/ with the images"):
        listing(tiny / "train")
    with pytest.raises(ValueError, match="split must be 'train' or 'val'"):
        listing(tiny, split="test")
    put(imagenet / "val" / "n77" / "x.JPEG", 1)
    with pytest.raises(DataError, match="must be those of train/, got 'n77'"):
        listing(imagenet, split="val")
    (imagenet / "train" / "n01").mkdir()
    with pytest.raises(DataError, match="each class must have images, got none in .*n01"):
        listing(imagenet)
    (tiny / "val" / "images" / "val_1.JPEG").unlink()
    with pytest.raises(DataError, match=r"must hold every image of val_annotations.txt, got no val_1\.JPEG"):
        listing(tiny, split="val")
    flat = tmp_path / "flat"
    put(flat / "val" / "a.JPEG", 1)
    with pytest.raises(DataError, match="must hold one folder per class, got no folder"):
        listing(flat, split="val")


def test_the_command_packs(tiny, tmp_path):
    command = [sys.executable, "-m", "lib.data.image_folder", str(tiny), str(tmp_path / "out"), "8", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "12 images of 8 px, 3 classes" in done.stdout, done.stderr
    with pytest.raises(SystemExit, match="error: out must not exist"):
        main(tiny, tmp_path / "out", 8)
