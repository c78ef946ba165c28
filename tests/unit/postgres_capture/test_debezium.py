"""Debezium's default forms, held against values that Debezium 3.6 wrote of the same texts."""

from __future__ import annotations

import base64
import datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.connectors.postgres.debezium import days, moment_us, special, unscaled
from bothways.connectors.postgres.types import ColumnType
from bothways.model.values import Value

NUMERIC, NUMERIC_10_2 = ColumnType(1700), ColumnType(1700, modifier=(10 << 16 | 2) + 4)
DATE, TIME, TIMETZ, INTERVAL, MONEY, POINT = (ColumnType(oid) for oid in (1082, 1083, 1266, 1186, 790, 600))
TIMESTAMP, TIMESTAMP_3 = ColumnType(1114), ColumnType(1114, modifier=3)
TIMESTAMPTZ, TIMESTAMPTZ_3, TIMESTAMPTZ_0 = (ColumnType(1184, modifier=digits) for digits in (-1, 3, 0))
BIT, BIT_10, VARBIT_12 = ColumnType(1560, modifier=1), ColumnType(1560, modifier=10), ColumnType(1562, modifier=12)

SEEN: list[tuple[ColumnType, str, Value]] = [
    (NUMERIC_10_2, "12.50", "BOI="),
    (NUMERIC_10_2, "-1.05", "lw=="),
    (NUMERIC_10_2, "0.00", "AA=="),
    (NUMERIC_10_2, "NaN", None),
    (NUMERIC, "1000", {"scale": 0, "value": "A+g="}),
    (NUMERIC, "123456789012345678901234567890.123", {"scale": 3, "value": "BhY+ZlvrfKai4aZCRMs="}),
    (NUMERIC, "-0.5", {"scale": 1, "value": "+w=="}),
    (NUMERIC, "-Infinity", None),
    (DATE, "2026-11-22", 20779),
    (DATE, "0044-03-15 BC", -735160),
    (DATE, "12026-01-01", 3672879),
    (DATE, "1500-01-01", -171664),
    (DATE, "infinity", -2147472692),
    (DATE, "-infinity", -2147472691),
    (TIME, "12:34:56.789012", 45296789012),
    (TIME, "24:00:00", 86400000000),
    (ColumnType(1083, modifier=0), "12:34:56", 45296000),
    (TIMETZ, "12:34:56.5+02", "10:34:56.5Z"),
    (TIMETZ, "24:00:00+00", "00:00:00Z"),
    (TIMETZ, "00:30:00+02", "22:30:00Z"),
    (TIMESTAMP, "2026-11-22 12:34:56.123456", 1795350896123456),
    (TIMESTAMP, "1500-01-01 00:00:00.5", -14831769599500000),
    (TIMESTAMP, "0044-03-15 00:00:00 BC", -63517824000000000),
    (TIMESTAMP, "292000-01-01 00:00:00", 9152462764800000000),
    (TIMESTAMP, "infinity", 9223372036825200000),
    (TIMESTAMP, "-infinity", -9223372036832400000),
    (TIMESTAMP_3, "2026-11-22 12:34:56.123", 1795350896123),
    (TIMESTAMP_3, "infinity", 9223372036825200),
    (TIMESTAMPTZ, "2026-11-22 10:34:56.123456+00", "2026-11-22T10:34:56.123456Z"),
    (TIMESTAMPTZ, "2026-01-01 00:00:00.1+00", "2026-01-01T00:00:00.100000Z"),
    (TIMESTAMPTZ, "12026-01-01 00:00:00+00", "+12026-01-01T00:00:00.000000Z"),
    (TIMESTAMPTZ, "0044-03-15 00:00:00+00 BC", "-0043-03-15T00:00:00.000000Z"),
    (TIMESTAMPTZ, "infinity", "infinity"),
    (TIMESTAMPTZ_3, "2026-11-22 10:34:56.1+00", "2026-11-22T10:34:56.100Z"),
    (TIMESTAMPTZ_0, "2026-11-22 10:34:56+00", "2026-11-22T10:34:56Z"),
    (INTERVAL, "P1M2DT3H", 2813400000000),
    (INTERVAL, "P-1D", -86400000000),
    (INTERVAL, "P10MT3.5S", 26298003500000),
    (INTERVAL, "PT-0.000001S", -1),
    (INTERVAL, "P1000000D", 86400000000000000),
    (BIT, "1", True),
    (BIT_10, "1010101010", "qgI="),
    (BIT_10, "1000000000", "AAI="),
    (VARBIT_12, "", ""),
    (VARBIT_12, "1", "AQ=="),
    (VARBIT_12, "111111111111", "/w8="),
    (MONEY, "$1,234.56", "AeJA"),
    (MONEY, "-$1.50", "/2o="),
    (POINT, "(1,2)", {"x": 1.0, "y": 2.0, "wkb": "AQEAAAAAAAAAAADwPwAAAAAAAABA", "srid": None}),
]


@pytest.mark.parametrize(("type", "text", "shown"), SEEN, ids=[f"{each.oid} {text}" for each, text, _ in SEEN])
def test_the_same_as_debezium_shows(type: ColumnType, text: str, shown: Value) -> None:
    """Each value as Debezium's own connector wrote it."""
    found = special(type)
    assert found is not None
    assert orjson.loads(orjson.dumps(found.read(text))) == shown


@given(st.integers())
def test_a_decimal_can_be_read_back(cents: int) -> None:
    """Scale and bytes give the number again, in as few bytes as Java writes."""
    found = special(NUMERIC_10_2)
    assert found is not None
    shown = found.read(f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}")
    assert isinstance(shown, str)
    data = base64.b64decode(shown)
    assert int.from_bytes(data, "big", signed=True) == cents
    assert len(data) == 1 or int.from_bytes(data[1:], "big", signed=True) != int.from_bytes(data, "big", signed=True)


@given(st.integers())
def test_negative_scales(number: int) -> None:
    """A numeric(5,-2) has hundreds as its unit."""
    found = special(ColumnType(1700, modifier=(5 << 16 | (-2 & 0x7FF)) + 4))
    assert found is not None
    assert found.read(f"{number * 100}") == unscaled(number)


@given(st.datetimes())
def test_days_and_microseconds(moment: datetime.datetime) -> None:
    """The same calendar as Python's."""
    epoch = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  # a timestamp without a zone
    assert days(str(moment.date())) == (moment.date() - epoch.date()).days
    assert moment_us(str(moment)) == (moment - epoch) // datetime.timedelta(microseconds=1)
