"""A project with one experiment, written into a folder of a test."""

from __future__ import annotations

import json
from pathlib import Path

CELL = """# scale
n_seeds: int = 2  # independent trainings
share: float = 0.5  # of the images, in [0, 1]
# method
kind: str = "random"  # sampling
fast: bool = True  # use the short form
"""
BLOCK = """
["01"]
title = "Does it?"
paper = "arXiv:0000.00000"
data = ["digits"]
minutes = { smoke = 0.1, cpu = 1 }
memory_gb = { smoke = 1 }
["01".profiles.cpu]
n_seeds = 5
["01".claims.it-does]
says = "It does."
where = "Table 1"
quantity = "difference"
unit = "points"
expected = "> 0"
smallest_effect = 1.0
rule = "paired"
"""


def project(folder: Path, block: str = BLOCK, cell: str = CELL, tags: tuple[str, ...] = ("parameters",)) -> Path:
    family = folder / "notebooks" / "demo"
    family.mkdir(parents=True)
    (family / "experiments.toml").write_text(block)
    cells = [{"cell_type": "code", "id": "p", "metadata": {"tags": list(tags)}, "source": cell, "outputs": []}]
    (family / "01_it_does.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return folder
