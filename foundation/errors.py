"""The root of all rooms' errors: a mistake of the user."""


class UserError(Exception):
    """A user's mistake; the message is one sentence: what is wrong, where (file, line, key), and what to do.

    Each room has its own below it; a bundle's stands alone, for it travels without the toolkit.
    """
