"""What is hidden: samplers of token masks, masks that follow scores, and statistics that describe a mask.

Contract: a sampler is a callable ``(n, grid, *, ratio, generator, ...) -> bool (n, tokens)``, ``True`` = hidden, with
exactly ``round(ratio * tokens)`` hidden in every row; different images get different masks. Masks that follow scores
take them in place of ``n`` and keep the same count.
"""

from lib.masks import banks, describe, portrait
from lib.masks.bags import bag_easy, bag_low, bag_random, bag_random_easy
from lib.masks.banks import bank, from_bank, from_bank_shared
from lib.masks.contract import hide_highest
from lib.masks.cox import centre_distance, cox_process
from lib.masks.guided import aclip, attmask_high, attmask_hint, attmask_low, milan
from lib.masks.hard import easiest_patches, easy_to_hard, hard_patches, hard_to_easy, hardest_patches
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
from lib.masks.pixels import erase_cells, hidden_pixels
from lib.masks.saliency import mosaic, salient, salient_above, to_pixels
from lib.masks.tokens import block, cells, grid, jittered_grid, random

SAMPLERS = (random, block, grid, jittered_grid, cells, red, blue, green, purple, cox_process)
"""Every sampler that needs no more than the contract's arguments; loop over it to compare them."""

__all__ = [
    "SAMPLERS",
    "Colour",
    "aclip",
    "attmask_high",
    "attmask_hint",
    "attmask_low",
    "bag_easy",
    "bag_low",
    "bag_random",
    "bag_random_easy",
    "bank",
    "banks",
    "block",
    "blue",
    "blue_filter",
    "cells",
    "centre_distance",
    "coloured",
    "cox_process",
    "describe",
    "easiest_patches",
    "easy_to_hard",
    "erase_cells",
    "fields",
    "from_bank",
    "from_bank_shared",
    "green",
    "green_filter",
    "grid",
    "hard_patches",
    "hard_to_easy",
    "hardest_patches",
    "hidden_pixels",
    "hide_highest",
    "jittered_grid",
    "milan",
    "mosaic",
    "portrait",
    "purple",
    "purple_filter",
    "random",
    "red",
    "red_filter",
    "salient",
    "salient_above",
    "to_pixels",
]
