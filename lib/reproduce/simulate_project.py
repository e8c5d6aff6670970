"""The throwaway project of a rehearsal: made-up notebooks on disk, as many as wanted, that nobody runs."""

from __future__ import annotations

import json
from pathlib import Path

FAMILY = 100  # notebooks in one folder: the declarations look each of them up by its number
SEEDS = 5
PARAMETERS = (
    "# scale\nn_images: int = {images}  # images\nepochs: int = 2  # passes\n"
    "# method\nseed: int = {seed}  # of everything\nratio: float = 0.75  # hidden, in [0, 1]\n"
)
CELLS = (
    "from lib import stats, train\nfrom lib.masks import tokens",
    "masks = tokens.random({images}, 64, ratio)\nscore = train.fit(masks, epochs=epochs, seed=seed)",
    "from lib import claims\nrun.claim('it-does', stats.paired(score, score[::-1]))\nrun.finish()",
)
BLOCK = """
["{number}"]
title = "Study {study}, seed {seed}: does it?"
paper = "arXiv:0000.00000"
data = ["digits"]
minutes = {{ cpu = 5 }}
memory_gb = {{ cpu = 1 }}
["{number}".profiles.cpu]
n_images = {large}
epochs = 20
["{number}".claims.it-does]
says = "It does."
where = "Table 1"
quantity = "difference"
unit = "points"
expected = "> 0"
smallest_effect = 1.0
rule = "paired"
"""


def write_project(folder: Path, n: int, *, seeds: int = SEEDS) -> None:
    """Write a project of ``n`` notebooks: studies that differ in their code, each with ``seeds`` seeds.

    Parameters
    ----------
    folder : Path
        Where ``notebooks/`` comes to lie; need not exist.
    """
    for first in range(0, n, FAMILY):
        family = folder / "notebooks" / f"family{first // FAMILY:05d}"
        family.mkdir(parents=True)
        blocks = []
        for task in range(first, min(first + FAMILY, n)):
            study, seed = divmod(task, seeds)
            values = {"study": study, "seed": seed, "images": 16 + study, "large": 1000 + study}
            number = f"{task - first:02d}"
            blocks.append(BLOCK.format(number=number, **values))
            sources = [(PARAMETERS.format(**values), ["parameters"]), *((text.format(**values), []) for text in CELLS)]
            cells = [
                {"cell_type": "code", "id": f"cell-{index}", "metadata": {"tags": tags}, "source": source}
                for index, (source, tags) in enumerate(sources)
            ]
            notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            (family / f"{number}_study.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
        (family / "experiments.toml").write_text("".join(blocks), encoding="utf-8")
