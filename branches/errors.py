"""The one exception of this room."""


class BranchError(ValueError):
    """A mistake of the caller about a branch: one sentence that says what is wrong, where, and what to do."""
