"""A tiny project on which the real engine runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from mini_project import Mini


@pytest.fixture
def mini(tmp_path: Path) -> Mini:
    """An empty tiny project."""
    return Mini(tmp_path / "project")
