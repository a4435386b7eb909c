"""A user's mistakes that the front door finds itself."""

from foundation.errors import UserError


class ConfigError(UserError, ValueError):
    """The configuration, the project folder or the call is wrong; the message is one sentence with the remedy."""
