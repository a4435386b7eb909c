"""Images and labels of one attribute: reading, importing, splitting and checking sub-datasets."""

from subdatasets.attribute import Attribute, attribute_of
from subdatasets.checks import check_subdataset, check_subdatasets
from subdatasets.errors import DataError
from subdatasets.image_files import content_hash, content_hashes, read_image
from subdatasets.importing.arrays import import_arrays, import_labels, import_multiclass, import_torchvision
from subdatasets.importing.tables import import_table
from subdatasets.importing.write import ImportSummary, SkippedColumn
from subdatasets.reading.problems import Problem
from subdatasets.splits import FRACTIONS, SPLITS, multilabel_splits, stratified_splits
from subdatasets.subdataset import Example, SubDataset, read_subdataset, write_subdataset

__all__ = [
    "FRACTIONS",
    "SPLITS",
    "Attribute",
    "DataError",
    "Example",
    "ImportSummary",
    "Problem",
    "SkippedColumn",
    "SubDataset",
    "attribute_of",
    "check_subdataset",
    "check_subdatasets",
    "content_hash",
    "content_hashes",
    "import_arrays",
    "import_labels",
    "import_multiclass",
    "import_table",
    "import_torchvision",
    "multilabel_splits",
    "read_image",
    "read_subdataset",
    "stratified_splits",
    "write_subdataset",
]
