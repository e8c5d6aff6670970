"""How to cite: the repository as ``CITATION.cff`` describes it, and each paper by its own reference.

The file follows the Citation File Format 1.2.0 (https://citation-file-format.github.io). BibTeX is written from its
title, authors, version and date; nothing is looked up, so that the pages are the same without a network.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "CITATION.cff"
HOSTS = {"arxiv": "arxiv.org/abs", "doi": "doi.org"}
KEY_DIGITS = 12  # of a run's key: enough to tell runs apart, short enough to print


@dataclass(frozen=True)
class Citation:
    """How the repository wants to be cited.

    Attributes
    ----------
    title, version, message, date : str
        As in the file; empty where it does not say.
    authors : tuple of str
        ``Given Family`` of a person, the name of a group.
    groups : frozenset of str
        Which of the authors are groups: BibTeX must not split their names.
    """

    title: str
    version: str
    message: str
    date: str
    authors: tuple[str, ...]
    groups: frozenset[str]

    @property
    def text(self) -> str:
        """The reference as one sentence."""
        when = f" ({self.date[:4]})" if self.date else ""
        return f"{', '.join(self.authors)}{when}. {self.title}. Version {self.version}."

    def bibtex(self, note: str = "") -> str:
        """A BibTeX entry; ``note`` names the report that is meant.

        Examples
        --------
        >>> print(Citation("A title", "1.0", "", "", ("A group",), frozenset({"A group"})).bibtex("Report a/01"))
        @software{blindspot,
          author  = {{A group}},
          title   = {A title},
          version = {1.0},
          note    = {Report a/01}
        }
        """
        names = [f"{{{name}}}" if name in self.groups else name for name in self.authors]
        fields = {"author": " and ".join(names), "title": self.title, "year": self.date[:4], "version": self.version}
        filled = {name: value for name, value in {**fields, "note": note}.items() if value}
        lines = [f"  {name:<7} = {{{value}}}" for name, value in filled.items()]
        return "@software{blindspot,\n" + ",\n".join(lines) + "\n}"


def read(root: Path) -> Citation | None:
    """The project's ``CITATION.cff``; None where there is none.

    Raises
    ------
    ValueError
        When the file lacks its title, version or authors.
    """
    path = root / FILE
    if not path.exists():
        return None
    yaml = importlib.import_module("yaml")  # it has no types of its own
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    missing = [name for name in ("title", "version", "authors") if not found.get(name)]
    if missing:
        raise ValueError(f"{FILE} must state title, version and authors, it lacks {', '.join(missing)}; add them")
    groups = frozenset(author["name"] for author in found["authors"] if "name" in author)
    authors = tuple(author.get("name") or _person(author) for author in found["authors"])
    date = str(found.get("date-released", ""))
    return Citation(found["title"], str(found["version"]), found.get("message", ""), date, authors, groups)


def _person(author: dict[str, str]) -> str:
    return " ".join(author[name] for name in ("given-names", "name-particle", "family-names") if author.get(name))


def slug(paper: str) -> str:
    """The name of a paper's page: it depends on the identifier alone, so that links stay.

    Examples
    --------
    >>> slug("arXiv:2111.06377"), slug("doi:10.1073/pnas.102102699")
    ('arxiv-2111-06377', 'doi-10-1073-pnas-102102699')
    """
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"^https?://", "", paper.lower())).strip("-")


def address(paper: str) -> str:
    """Where the paper is to be found; empty for an identifier of no known kind.

    Examples
    --------
    >>> address("arXiv:2111.06377"), address("doi:10.1073/pnas.1"), address("a thesis")
    ('https://arxiv.org/abs/2111.06377', 'https://doi.org/10.1073/pnas.1', '')
    """
    kind, _, rest = paper.partition(":")
    if kind in ("http", "https"):
        return paper
    host = HOSTS.get(kind.lower())
    return f"https://{host}/{rest.strip()}" if host else ""


def note(experiment: str, profile: str, receipt: dict[str, Any]) -> str:
    """The words that pin a citation to one run: its report, its key and its revision, where the receipt has them."""
    key, sha = str(receipt.get("key", "")), str((receipt.get("git") or {}).get("sha") or "")
    said = [f"Report {experiment}, profile {profile}", key and f"key {key[:KEY_DIGITS]}"]
    return ", ".join(part for part in [*said, sha and f"revision {sha[:KEY_DIGITS]}"] if part)
