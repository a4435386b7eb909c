"""One seed for each part of a search, so that no part's randomness depends on how another one ran."""

import hashlib


def seed_of(seed: int, *labels: str | int) -> int:
    """A 63-bit seed from the search's seed and the names of the part; stable across machines and versions."""
    text = "/".join(str(label) for label in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
