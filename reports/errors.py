"""The one exception of this room."""


class ReportError(ValueError):
    """A mistake of the caller about a report: one sentence that says what is wrong, where, and what to do."""
