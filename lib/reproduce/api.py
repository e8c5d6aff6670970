"""The reference of the library's public names, made from their docstrings by pdoc, in the look of the site.

Reading all of ``lib`` takes far longer than writing its pages, so `refresh`, which ``make site`` calls, keeps what it
made under ``.blindspot/api`` by a hash of the library; `write`, which every build of the site calls, only puts it into
pages. The runner, the benchmarks and private names are left out. pdoc is no requirement of the library: without it the
site says how to get it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.reproduce import signatures

PACKAGE = "lib"
LIBRARY = Path(__file__).resolve().parents[1]
LEFT_OUT = ("bench", "reproduce", "setup")
ABSENT = "Install pdoc with `pip install --no-deps -r requirements-peers.txt` and call `make site` again."
OUTDATED = "`make site` writes the reference of the library as it is now."
EXTRAS = {"code-friendly": None, "cuddled-lists": None, "fenced-code-blocks": {"cssclass": "highlight"}} | {
    "pyshell": None
}


def names() -> list[str]:
    """The modules of the reference, sorted; a package stands for its ``__init__``.

    Examples
    --------
    >>> {"lib.masks", "lib.masks.tokens"} <= set(names()), any("reproduce" in name for name in names())
    (True, False)
    """
    found = set()
    for path in LIBRARY.rglob("*.py"):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts) and parts[:1] not in [(name,) for name in LEFT_OUT]:
            found.add(".".join((PACKAGE, *parts)))
    return sorted(found)


def installed() -> str:
    """The version of pdoc; empty without it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pdoc")
    except PackageNotFoundError:
        return ""


def kept(root: Path) -> Path:
    """Where the reference of the library as it stands is kept, whether or not it is there."""
    digest = hashlib.sha256(installed().encode())
    told = [path for path in sorted(LIBRARY.rglob("*.py")) if path.relative_to(LIBRARY).parts[0] not in LEFT_OUT]
    for path in (*told, Path(__file__), Path(signatures.__file__), _templates() / "api_body.html"):
        digest.update(path.read_bytes())
    return root / ".blindspot" / "api" / f"{digest.hexdigest()[:16]}.json"


def refresh(root: Path) -> str:
    """Read the library and keep its reference for `write`, unless that has been done.

    Parameters
    ----------
    root : Path
        The project's folder.

    Returns
    -------
    str
        One sentence: what was done, or what is missing.
    """
    if not installed():
        return f"no API reference: {ABSENT}"
    path = kept(root)
    if path.exists():
        return "API reference: nothing has changed"
    try:
        found = pages(names())
    except Exception as error:  # a module that cannot be read costs the reference, never the site
        return f"error: no API reference: {type(error).__name__}: {error}"
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob("*.json"):
        old.unlink()
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    beside.replace(path)
    return f"API reference: {len(found)} modules"


def write(root: Path, site: Path, environment: Any) -> Path:
    """Write ``<site>/api``: a page for each module, or one that says how to get them.

    Parameters
    ----------
    root, site : Path
        Folders of the project and of the site.
    environment : jinja2.Environment
        That of the site.

    Returns
    -------
    Path
        The first page.
    """
    path = kept(root)
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    advice = "" if found else OUTDATED if installed() else ABSENT
    rooms: dict[str, list[dict[str, str]]] = {}
    for page in found:
        rooms.setdefault(".".join(page["module"].split(".")[:2]), []).append(page)
        target = site / "api" / page["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        content = environment.get_template("api.html").render(page=page, up="../" * (page["path"].count("/") + 1))
        target.write_text(content, encoding="utf-8")
    index = site / "api" / "index.html"
    index.parent.mkdir(parents=True, exist_ok=True)
    content = environment.get_template("api_index.html").render(rooms=rooms, advice=advice, up="../")
    index.write_text(content, encoding="utf-8")
    return index


def pages(modules: Sequence[str]) -> list[dict[str, str]]:
    """The reference of some modules.

    Parameters
    ----------
    modules : sequence of str
        Dotted names; links are made between these only.

    Returns
    -------
    list of dict
        ``module``, ``path`` below ``api/``, ``summary`` and ``html`` of each, in the order given.

    Raises
    ------
    ImportError
        Where a module cannot be imported, or pdoc is not installed.
    """
    import pdoc.doc

    every = {name: pdoc.doc.Module(importlib.import_module(name)) for name in modules}
    template = _body_environment().get_template("api_body.html")
    shared = {"all_modules": every, "is_public": _is_public}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # types that are imported for a type checker only
        return [
            {
                "module": name,
                "path": f"{name.replace('.', '/')}.html",
                "summary": summary(module.docstring),
                "html": template.render(module=module, below=_below(name, every), **shared),
            }
            for name, module in every.items()
        ]


def _templates() -> Path:
    return Path(__file__).parent / "templates"


def _body_environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from pdoc import render_helpers

    environment = Environment(
        loader=FileSystemLoader(_templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"linkify": render_helpers.linkify, "signature": signatures.called, "prose": prose}
    environment.filters |= {"own": _own, "members": _members}
    return environment


def _below(name: str, every: dict[str, Any]) -> list[dict[str, str]]:
    """The modules directly below a package, as links from its page."""
    inside = [other for other in every if other.rpartition(".")[0] == name]
    stem = name.rpartition(".")[2]
    return [
        {"name": other, "href": f"{stem}/{other.rpartition('.')[2]}.html", "summary": summary(every[other].docstring)}
        for other in inside
    ]


def _is_public(doc: Any) -> str:
    """Not empty for what the reference shows; pdoc's helpers ask in this way."""
    return "" if doc.name.startswith("_") else "yes"


def _members(doc: Any) -> list[Any]:
    """What a module or class shows of itself: documented values, and every public function and class."""
    public = set(getattr(doc.obj, "__all__", ()))
    fields = getattr(doc.obj, "__dataclass_fields__", {})
    return [
        member
        for member in doc.own_members
        if member.kind != "module"
        and _is_public(member)
        and member.name not in fields
        and (member.kind != "variable" or _own(member) or member.name in public)
    ]


def _own(doc: Any) -> str:
    """A docstring that was written here: one that is inherited from a library says nothing about ours."""
    if doc.kind in ("function", "class") and not getattr(doc.obj, "__doc__", None):
        return ""
    generated = doc.kind == "class" and str(doc.obj.__doc__).startswith(f"{doc.name}(")
    return "" if generated else str(doc.docstring)


def prose(docstring: str) -> Any:
    """A numpydoc docstring as HTML; its sections are paragraphs of class ``part``, so headings stay in order.

    Examples
    --------
    >>> html = prose("Add.\\n\\nReturns\\n-------\\nint\\n    The sum.\\n\\nSource: a book.")
    >>> str(html).replace("\\n", "")[:64]
    '<p>Add.</p><p class="part">Returns</p><ul><li><strong>int</stron'
    """
    import markdown2
    from markupsafe import Markup
    from pdoc import docstrings

    text = re.sub(r"^(Sources?): ", lambda match: f"{match[1]}\n------\n", docstring, flags=re.MULTILINE)
    text = docstrings.convert(text, "numpy", None)
    text = re.sub(r"^(###### .+)\n", r"\n\1\n\n", text, flags=re.MULTILINE)
    html = str(markdown2.markdown(text, extras=EXTRAS, safe_mode="escape"))
    html = re.sub(r"<h6>(.+?)</h6>", r'<p class="part">\1</p>', html)
    return Markup(html.replace("<pre>", '<pre tabindex="0">'))


def summary(docstring: str) -> str:
    """The first sentence of a docstring.

    Examples
    --------
    >>> summary("One thing: see :mod:`lib.masks`. Another.")
    'One thing: see lib.masks.'
    """
    first = " ".join(docstring.strip().split("\n\n")[0].split())
    return re.sub(r":\w+:(?=`)|`", "", re.split(r"(?<=[.?!]) ", first, maxsplit=1)[0])
