"""Before a run: get the declared data that can be downloaded, and say what cannot be had.

A set that is already here, bundled, generated or without a public address costs nothing. A download that fails costs a
line, not the run: the notebook falls back to the next set of its list, and its report names the one it used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from lib.experiments import Experiment


def gather(chosen: Iterable[Experiment], profile: str) -> Iterator[str]:
    """Fetch what is missing; yields one line for each set that was fetched or could not be had.

    Parameters
    ----------
    chosen : iterable of Experiment
        The experiments that are about to be planned.
    profile : str
        ``smoke`` needs no data and fetches none; neither does a machine with ``BLINDSPOT_OFFLINE=1``.
    """
    if profile == "smoke" or os.environ.get("BLINDSPOT_OFFLINE") == "1":
        return
    from lib import data

    wanted = {name: spec.data[-1] for spec in chosen for name in spec.data[:-1]}
    for name, last in wanted.items():
        if data.available(name):
            continue
        found = data.entry(name)
        if not found.files or not all(file.urls for file in found.files):
            yield f"data {name}: no public address; {found.access or 'see data/registry.toml'}"
            continue
        try:
            data.fetch(name)
        except data.DataError as error:
            yield f"data {name}: could not be had, so runs fall back ({last} at the last): {error}"
        else:
            yield f"data {name}: fetched"
