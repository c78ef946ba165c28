"""Types in the forms that Debezium writes by default: ``[log] encoding = "debezium"``.

Its modes ``decimal.handling.mode=precise``, ``time.precision.mode=adaptive``, ``binary.handling.mode=bytes`` and
``interval.handling.mode=numeric``: https://debezium.io/documentation/reference/stable/connectors/postgresql.html. The
special values (infinity, years before Christ) are as it was seen to write them; docs/debezium.md names what differs.
"""

from __future__ import annotations

import base64
import datetime
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bothways.connectors.postgres.types import ColumnType
from bothways.eventlog.schemas import Schema, named, plain
from bothways.model.values import Value


@dataclass(frozen=True, slots=True)
class Special:
    """A type whose form is not the readable one."""

    schema: Schema
    read: Callable[[str], Value]
    """From the database's text to the value that is shown."""


def special(type: ColumnType) -> Special | None:
    """The form of a type that is no array; None where it is the readable one."""
    make = _SPECIAL.get(type.oid)
    return make(type.modifier) if make else None


# ------------------------------------------------------------------------------------------------------------- numbers


def _numeric(modifier: int) -> Special:
    if modifier < 4:
        fields = [
            {"type": "int32", "optional": False, "field": "scale"},
            {"type": "bytes", "optional": False, "field": "value"},
        ]
        return Special({**named("struct", "io.debezium.data.VariableScaleDecimal"), "fields": fields}, _variable)
    precision, scale = (modifier - 4) >> 16, ((modifier - 4 & 0x7FF) ^ 0x400) - 0x400
    return Special(_decimal(scale, precision), lambda text: _fixed(text, scale))


def _decimal(scale: int, precision: int | None = None) -> Schema:
    parameters = {"scale": str(scale)}
    if precision is not None:
        parameters["connect.decimal.precision"] = str(precision)
    return named("bytes", "org.apache.kafka.connect.data.Decimal", **parameters)


def _fixed(text: str, scale: int) -> Value:
    if not text[-1].isdigit():
        return None  # NaN and the infinities have no such form
    whole, _, fraction = text.partition(".")
    if scale >= 0:
        return unscaled(int(whole + fraction.ljust(scale, "0")))
    return unscaled(int(whole) // 10**-scale if whole[0] != "-" else -(-int(whole) // 10**-scale))


def _variable(text: str) -> Value:
    if not text[-1].isdigit():
        return None
    whole, _, fraction = text.partition(".")
    return {"scale": len(fraction), "value": unscaled(int(whole + fraction))}


def unscaled(number: int) -> str:
    """As few bytes of two's complement as there can be, the highest first, in base64."""
    bits = (number if number >= 0 else ~number).bit_length()
    return base64.b64encode(number.to_bytes(bits // 8 + 1, "big", signed=True)).decode()


def _money(text: str) -> Value:
    """Whatever the locale prints around the digits; two of them are cents."""
    digits = int(re.sub(r"\D", "", text))
    return unscaled(-digits if "-" in text or "(" in text else digits)


def _bits(text: str) -> Value:
    """The lowest byte first, none that is zero after the last that is not."""
    number = int(text, 2) if text else 0
    return base64.b64encode(number.to_bytes((number.bit_length() + 7) // 8, "little")).decode()


def _bit(modifier: int) -> Special:
    if modifier == 1:
        return Special(plain("boolean"), lambda text: text == "1")
    return _bit_varying(modifier)


def _bit_varying(modifier: int) -> Special:
    length = str(modifier if modifier > 0 else 2**31 - 1)
    return Special(named("bytes", "io.debezium.data.Bits", length=length), _bits)


# --------------------------------------------------------------------------------------------------------------- times

_DATE = re.compile(r"(\d+)-(\d\d)-(\d\d)")
_CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d+))?")
_ZONE = re.compile(r"([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$")
_DURATION = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d+))?S)?)?"
)
DAY_US = 86_400_000_000
MONTH_US = DAY_US * 487 // 16
"""A twelfth of 365.25 days."""
_ENDLESS_DAYS = {"infinity": -2_147_472_692, "-infinity": -2_147_472_691}
_ENDLESS_US = {"infinity": 9_223_372_036_825_200_000, "-infinity": -9_223_372_036_832_400_000}


def days(text: str) -> int:
    """Of a date: days since 1970, by the Gregorian calendar at all times."""
    if len(text) == 10 and text[0].isdigit():
        return datetime.date.fromisoformat(text).toordinal() - 719_163
    found = _DATE.match(text)
    if found is None:
        return _ENDLESS_DAYS[text]
    year, month, day = map(int, found.groups())
    year = 1 - year if text.endswith("BC") else year
    # Years that begin in March, in rounds of 400 of them: 146,097 days each.
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    rounds, of_round = divmod(year, 400)
    return rounds * 146_097 + of_round * 365 + of_round // 4 - of_round // 100 + (153 * month + 2) // 5 + day - 719_469


def clock_us(text: str) -> int:
    """The first time of day in a text: microseconds since midnight."""
    found = _CLOCK.search(text)
    assert found is not None, "the server prints times so"
    hours, minutes, seconds = map(int, found.groups()[:3])
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int((found[4] or "0").ljust(6, "0"))


def moment_us(text: str) -> int:
    """Of a timestamp: microseconds since 1970."""
    if len(text) > 18 and text[4] == "-" and text[-1] != "C":  # a year of four digits
        return days(text[:10]) * DAY_US + clock_us(text[11:])
    return _ENDLESS_US.get(text) or days(text) * DAY_US + clock_us(text)


def interval_us(text: str) -> int:
    """Microseconds of an interval in ISO 8601; a month is a twelfth of 365.25 days."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return _ENDLESS_US[text]
    years, months, whole_days, hours, minutes = (int(each or 0) for each in found.groups()[:5])
    seconds_us = int(found[7] or 0) * 1_000_000 + int((found[8] or "0").ljust(6, "0"))
    clock = (hours * 60 + minutes) * 60_000_000 + (-seconds_us if found[6] else seconds_us)
    return (years * 12 + months) * MONTH_US + whole_days * DAY_US + clock


def _coarse(modifier: int) -> bool:
    return 0 <= modifier <= 3


def _time(modifier: int) -> Special:
    if _coarse(modifier):
        return Special(named("int32", "io.debezium.time.Time"), lambda text: clock_us(text) // 1000)
    return Special(named("int64", "io.debezium.time.MicroTime"), clock_us)


def _timestamp(modifier: int) -> Special:
    if _coarse(modifier):
        return Special(named("int64", "io.debezium.time.Timestamp"), lambda text: moment_us(text) // 1000)
    return Special(named("int64", "io.debezium.time.MicroTimestamp"), moment_us)


def _timestamptz(modifier: int) -> Special:
    digits = modifier if modifier >= 0 else 6

    def read(text: str) -> Value:
        if text[4] == "-" and text[-3:] == "+00":  # a year of four digits
            whole, _, given = text[11:-3].partition(".")
            return f"{text[:10]}T{whole}{'.' if digits else ''}{given.ljust(digits, '0')}Z"
        found = _DATE.match(text)
        if found is None:
            return text
        year = 1 - int(found[1]) if text.endswith("BC") else int(found[1])
        sign = "-" if year < 0 else "+" if year > 9999 else ""
        fraction = f".{clock_us(text) % 1_000_000:06}"[: digits + 1] if digits else ""
        clock = _CLOCK.search(text)
        assert clock is not None
        return f"{sign}{abs(year):04}-{found[2]}-{found[3]}T{clock[1]}:{clock[2]}:{clock[3]}{fraction}Z"

    return Special(named("string", "io.debezium.time.ZonedTimestamp"), read)


def _timetz(text: str) -> Value:
    zone = _ZONE.search(text)
    assert zone is not None
    seconds = int(zone[2]) * 3600 + int(zone[3] or 0) * 60 + int(zone[4] or 0)
    us = (clock_us(text) - (seconds if zone[1] == "+" else -seconds) * 1_000_000) % DAY_US
    fraction = f".{us % 1_000_000:06}".rstrip("0").rstrip(".")
    return f"{us // 3_600_000_000:02}:{us // 60_000_000 % 60:02}:{us // 1_000_000 % 60:02}{fraction}Z"


# ------------------------------------------------------------------------------------------------------------ geometry


def _point(text: str) -> Value:
    x, y = map(float, text.strip("()").split(","))
    return {"x": x, "y": y, "wkb": base64.b64encode(struct.pack("<BIdd", 1, 1, x, y)).decode(), "srid": None}


_POINT: Schema = {
    **named("struct", "io.debezium.data.geometry.Point"),
    "fields": [
        {"type": "double", "optional": False, "field": "x"},
        {"type": "double", "optional": False, "field": "y"},
        {"type": "bytes", "optional": True, "field": "wkb"},
        {"type": "int32", "optional": True, "field": "srid"},
    ],
}

_SPECIAL: Mapping[int, Callable[[int], Special]] = {
    600: lambda _: Special(_POINT, _point),
    790: lambda _: Special(_decimal(2), _money),
    1082: lambda _: Special(named("int32", "io.debezium.time.Date"), days),
    1083: _time,
    1114: _timestamp,
    1184: _timestamptz,
    1186: lambda _: Special(named("int64", "io.debezium.time.MicroDuration"), interval_us),
    1266: lambda _: Special(named("string", "io.debezium.time.ZonedTime"), _timetz),
    1560: _bit,
    1562: _bit_varying,
    1700: _numeric,
}
