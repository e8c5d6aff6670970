"""The reports by paper: several notebooks may ask about one paper, and its reader wants them on one page."""

from __future__ import annotations

from dataclasses import dataclass

from lib.reproduce import citation, ledger
from lib.reproduce.ledger import Report


@dataclass(frozen=True)
class Paper:
    """The reports of one paper, in the order of their families and numbers.

    Attributes
    ----------
    id : str
        Its identifier, as the declarations write it.
    reports : list of Report
    """

    id: str
    reports: list[Report]

    @property
    def page(self) -> str:
        """The paper's page, relative to the site."""
        return paper_page(self.id)

    @property
    def references(self) -> list[str]:
        """How the declarations cite it, each wording once; the identifier where none does."""
        found = dict.fromkeys(report.experiment.cite for report in self.reports if report.experiment.cite)
        return list(found) or [self.id]

    @property
    def tally(self) -> dict[str, int]:
        """How many of its claims have each verdict."""
        return ledger.count(self.reports)


def paper_page(paper: str) -> str:
    """The page of a paper, relative to the site."""
    return f"papers/{citation.slug(paper)}.html"


def papers(found: list[Report]) -> list[Paper]:
    """The reports by paper, in the alphabetical order of their first reference.

    Raises
    ------
    ValueError
        When two identifiers would share a page.
    """
    grouped: dict[str, list[Report]] = {}
    for report in (report for family in ledger.families(found) for report in family.reports):
        grouped.setdefault(report.experiment.paper, []).append(report)
    pages: dict[str, str] = {}
    for name in grouped:
        other = pages.setdefault(paper_page(name), name)
        if other != name:
            raise ValueError(
                f"papers {other!r} and {name!r} share the page {paper_page(name)}; write one of them alike"
            )
    return sorted((Paper(name, held) for name, held in grouped.items()), key=lambda paper: paper.references[0].lower())
