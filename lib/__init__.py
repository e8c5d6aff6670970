"""Blindspot: hide part of the input and measure what breaks.

Rooms, in the order in which data flows: ``data`` (what there is to see), ``masks`` (what is hidden), ``models`` and
``train`` (what looks), ``explain`` and ``select`` (why it decided, which columns it needs), ``measure`` (what hiding
cost), ``stats`` and ``claims`` (how sure, what follows), ``run`` and ``reproduce`` (how one notebook and how all run).
"""

__version__ = "0.1.0"
