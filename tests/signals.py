"""A child process that Ctrl-C reaches, also where the tests themselves run in the background, which ignores it."""

import signal


def heed_interrupts() -> None:
    """For `preexec_fn`: SIGINT as a terminal's foreground process has it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
