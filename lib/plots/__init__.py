"""What a person sees: the house style and the figures that recur in every notebook.

Every plotting function takes a tidy table (one row = one measurement), draws on given axes and returns them. Widths
are in inches: ``single`` suits half a page and a phone, ``double`` a full page.
"""

from lib.plots.covers import covered, framed
from lib.plots.masks import portraits
from lib.plots.pictures import images
from lib.plots.series import curve, dots, interval
from lib.plots.style import MARKERS, PALETTE, VERDICT_COLOURS, WIDTHS, figure, house_style
from lib.plots.tables import forest, heat

__all__ = [
    "MARKERS",
    "PALETTE",
    "VERDICT_COLOURS",
    "WIDTHS",
    "covered",
    "curve",
    "dots",
    "figure",
    "forest",
    "framed",
    "heat",
    "house_style",
    "images",
    "interval",
    "portraits",
]
