"""Stop a command: Ctrl-C and SIGTERM end it alike, with one sentence, nothing half done, and an exit code of their own.

A signal may arrive inside a library that makes another error of it; what was heard is therefore kept, and counts for
more than the error that comes out in the end.
"""

import signal
from types import FrameType

INTERRUPTED = 130
HEARD: list[int] = []


def heed(number: int) -> None:
    """Answer a signal by KeyboardInterrupt from now on, unless it is ignored, as under nohup."""
    if signal.getsignal(number) not in (signal.SIG_IGN, None):
        signal.signal(number, stop)


def stop(number: int, _frame: FrameType | None) -> None:
    """Take it in, once: what cleans up behind it is not to be interrupted by a second SIGTERM."""
    HEARD.append(number)
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def exit_code() -> int:
    """As a shell says it: 128 and the signal's number, of Ctrl-C where none was heard."""
    return 128 + HEARD[-1] if HEARD else INTERRUPTED
