"""What two runs of the same search agree on: their records without dates, the command, and whatever was timed."""

from typing import Any

# The front holds measured latencies, and so depends on them.
SPREADS = ("latency_spread", "tail_latency_spread")
TIMED = ("seconds", "created", "command", "latency", "latency_ms", "tail_latency_ms", *SPREADS, "front")


def untimed(value: Any) -> Any:
    """Records of any depth without what is timed."""
    if isinstance(value, dict):
        return {key: untimed(item) for key, item in value.items() if key not in TIMED}
    return [untimed(item) for item in value] if isinstance(value, list) else value
