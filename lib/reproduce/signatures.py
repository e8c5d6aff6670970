"""How a function or class is called, as its source writes it: types by their names there, defaults as expressions.

The reference needs what a reader of the source would read, ``16 / 196`` and ``ArrayLike``; what is left at run time is
``0.0816…`` and a union of a dozen protocols.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Any

LINE = 96  # characters of a call that stands in one line


def called(doc: Any) -> Any:
    """How a function or class is called, highlighted.

    Parameters
    ----------
    doc : pdoc.doc.Doc
        A function, a class, or a value, which is shown with its name where it is a short literal.

    Returns
    -------
    markupsafe.Markup or str
        HTML; empty for what cannot be called.
    """
    if doc.kind == "class" and dataclasses.is_dataclass(doc.obj):
        parts, back = [_field(entry) for entry in dataclasses.fields(doc.obj) if entry.init], ""
    elif doc.kind in ("function", "class"):
        start = doc if doc.kind == "function" else doc.get("__init__")
        node = _definition(start.source) if start is not None else None
        if node is None:
            return ""
        parts = [part for part in _arguments(node.args) if part not in ("self", "cls")]
        back = f" -> {ast.unparse(node.returns)}" if node.returns and doc.kind == "function" else ""
    else:
        return _highlighted(f"{doc.name} = {doc.default_value!r}") if _is_short(doc) else ""
    line = f"{doc.name}({', '.join(parts)}){back}"
    if len(line) > LINE:
        line = f"{doc.name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){back}"
    return _highlighted(line)


def _highlighted(line: str) -> Any:
    from markupsafe import Markup
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return Markup(highlight(line, PythonLexer(), HtmlFormatter(nowrap=True)))


def _is_short(doc: Any) -> bool:
    """Whether a value is a literal of one line; anything else may hold addresses and paths of this machine."""
    text = repr(getattr(doc, "default_value", None))
    try:
        return len(text) <= LINE and ast.literal_eval(text) is not None
    except (ValueError, SyntaxError):
        return False


def _definition(source: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The first function in a piece of source; None where there is none, as in a class without a constructor."""
    try:
        body = ast.parse(textwrap.dedent(source)).body
    except SyntaxError:
        return None
    return next((node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)), None)


def _arguments(arguments: ast.arguments) -> list[str]:
    """Each argument with its type and default."""
    plain = [*arguments.posonlyargs, *arguments.args]
    first = len(plain) - len(arguments.defaults)
    parts = [_argument(one, arguments.defaults[i - first] if i >= first else None) for i, one in enumerate(plain)]
    if arguments.posonlyargs:
        parts.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg or arguments.kwonlyargs:
        parts.append(f"*{ast.unparse(arguments.vararg) if arguments.vararg else ''}")
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parts += [_argument(one, default) for one, default in pairs]
    return parts + ([f"**{ast.unparse(arguments.kwarg)}"] if arguments.kwarg else [])


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    between = " = " if one.annotation else "="
    return ast.unparse(one) + (f"{between}{ast.unparse(default)}" if default is not None else "")


def _field(entry: dataclasses.Field[Any]) -> str:
    """An argument of a dataclass; a default that is made anew for each is left out."""
    kind = entry.type if isinstance(entry.type, str) else inspect.formatannotation(entry.type)
    known = isinstance(entry.default, bool | int | float | str | tuple | type(None))
    return f"{entry.name}: {kind}" + (f" = {entry.default!r}" if known else "")
