"""The roots of all rooms' errors: a mistake of the user, and a record that cannot be used."""


class UserError(Exception):
    """A user's mistake; the message is one sentence: what is wrong, where (file, line, key), and what to do.

    Each room has its own below it; a bundle's stands alone, for it travels without the toolkit.
    """


class RecordError(UserError, ValueError):
    """A record of ours that is damaged, or was written by somebody else; the sentence names the file and the remedy."""
