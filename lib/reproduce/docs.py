"""The pages of ``docs/`` as part of the site, their examples filled in from the published reports.

A page is Markdown. ``{{ claim("masking/07", "cox-above-none") }}`` in a paragraph of its own becomes that claim as its
report has it, ``{{ too_few(…) }}`` what the rule says of it when there are too few seeds, and ``{{ figure() }}`` a
drawing of intervals that the rule has judged. So no result is typed into a page, and none can go stale.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib import claims, experiments, stats
from lib.reproduce import api
from lib.reproduce.ledger import Report

FOLDER = "docs"
TOKEN = "EXHIBIT{}OF{}"  # what stands for an exhibit while Markdown is turned into HTML
SAMPLES = (  # differences of five made-up seeds, in smallest effects of interest
    ("beyond the band, on the claimed side", (2.3, 2.9, 1.8, 2.6, 2.1)),
    ("beyond the band, on the other side", (-1.9, -2.6, -1.7, -2.2, -2.8)),
    ("inside the band: too small to matter", (0.2, -0.3, 0.1, 0.4, -0.1)),
    ("across an edge of the band", (2.4, -0.6, 1.1, 1.9, 0.1)),
)


def build(root: Path, site: Path, environment: Any, *, reports: Sequence[Report]) -> list[Path]:
    """Write the pages of ``docs/`` to ``<site>/docs`` and the API reference to ``<site>/api``.

    Parameters
    ----------
    root : Path
        The project's folder. Without ``docs/*.md`` nothing is written.
    site : Path
        Folder of the site, a neighbour of ``reports/site`` or itself: links to files are relative to it.
    environment : jinja2.Environment
        That of the site, which finds ``base.html``.
    reports : sequence of Report
        The published reports, from which the examples are taken.

    Returns
    -------
    list of Path
        The pages of ``docs/``, in the order of their names.

    Raises
    ------
    DeclarationError
        Where a page names an experiment or a claim that nobody declared.
    """
    sources = sorted((root / FOLDER).glob("*.md"))
    if not sources:
        return []
    (site / FOLDER).mkdir(parents=True, exist_ok=True)
    style, _, _ = environment.loader.get_source(environment, "docs.css")
    (site / "docs.css").write_text(style, encoding="utf-8")
    written = []
    for source in sources:
        page = site / FOLDER / f"{source.stem}.html"
        exhibits = Exhibits(root, environment, reports, source.name)
        text = environment.from_string(source.read_text(encoding="utf-8")).render(
            claim=exhibits.claim, too_few=exhibits.too_few, figure=exhibits.figure
        )
        title, html = rendered(text)
        for token, exhibit in exhibits.shown.items():
            html = html.replace(f"<p>{token}</p>", exhibit)
        html = _links(html, root / FOLDER, page.parent)
        page.write_text(environment.get_template("doc.html").render(title=title, html=html, up="../"), encoding="utf-8")
        written.append(page)
    api.write(root, site, environment)
    return written


def refresh(root: Path) -> str:
    """Read the library again for the API reference, where it has changed and the project has ``docs/``.

    Returns
    -------
    str
        One sentence: what was done, or what is missing.
    """
    return api.refresh(root) if (root / FOLDER).is_dir() else f"no API reference: {root.name} has no {FOLDER}/"


def rendered(text: str) -> tuple[str, str]:
    """The title of a Markdown page and the rest of it as HTML.

    Examples
    --------
    >>> rendered("# A page\\n\\nSome *words*.")
    ('A page', '<p>Some <em>words</em>.</p>')
    """
    from nbconvert.filters import markdown2html_mistune

    first, _, rest = text.lstrip().partition("\n")
    html = str(markdown2html_mistune(rest)).replace("¶", "").replace("<pre>", '<pre tabindex="0">')
    return first.removeprefix("# ").strip(), html.strip()


def _links(html: str, source: Path, page: Path) -> str:
    """Links between the pages lead to their HTML, links into the project to its files."""

    def moved(match: re.Match[str]) -> str:
        path, mark, anchor = match[1].partition("#")
        if (source / path).suffix == ".md" and (source / path).resolve().parent == source.resolve():
            return f'href="{Path(path).with_suffix(".html").name}{mark}{anchor}"'
        return f'href="{Path(os.path.relpath(source / path, page)).as_posix()}{mark}{anchor}"'

    return re.sub(r'href="(?!https?:|mailto:|#)([^"]+)"', moved, html)


@dataclass
class Exhibits:
    """What a page may show besides its words.

    Attributes
    ----------
    root, environment, reports
        As in :func:`build`.
    page : str
        Name of the page, for errors.
    shown : dict of str
        HTML by the token that stands for it.
    """

    root: Path
    environment: Any
    reports: Sequence[Report]
    page: str
    shown: dict[str, str] = field(default_factory=dict)

    def claim(self, experiment: str, name: str, *, profile: str = "cpu") -> str:
        """A claim with its estimate, interval and verdict, as the report of this profile has it."""
        declared = self._declared(experiment, name)
        for report in self._published(experiment, profile):
            for record in report.claims:
                if record["id"] == name:
                    return self._claim(report.experiment, record, report, "")
        return self._claim(declared, None, None, f"make reproduce ONLY={experiment} PROFILE={profile}")

    def too_few(self, experiment: str, name: str, *, seeds: int) -> str:
        """What the rule says of a claim when so few seeds have been run; no effect is made up for it."""
        declared = self._declared(experiment, name)
        claim = declared.claims[name]
        if claim.rule != "paired":
            raise experiments.DeclarationError(
                f"{self.page}: too_few shows a claim whose rule is 'paired', got {claim.rule!r} for {experiment} {name}"
            )
        estimate = stats.paired([0.0] * seeds)
        record = claims.judge(claim, estimate).as_record(claim, estimate, declared.paper) | {"estimate": None}
        return self._claim(declared, record, None, "")

    def figure(self) -> str:
        """Four made-up intervals beside the band of effects too small to matter, and what the rule says of each."""
        claim = claims.Claim("made-up", "It rises.", "nowhere", "rise", "bands", "> 0", 1.0, "paired")
        rows = []
        for words, sample in SAMPLES:
            estimate = stats.paired(sample)
            rows.append({"words": words, "at": estimate, "verdict": claims.judge(claim, estimate).verdict})
        return self._keep(self._macros().intervals(rows))

    def _declared(self, experiment: str, name: str) -> experiments.Experiment:
        found = experiments.load(self.root)
        if experiment not in found:
            hint = experiments.nearest(experiment, found)
            raise experiments.DeclarationError(f"{self.page}: unknown experiment {experiment!r}{hint}")
        if name not in found[experiment].claims:
            hint = experiments.nearest(name, found[experiment].claims)
            raise experiments.DeclarationError(f"{self.page}: {experiment} has no claim {name!r}{hint}")
        return found[experiment]

    def _published(self, experiment: str, profile: str) -> list[Report]:
        return [report for report in self.reports if (report.experiment.id, report.profile) == (experiment, profile)]

    def _claim(self, spec: experiments.Experiment, record: Any, report: Report | None, command: str) -> str:
        return self._keep(self._macros().claim(spec, record, report, command))

    def _macros(self) -> Any:
        return self.environment.get_template("exhibits.html").make_module({"up": "../"})

    def _keep(self, html: Any) -> str:
        token = TOKEN.format(len(self.shown), self.page.split(".")[0].upper().replace("-", ""))
        self.shown[token] = str(html)
        return token
