"""The exception of a record that no report can be written from."""

from foundation.errors import UserError


class ReportError(UserError, ValueError):
    """A mistake of the caller about a report: one sentence that says what is wrong, where, and what to do."""
