"""Jobs that wait on disk: a run of any length holds in memory only where each of them lies and what it will take."""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, overload

from lib.reproduce.execute import Job


class Spool(Sequence[Job]):
    """Jobs in the order in which they were appended; each is read from an unnamed file when it is asked for.

    Parameters
    ----------
    jobs : iterable of Job
        The first ones.

    Attributes
    ----------
    estimates : array of float
        Expected seconds of each.
    on_gpu : bytearray
        Whether each takes a GPU slot.

    Examples
    --------
    >>> job = Job("masking/02", "cpu", "", "", "", "", {"threads": 1}, ("it-does",), 60.0, False, 10.0, "run")
    >>> Spool([job])[0] == job
    True
    """

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the spool
        self._starts = array("q", [0])
        self.estimates, self.on_gpu = array("d"), bytearray()
        for job in jobs:
            self.append(job)

    def append(self, job: Job) -> None:
        """Put one more behind the others."""
        self._file.seek(self._starts[-1])
        self._file.write(json.dumps(asdict(job)).encode())
        self._starts.append(self._file.tell())
        self.estimates.append(job.estimate_s)
        self.on_gpu.append(job.gpu)

    def __len__(self) -> int:
        return len(self.estimates)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        self._file.seek(self._starts[at])
        read: dict[str, Any] = json.loads(self._file.read(self._starts[at + 1] - self._starts[at]))
        job = Job(**read)
        return replace(job, claims=tuple(job.claims))

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
