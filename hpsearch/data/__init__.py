"""Data: sources, split, preprocessing, augmentation, audit statistics and minibatch order."""

from hpsearch.data.augment import Augment
from hpsearch.data.batches import minibatches, order
from hpsearch.data.dataset import Dataset, Loaded, Progress, Source
from hpsearch.data.preprocess import Preprocess, fit
from hpsearch.data.rows import Positions, Rows
from hpsearch.data.sharing import Shared
from hpsearch.data.sources import SOURCES, load
from hpsearch.data.split import split

__all__ = [
    "SOURCES",
    "Augment",
    "Dataset",
    "Loaded",
    "Positions",
    "Preprocess",
    "Progress",
    "Rows",
    "Shared",
    "Source",
    "fit",
    "load",
    "minibatches",
    "order",
    "split",
]
