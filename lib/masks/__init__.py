"""What is hidden: samplers of token masks, noise colours, and statistics that describe a mask.

Contract: a sampler is a callable ``(n, grid, *, ratio, generator, ...) -> bool (n, tokens)``, ``True`` = hidden, with
exactly ``round(ratio * tokens)`` hidden in every row; different images get different masks.
"""

from lib.masks import banks, describe
from lib.masks.banks import bank, from_bank, from_bank_shared
from lib.masks.contract import hide_highest
from lib.masks.noise import (
    Colour,
    blue,
    blue_filter,
    coloured,
    fields,
    green,
    green_filter,
    purple,
    purple_filter,
    red,
    red_filter,
)
from lib.masks.tokens import block, cells, grid, jittered_grid, random

SAMPLERS = (random, block, grid, jittered_grid, cells, red, blue, green, purple)
"""Every sampler that needs no more than the contract's arguments; loop over it to compare them."""

__all__ = [
    "SAMPLERS",
    "Colour",
    "bank",
    "banks",
    "block",
    "blue",
    "blue_filter",
    "cells",
    "coloured",
    "describe",
    "fields",
    "from_bank",
    "from_bank_shared",
    "green",
    "green_filter",
    "grid",
    "hide_highest",
    "jittered_grid",
    "purple",
    "purple_filter",
    "random",
    "red",
    "red_filter",
]
