"""A new paper's notebook and its block, which run as they are.

The skeleton measures something real but small, on scikit-learn's digits, so that every cell has a working example to
replace. It declares one claim; a run of it is *untested* in smoke like any other.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lib import experiments

BLOCK = """
["{number}"]
title = {title}
paper = {paper}
cite = {paper}
data = ["digits"]                                # in order of preference; the last is bundled
minutes = {{ smoke = 0.2, cpu = 1, gpu = 1, paper = 60 }}
memory_gb = {{ smoke = 1, cpu = 1, gpu = 2, paper = 8 }}
["{number}".profiles.cpu]
n_seeds = 10
["{number}".claims.hiding-costs]
says = "Hiding half of the pixels lowers accuracy."
where = "say where in the paper"
quantity = "accuracy with all pixels minus accuracy with half of them"
unit = "percentage points"
expected = "> 0"
smallest_effect = 1.0
rule = "paired"
"""
CARD = """# {title}

**Paper** {paper}: name the section, table or figure.

**Claims** Say each claim in your own words, as declared in `experiments.toml`.

**What differs here** Name every way in which this recipe differs from the paper's, and why.

**What would make us say no** State the outcome that would contradict each claim.

**Cost** Seconds in smoke, a minute on a laptop in cpu.
"""
IMPORTS = """import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression

import lib.run
from lib import data, masks, plots, stats"""
PARAMETERS = """# scale
n_seeds: int = 2  # independent splits and masks, seeds 0..n_seeds-1
n_images: int = 400  # images, half of them for testing
# method
ratio: float = 0.5  # share of the pixels hidden"""
# ruff: noqa: E501
ACTS: tuple[tuple[str, str], ...] = (
    ("**What there is to see.** The shape is images, channels, rows, columns.",
     "images = data.images(run.dataset, n=n_images)\nimages.x.shape"),
    ("**What is hidden.** One mask for each image, `True` where a pixel is hidden, exactly the stated share in every row.",
     "side = images.x.shape[-1]\n"
     "hidden = masks.random(n_images, side, ratio=ratio, generator=run.generator(0))\nhidden.float().mean(1)[:5]"),
    ("Look at a few of them before measuring anything: the hidden pixels are set to zero.",
     "partly = images.x.flatten(1).masked_fill(hidden, 0.0)\nplots.images(partly[:8].reshape(-1, side, side));"),
    ("**What looks.** One linear classifier for each seed, trained and tested on disjoint halves.",
     "def accuracy(x: torch.Tensor, order: np.ndarray) -> float:\n"
     "    train, test = order[: n_images // 2], order[n_images // 2 :]\n"
     "    model = LogisticRegression(max_iter=200).fit(x[train], images.y[train])\n"
     "    return 100 * model.score(x[test], images.y[test])"),
    ("Both arms see the same split of the same images, so their difference is paired.",
     "rows = []\n"
     "for seed in run.progress(range(n_seeds), \"seeds\"):\n"
     "    order = run.rng(seed).permutation(n_images)\n"
     "    rows.append({\"seed\": seed, \"arm\": \"all pixels\", \"accuracy_pct\": accuracy(images.x.flatten(1), order)})\n"
     "    rows.append({\"seed\": seed, \"arm\": \"partly hidden\", \"accuracy_pct\": accuracy(partly, order)})\n"
     "results = pd.DataFrame(rows)\nresults.head()"),
    ("**The figure.** A point per arm with its interval over seeds; the table behind it is kept beside it.",
     "fig, ax = plots.figure(height=1.8)\n"
     "plots.dots(results, x=\"accuracy_pct\", y=\"arm\", ax=ax)\n"
     "ax.set_xlabel(\"accuracy (%), mean and 95 % interval over seeds\")\n"
     "run.figure(\"accuracy-by-arm\", fig, data=results, alt=\"accuracy with all pixels beside accuracy with part hidden\","
     "\n           caption=\"Accuracy of a linear classifier with all pixels and with part of them hidden.\")"),
    ("The effect, seed by seed, before anything is decided.",
     "wide = results.pivot(index=\"seed\", columns=\"arm\", values=\"accuracy_pct\")\n"
     "cost = wide[\"all pixels\"] - wide[\"partly hidden\"]\ncost"),
    ("A spread over seeds this wide is what the interval has to carry.", "cost.describe()"),
    ("**The verdict.** The declared rule decides; in smoke it stays untested.",
     "run.claim(\"hiding-costs\", stats.paired(cost))"),
    ("All claims together, corrected for their number.", "run.finish()"),
)  # fmt: skip
LIMITS = """**Limits.** Say in three to six lines what this notebook cannot show: the scale, the data, the recipe.

Which question should the next notebook ask?"""


def create(root: Path, *, family: str, title: str, paper: str) -> Path:
    """Write a notebook that runs as it is, and append its block to the family's ``experiments.toml``.

    Parameters
    ----------
    root : Path
        The project's folder.
    family : str
        A folder of ``notebooks``.
    title : str
        A question.
    paper : str
        ``arXiv:…`` or a DOI.

    Returns
    -------
    Path
        The notebook.

    Raises
    ------
    DeclarationError
        For an unknown family, a title that is no question, or a paper that is not named.
    """
    families = sorted(folder.name for folder in (root / "notebooks").iterdir() if folder.is_dir())
    if family not in families:
        raise experiments.DeclarationError(f"unknown FAMILY {family!r}{experiments.nearest(family, families)}")
    if not title.strip().endswith("?"):
        raise experiments.DeclarationError(f"TITLE must be a question that ends in '?', got {title!r}")
    if not paper.strip():
        raise experiments.DeclarationError("PAPER must name the paper, got nothing; e.g. PAPER=arXiv:2111.06377")
    folder = root / "notebooks" / family
    taken = [int(path.name[:2]) for path in folder.glob("[0-9][0-9]_*.ipynb")]
    number = f"{max(taken, default=0) + 1:02d}"
    words = "_".join(re.findall(r"[a-z0-9]+", title.lower()))[:60]
    notebook = folder / f"{number}_{words}.ipynb"
    _write(notebook, json.dumps(_notebook(f"{family}/{number}", title, paper), indent=1, ensure_ascii=False) + "\n")
    declared = folder / "experiments.toml"
    before = declared.read_text(encoding="utf-8") if declared.exists() else ""
    block = BLOCK.format(number=number, title=_quoted(title), paper=_quoted(paper))
    _write(declared, before.rstrip("\n") + ("\n" if before else "") + block)
    return notebook


def _notebook(name: str, title: str, paper: str) -> dict[str, Any]:
    opened = f'run = lib.run.open("{name}", globals())'
    cells = [
        _cell("markdown", CARD.format(title=title, paper=paper)),
        _cell("code", IMPORTS),
        _cell("markdown", "The literals are the smoke profile; larger profiles override names under `# scale` only."),
        _cell("code", PARAMETERS, tags=["parameters"]),
        _cell("markdown", "Opening the run checks the parameters, seeds everything and chooses data and device."),
        _cell("code", opened),
    ]
    for said, done in ACTS:
        cells += [_cell("markdown", said), _cell("code", done)]
    cells.append(_cell("markdown", LIMITS))
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index:02d}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, source: str, *, tags: list[str] | None = None) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": "", "metadata": {"tags": tags} if tags else {}, "source": source}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def _quoted(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
