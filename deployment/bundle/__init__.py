"""Write a bundle, change it, and make it faster where that pays."""

from deployment.bundle.write import write_bundle

__all__ = ["write_bundle"]
