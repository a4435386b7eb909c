"""Records as somebody else may have written them: real ones with a value, a key or some bytes changed at random."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

RUNS = "__import__('os').system('touch RAN')"
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    0.5,
    -0.0,
    1e-300,
    1e308,
    10**9,
    2**63,
    10**40,
    "",
    " ",
    "0",
    "1",
    "no",
    "../../../x",
    "..",
    "/abs/x",
    "C:\\x",
    "\\\\host\\x",
    "a/b",
    ".hidden",
    "a\nb",
    "a\x00b",
    "\ud800",
    "\u202e",
    "é" * 300,
    "x" * 20_000,
    RUNS,
    f'"\n{RUNS}\n"',
    f'"""\n{RUNS}\n"""',
    "{{ 7 * 7 }}",
    "{0.__class__}",
    "%s%n",
    "<script>alert(1)</script>",
    "'; DROP TABLE studies; --",
    "$(touch RAN)",
    "`touch RAN`",
    [],
    [None],
    [[]],
    ["no", "no"],
    [1, 2, 3],
    [-1, 0, 10**12],
    {},
    {"": None},
    {"__class__": "os.system"},
    {"space": "macro", "settings": {}, "choices": {}},
)
# Whole files that are no records at all.
FILES = (
    b"",
    b"\n",
    b"null",
    b"[]",
    b"{}",
    b"3",
    b'"text"',
    b"\x00" * 64,
    b"\xff\xfe{\x00}\x00",
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"a": NaN}',
    b'{"a": ' + b"9" * 10_000 + b"}",
    b"\x80\x04\x95cos\nsystem\n(S'touch RAN'\ntR.",
    b"import os; os.system('touch RAN')",
)


def mutated(original: bytes, count: int, seed: int) -> Iterator[bytes]:
    """So many files: first those that are no records, then changes of the values, then of the bytes."""
    rng = random.Random(seed)
    record = as_json(original)
    for number in range(count):
        if number < len(FILES):
            yield FILES[number]
        elif record is not None and rng.random() < 0.8:
            yield changed_values(record, rng)
        else:
            yield changed_bytes(original, rng)


def as_json(original: bytes) -> Any:
    """What the file says; None where it is no JSON."""
    try:
        return json.loads(original)
    except ValueError:
        return None


def changed_values(record: Any, rng: random.Random) -> bytes:
    """One to three places of a record, at any depth, with another value, without one, or with one more key."""
    record = copy.deepcopy(record)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        holder, key = rng.choice(list(places(record)) or [(None, None)])
        if holder is None:
            break
        match rng.randrange(8):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[rng.choice(("x", "../x", "", RUNS, "\n"))] = holder.pop(key)
            case 2 if isinstance(holder, list):
                holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
            case 3:
                holder[key] = [holder[key]] if rng.random() < 0.5 else {"x": holder[key]}
            case _:
                holder[key] = copy.deepcopy(rng.choice(VALUES))
    text = json.dumps(record, indent=rng.choice((None, 2)))
    if rng.random() < 0.05:
        text = text.replace("null", rng.choice(("NaN", "Infinity", "1e999")))
    return text.encode()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) in a record, those near its root as often as those of a long list deep in it."""
    level = [value]
    while level:
        following = []
        for holder in level:
            keys = list(holder) if isinstance(holder, dict) else list(range(min(len(holder), 4)))
            for key in keys:
                yield holder, key
                if isinstance(holder[key], dict | list):
                    following.append(holder[key])
        level = following


def changed_bytes(original: bytes, rng: random.Random) -> bytes:
    """Cut short, with bytes flipped, doubled, dropped, or in another encoding."""
    data, at = bytearray(original), rng.randrange(max(1, len(original)))
    match rng.randrange(6):
        case 0:
            return original[:at]
        case 1:
            for _ in range(rng.randrange(1, 9)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 2:
            data[at:at] = rng.choice((b"\xe9", b"\x00", b"}", b"]", b"[[[[", b'"', b"\r\n", b"\xef\xbb\xbf"))
        case 3:
            del data[at : at + rng.randrange(1, 40)]
        case 4:
            data[at:at] = data[max(0, at - rng.randrange(1, 200)) : at]
        case _:
            return original[at:] + original[:at]
    return bytes(data)
