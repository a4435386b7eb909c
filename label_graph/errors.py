"""The one exception that a user's mistake raises in this room."""


class LabelGraphError(ValueError):
    """Labels, a graph or a setting of it cannot be used as asked; the message says what, where, what to do."""
