"""BranchError, the one exception for a user's mistake in this room."""

from foundation.errors import UserError


class BranchError(UserError, ValueError):
    """A mistake of the caller about a branch: one sentence that says what is wrong, where, and what to do."""
