"""The pages of docs/: one is followed word by word, one takes its examples from reports; and the API reference."""

from __future__ import annotations

import ast
import html
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib import experiments
from lib.experiments import DeclarationError
from lib.reproduce import api, docs, ledger, pages

ROOT = Path(__file__).resolve().parents[2]
FACADES = ("data", "explain", "masks", "plots", "select")
PEERS = "pip install --no-deps -r requirements-peers.txt"
SETTINGS = (
    "BLINDSPOT_",
    "PYTEST_",
    "GIT_",
    "MAKE",
    "MFLAGS",
    "DATA_MIRROR",
    "PYTHONPATH",
)  # of whoever calls the tests
PRINTS, FILES, SILENT = "It prints:", "These files are there now:", "The last command prints nothing"
EDITS = {
    "new": r"New file `(?P<path>[^`]+)`:",
    "below": r"In `(?P<path>[^`]+)`, below the line `(?P<mark>[^`]+)`:",
    "rest": r"In `(?P<path>[^`]+)`, replace everything from the line `(?P<mark>[^`]+)` on by:",
    "cell": r"In the notebook, replace the cell that starts with `(?P<mark>[^`]+)` by:",
}


def fences(text: str) -> Iterator[tuple[str, str, str]]:
    """``(paragraph before, language, content)`` of every fenced block, and of every paragraph without one."""
    said = ""
    for part in re.split(r"^(```\w*\n.*?\n```)$", text, flags=re.MULTILINE | re.DOTALL):
        if part.startswith("```"):
            language, _, content = part[3:-4].partition("\n")
            yield said, language, content + "\n"
            said = ""
        else:
            paragraphs = [" ".join(paragraph.split()) for paragraph in part.split("\n\n") if paragraph.strip()]
            yield from ((paragraph, "", "") for paragraph in paragraphs[:-1])
            said = paragraphs[-1] if paragraphs else ""
    yield said, "", ""


class Reader:
    """Somebody who does what a page says, in a clone, and compares what happens with what the page says happens."""

    def __init__(self, clone: Path) -> None:
        self.clone, self.printed = clone, ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        names = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        who = dict.fromkeys(names, "nobody@example.invalid")
        path = os.pathsep.join((str(Path(sys.executable).parent), kept["PATH"]))
        own = {
            "ENV": "active",
            "PATH": path,
            "PYTHONPATH": str(clone),
            "BLINDSPOT_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        self.environment = {**kept, **who, **own}

    def read(self, page: str) -> None:
        """Follow a page from its first word to its last."""
        for part in fences(page):
            self.follow(*part)

    def follow(self, said: str, language: str, content: str) -> None:
        """Do or check one thing; a block of an unknown kind is an error."""
        edit = next((match for pattern in EDITS.values() if (match := re.fullmatch(pattern, said))), None)
        if language == "console":
            for line in content.splitlines():
                assert line.startswith("$ "), f"not a command: {line}"
                self.run(line[2:])
        elif language == "text" and said.endswith(PRINTS):
            self.compare(content.splitlines())
        elif language == "text" and said == FILES:
            assert [line for line in content.splitlines() if not (self.clone / line).is_file()] == []
        elif language in ("python", "toml", "markdown", "text") and edit:
            kind = next(name for name, pattern in EDITS.items() if re.fullmatch(pattern, said))
            getattr(self, kind)(content, **edit.groupdict())
        else:
            assert not language, f"the page does not say what to do with this {language} block: {said!r}"
            assert not said.startswith(SILENT) or self.printed == "", self.printed

    def run(self, command: str) -> None:
        done = subprocess.run(
            command, shell=True, cwd=self.clone, env=self.environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.printed = done.stdout
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"

    def compare(self, expected: list[str]) -> None:
        lines = iter(self.printed.splitlines())
        for line in expected:
            pattern = ".*".join(map(re.escape, line.split("…")))
            assert any(re.fullmatch(pattern, printed) for printed in lines), f"{line!r} is not in\n{self.printed}"

    def new(self, content: str, *, path: str) -> None:
        assert not (self.clone / path).exists()
        (self.clone / path).write_text(content, encoding="utf-8")

    def below(self, content: str, *, path: str, mark: str) -> None:
        lines = (self.clone / path).read_text(encoding="utf-8").splitlines(keepends=True)
        [at] = [number for number, line in enumerate(lines) if line.strip() == mark]
        lines.insert(at + 1, content)
        (self.clone / path).write_text("".join(lines), encoding="utf-8")

    def rest(self, content: str, *, path: str, mark: str) -> None:
        before, found, _ = (self.clone / path).read_text(encoding="utf-8").partition(f"{mark}\n")
        assert found, f"{path} has no line {mark}"
        (self.clone / path).write_text(before + content, encoding="utf-8")

    def cell(self, content: str, *, mark: str) -> None:
        [path] = self.clone.glob("notebooks/*/*_do_hidden_rows_cost_more_than_hidden_pixels.ipynb")
        notebook = json.loads(path.read_text(encoding="utf-8"))
        [cell] = [cell for cell in notebook["cells"] if "".join(cell["source"]).startswith(mark)]
        cell["source"] = content.rstrip("\n")
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def scratch(folder: Path) -> Path:
    """A clone of this checkout as it stands, edits included, before anything was published: sites are then small."""
    clone = folder / "clone"

    def git(*words: str, where: Path) -> str:
        who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid"]
        return subprocess.run(["git", *who, *words], cwd=where, check=True, capture_output=True, text=True).stdout

    git("clone", "-q", str(ROOT), str(clone), where=folder)
    for name in filter(None, git("ls-files", "-mo", "--exclude-standard", "-z", where=ROOT).split("\0")):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, clone / name)
        else:
            (clone / name).unlink(missing_ok=True)
    for family in experiments.FAMILIES:
        shutil.rmtree(clone / "reports" / family)
    git("add", "-A", where=clone)
    git("commit", "-qm", "as it stands, nothing published", where=clone)
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", clone / ".mypy_cache")
    return clone


@pytest.mark.slow
@pytest.mark.notebook
@pytest.mark.timeout(1800)
def test_add_a_paper_word_by_word(tmp_path):
    clone = scratch(tmp_path)
    taken = [path.name[:2] for path in clone.glob("notebooks/masking/[0-9][0-9]_*.ipynb")]
    number = f"{int(max(taken)) + 1:02d}"
    text = (clone / "docs" / "add-a-paper.md").read_text(encoding="utf-8")
    text = re.sub(r'(?<=masking/)14|(?<=")14(?=")', number, text)  # "put yours"
    Reader(clone).read(text)
    [claim] = json.loads((clone / "reports" / "masking" / number / "cpu" / "claims.json").read_text(encoding="utf-8"))
    assert claim["id"] == "rows-cost-more"
    assert claim["verdict"] in ("supported", "contradicted", "inconclusive")
    assert claim["statement"] in (clone / "reports" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block",
    [
        "Some words.\n\n```python\nx = 1\n```\n",
        "It prints:\n\n```text\nwhat nobody printed\n```\n",
        "```console\nls\n```\n",
        "```console\n$ exit 3\n```\n",
        "These files are there now:\n\n```text\nnowhere.txt\n```\n",
        "```console\n$ echo words\n```\n\nThe last command prints nothing: so it says.\n",
    ],
)
def test_what_a_reader_cannot_follow_is_an_error(tmp_path, block):
    with pytest.raises(AssertionError):
        Reader(tmp_path).read(block)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages of docs/ as the site has them, without an API reference; all links lead to files of the checkout."""
    folder = tmp_path_factory.mktemp("reports") / "site"
    root = folder.parents[1]
    for name in ("docs", "notebooks", "lib", "CONTRIBUTING.md"):
        (root / name).symlink_to(ROOT / name)
    docs.build(root, folder, pages._environment(), reports=ledger.reports(ROOT))
    return folder


def test_the_examples_have_the_verdict_of_their_heading(site):
    text = (site / "docs" / "how-to-read-a-verdict.html").read_text(encoding="utf-8")
    assert "{{" not in text and "{#" not in text and "EXHIBIT" not in text
    assert "is not in this folder" not in text, "every example has a committed report"
    found = {}
    for section in re.split(r"<h2", text)[1:]:
        title = re.search(r">([A-Z][a-z ]+)<", section)
        found[title[1] if title else ""] = re.findall(r'<p class="says"><span class="verdict (\w+)">', section)
    shown = {title: verdicts for title, verdicts in found.items() if verdicts}
    assert shown == {
        "Supported": ["supported"],
        "Contradicted": ["contradicted", "contradicted"],
        "Inconclusive": ["inconclusive", "inconclusive"],
        "Untested": ["untested"],
    }
    assert "survive Holm" in text and "two one-sided tests" in text and "2 seeds, fewer than 5" in text
    drawn = re.findall(r'<tspan class="word (\w+)">', text)
    assert drawn == ["supported", "contradicted", "contradicted", "inconclusive"]


def test_no_result_is_typed_into_the_page():
    text = (ROOT / "docs" / "how-to-read-a-verdict.md").read_text(encoding="utf-8")
    prose = re.sub(r"\{\{.*?\}\}|\{#.*?#\}|`[^`]*`", "", text)
    assert set(re.findall(r"\d+(?:\.\d+)?", prose)) <= {"1", "2", "3", "20", "50", "95", "100"}


def test_links_lead_somewhere(site):
    for page in (site / "docs").glob("*.html"):
        for target in re.findall(r'href="(?!https?:|#)([^"#]+)', page.read_text(encoding="utf-8")):
            known = target.endswith(("index.html", "style.css")) or re.search(r"/\d\d-cpu\.html$", target)
            assert known or (page.parent / target).exists(), f"{page.name}: {target}"


def test_what_a_page_may_not_name(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    cases = {
        'claim("masking/7", "x")': "unknown experiment 'masking/7'; did you mean masking/07",
        'claim("masking/07", "cox-above-nothing")': "no claim 'cox-above-nothing'; did you mean cox-above-none",
        'too_few("cxr/12", "ones-when-positive", seeds=2) + claim("cxr/12", "x")': "no claim 'x'",
        'too_few("xai/11", "accuracy-is-kept", seeds=2)': "rule is 'paired', got 'equivalence'",
    }
    for words, message in cases.items():
        (tmp_path / "docs" / "one.md").write_text(f"# One\n\n{{{{ {words} }}}}\n", encoding="utf-8")
        with pytest.raises(DeclarationError, match=re.escape(message)):
            docs.build(tmp_path, tmp_path / "site", pages._environment(), reports=[])


def test_a_report_that_is_not_there_is_said_not_invented(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    (tmp_path / "docs" / "one.md").write_text(
        '# One\n\n{{ claim("masking/07", "cox-above-none") }}\n', encoding="utf-8"
    )
    [page] = docs.build(tmp_path, tmp_path / "site", pages._environment(), reports=[])
    assert "make reproduce ONLY=masking/07 PROFILE=cpu" in page.read_text(encoding="utf-8")


def test_without_a_reference_the_site_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(api, "installed", lambda: "")
    assert PEERS in api.refresh(tmp_path)
    assert PEERS in api.write(tmp_path, tmp_path / "site", pages._environment()).read_text(encoding="utf-8")
    monkeypatch.setattr(api, "installed", lambda: "16")
    assert "make site" in api.write(tmp_path, tmp_path / "site", pages._environment()).read_text(encoding="utf-8")


def test_the_reference_has_every_public_name_of_the_facades(tmp_path, monkeypatch):
    pytest.importorskip("pdoc", reason=PEERS)
    wanted = [f"lib.{name}" for name in FACADES] + ["lib.stats", "lib.masks.tokens"]
    monkeypatch.setattr(api, "names", lambda: wanted)
    assert api.refresh(tmp_path) == f"API reference: {len(wanted)} modules"
    assert api.refresh(tmp_path) == "API reference: nothing has changed"
    folder = api.write(tmp_path, tmp_path / "site", pages._environment()).parent
    for name in wanted:
        module, text = importlib.import_module(name), (folder / f"{name.replace('.', '/')}.html").read_text("utf-8")
        anchors = set(re.findall(r'<h[23] id="([^"]+)"', text))
        public = getattr(module, "__all__", None) or [
            key for key, value in vars(module).items() if getattr(value, "__module__", "") == name and key[0] != "_"
        ]
        callables = {key for key in public if callable(getattr(module, key))}
        assert callables and callables <= anchors, f"{name} lacks {sorted(callables - anchors)}"
        assert not [anchor for anchor in anchors if anchor.split(".")[-1].startswith("_")]
        assert not re.search(r"<script|src=|-{4,}", text), name
        assert str(ROOT) not in text
    plain = html.unescape(re.sub(r"<[^>]+>", "", text))
    assert "smallest: float = 16 / 196" in plain, "as the source writes it"
    above = (folder / "lib" / "masks.html").read_text("utf-8")
    assert 'href="masks/tokens.html"' in above and 'href="../../api/index.html"' in above


def test_every_docstring_of_the_library_renders():
    pytest.importorskip("pdoc", reason=PEERS)
    from pdoc import docstrings

    left = []
    for name in api.names():
        path = api.LIBRARY.joinpath(*name.split(".")[1:])
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                words = inspect.cleandoc(ast.get_docstring(node) or "")
                if re.search(r"^-{3,}$", docstrings.convert(words, "numpy", None), re.MULTILINE):
                    left.append(f"{name}.{node.name}")
    assert left == []


def test_prose_and_signatures():
    pytest.importorskip("pdoc", reason=PEERS)
    made = str(api.prose("Sum <a> & b.\n\nParameters\n----------\nx : int\n    Unit.\n\nSource: a book.\n"))
    assert "&lt;a&gt;" in made
    assert made.index('<p class="part">Parameters</p>') < made.index("<strong>x</strong>") < made.index(">Source<")
    assert "<h" not in made
