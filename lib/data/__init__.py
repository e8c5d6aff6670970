"""What there is to see: images, tables and radiographs, each with a synthetic twin that needs no download.

>>> from lib import data
>>> data.images("digits-twin", n=4).x.shape
torch.Size([4, 1, 28, 28])

Heavy libraries are imported by the loaders when they are called, not by this module.
"""

from lib.data.fetch import available, fetch, file_path, sums
from lib.data.images import Images, images
from lib.data.radiographs import Radiographs, nih_boxes, nih_metadata, patient_split, radiographs
from lib.data.registry import DataError, Entry, entry, ids
from lib.data.tables import Table, table

__all__ = [
    "DataError",
    "Entry",
    "Images",
    "Radiographs",
    "Table",
    "available",
    "entry",
    "fetch",
    "file_path",
    "ids",
    "images",
    "nih_boxes",
    "nih_metadata",
    "patient_split",
    "radiographs",
    "sums",
    "table",
]
