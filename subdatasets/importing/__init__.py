"""Import arrays, labels and tables as sub-datasets."""
