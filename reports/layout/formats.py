"""Numbers, metrics, operations and activations in words, as people read them."""

from collections.abc import Mapping

from search_spaces import operations

NOTHING = "–"
SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


class Names(dict[str, str]):
    """Names of what records know by a key; what is not among them is called by its own key, never by another's name."""

    def __missing__(self, key: str) -> str:
        return key


OPERATION_NAMES = Names(operations.OPERATION_NAMES)
ACTIVATION_NAMES = Names(operations.ACTIVATION_NAMES)
METRIC_NAMES = Names(
    {
        "auroc": "AUROC",
        "average_precision": "average precision",
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced accuracy",
        "f1": "F1",
        "threshold": "threshold",
        "precision": "precision",
        "recall": "recall (true positive rate)",
        "fpr": "false positive rate",
    }
)


def count(value: float | None) -> str:
    """61442 -> "61,442"."""
    return NOTHING if value is None else f"{value:,.0f}".replace("-", MINUS)


def short_count(value: float | None) -> str:
    """61442 -> "61.4 k": three significant digits and k, M, G or T."""
    if value is None:
        return NOTHING
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{digits}f}{SPACE}{unit}".replace("-", MINUS)
    return f"{value:.0f}".replace("-", MINUS)


def milliseconds(value: float | None) -> str:
    """0.3141 -> "0.314 ms": three significant digits."""
    if value is None:
        return NOTHING
    digits = 3 if value < 0.9995 else 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{SPACE}ms"


def file_size(value: float | None) -> str:
    """120232 -> "120 kB": three significant digits, in powers of ten."""
    if value is None:
        return NOTHING
    written = short_count(value)
    return f"{written}B" if SPACE in written else f"{written}{SPACE}B"


def score(value: float | None, digits: int = 4) -> str:
    """0.97123 -> "0.9712"."""
    return NOTHING if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 4) -> str:
    """0.0123 -> "+0.0123"; what rounds to nothing has no sign."""
    if value is None:
        return NOTHING
    written = f"{value:+.{digits}f}"
    return written[1:] if float(written) == 0 else written.replace("-", MINUS)


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """ "-0.001 to +0.004": both ends signed; empty without both."""
    return "" if low is None or high is None else f"{signed(low, digits)} to {signed(high, digits)}"


def span(low: float, high: float, digits: int = 3) -> str:
    """ "0.912 to 0.987": both ends without a sign."""
    return f"{score(low, digits)} to {score(high, digits)}"


NOT_TOLD_APART = "not told apart"


def judgement(low: float | None, high: float | None) -> str:
    """ "better", "worse", or "not told apart": what the interval of a gain says; the last where it is not known."""
    if low is None or high is None:
        return NOT_TOLD_APART
    return "better" if low > 0 else "worse" if high < 0 else NOT_TOLD_APART


def change(reduction: float | None) -> str:
    """A reduction of 0.885 -> "−88.5 %", as in Table 2 of the paper; growth has a plus."""
    if reduction is None:
        return NOTHING
    percent = -100 * reduction
    digits = 2 if 99 <= -percent < 100 else 1
    return f"{signed(percent, digits)}{SPACE}%"


def share(value: float | None) -> str:
    """0.0048 -> "0.48 %": two significant digits below ten percent."""
    if value is None:
        return NOTHING
    percent = 100 * value
    digits = 0 if percent >= 99.5 else 1 if percent >= 10 or percent == 0 else 2
    return f"{percent:.{digits}f}{SPACE}%"


def duration(seconds: float | None) -> str:
    """3725.0 -> "1 h 02 min"; 192.4 -> "3 min 12 s"; 4.23 -> "4.2 s"."""
    if seconds is None:
        return NOTHING
    if seconds < 59.95:
        return f"{seconds:.1f}{SPACE}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{SPACE}min{SPACE}{whole % 60:02d}{SPACE}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,}{SPACE}h{SPACE}{minutes % 60:02d}{SPACE}min"


def shortened(words: str, length: int) -> str:
    """At most `length` characters, the last an ellipsis when some were left out."""
    return words if len(words) <= length else words[: max(length - 1, 1)].rstrip() + "…"


def metrics_in(*measured: Mapping[str, float]) -> list[str]:
    """The metrics that were measured: those of `METRIC_NAMES` in their order, then any others."""
    known = {key for figures in measured for key in figures}
    return [*(key for key in METRIC_NAMES if key in known), *sorted(known - METRIC_NAMES.keys())]


def family_of(operation: str) -> str:
    """ "conv", "separable", "pooling" or "identity"."""
    return "pooling" if "pool" in operation else operation.rstrip("0123456789x")
