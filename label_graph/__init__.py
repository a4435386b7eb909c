"""Relations between attributes: co-occurrence, node features, and a graph network that makes classifiers of them."""
