"""A sheet shows every picture, whatever its shape."""

from __future__ import annotations

import numpy as np
import pytest

from lib import plots


def test_images_in_all_shapes():
    for shape in ((5, 4, 4), (5, 1, 4, 4), (5, 3, 4, 4)):
        assert sum(bool(ax.images) for ax in plots.images(np.zeros(shape), columns=3).axes) == 5
    with pytest.raises(ValueError, match="pictures must have shape"):
        plots.images(np.zeros((4, 4)))
