"""Numbers are written with separators, units and signs, and rounding never leaves a wrong unit or a signed zero."""

import pytest

from reports.layout import formats


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (formats.count(61442), "61,442"),
        (formats.count(None), "–"),
        (formats.short_count(61442), "61.4 k"),
        (formats.short_count(999_960), "1.00 M"),
        (formats.short_count(999_400), "999 k"),
        (formats.short_count(12_822_146), "12.8 M"),
        (formats.short_count(9_996), "10.0 k"),
        (formats.short_count(12), "12"),
        (formats.score(0.97126), "0.9713"),
        (formats.signed(0.01234), "+0.0123"),
        (formats.signed(-0.01234), "−0.0123"),
        (formats.signed(-0.00001), "0.0000"),
        (formats.interval(-0.001, 0.004, 3), "−0.001 to +0.004"),
        (formats.interval(None, 0.004), ""),
        (formats.change(0.885), "−88.5 %"),
        (formats.change(0.99988), "−99.99 %"),
        (formats.change(-0.2), "+20.0 %"),
        (formats.share(0.0048), "0.48 %"),
        (formats.share(1.0), "100 %"),
        (formats.duration(4.23), "4.2 s"),
        (formats.duration(59.97), "1 min 00 s"),
        (formats.duration(192.4), "3 min 12 s"),
        (formats.duration(3599.7), "1 h 00 min"),
        (formats.duration(3725), "1 h 02 min"),
        (formats.shortened("a very long name", 7), "a very…"),
    ],
)
def test_written_as_people_read_it(written: str, expected: str) -> None:
    assert written.replace("\N{NO-BREAK SPACE}", " ") == expected
