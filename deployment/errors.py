"""The one exception of this room."""


class BundleError(ValueError):
    """A mistake of the caller about a bundle: one sentence that says what is wrong, where, and what to do."""
