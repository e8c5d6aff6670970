"""A figure's alternative text reaches whoever does not see it: JupyterLab reads it from HTML, not beside a PNG.

``run.figure`` shows an image with its ``alt``; where somebody watches (:mod:`lib.lab`), the same pixels come as an
``<img>`` too. The PNG stays in the output for whatever reads that.
"""

from __future__ import annotations

import base64
from functools import partial
from html import escape
from typing import Any

from lib import lab


def register(shell: Any) -> None:
    """Give the images of a shell their alternative text."""
    formatter = shell.display_formatter.formatters["text/html"]
    formatter.for_type_by_name("IPython.core.display", "Image", partial(html, shell))


def html(shell: Any, image: Any) -> str | None:
    """An embedded PNG of its own size that has an ``alt`` as an ``<img>``; any other image as IPython has it."""
    sized = image.width or image.height
    if sized or not (image.embed and image.alt and image.format == "png" and lab.watched(shell)):
        plain: str | None = image._repr_html_()
        return plain
    pixels = base64.b64encode(image.data).decode("ascii")
    return f'<img alt="{escape(image.alt)}" src="data:image/png;base64,{pixels}" style="margin:0;max-width:100%">'
