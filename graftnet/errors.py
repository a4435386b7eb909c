"""A user's mistakes that the front door finds itself."""


class ConfigError(ValueError):
    """The configuration, the project folder or the call is wrong; the message is one sentence with the remedy."""
