"""Random values of every type that PostgreSQL brings, each over its full range, as texts that its input takes."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable, Mapping
from typing import Any

Make = Callable[[random.Random], str]

TYPES = """
create type mood as enum ('glad', 'so so', 'it''s "odd", {really} \\ ü');
create domain price as numeric(12, 2);
create domain tags as text[];
create type pair as (n integer, said text);
"""
LETTERS = "aZ09 _\t\n\r\\\"',;{}()[]<>%=:-/|&#äß€☃𝄞\u00a0\u2028nN"


def words(chance: random.Random, longest: int = 12) -> str:
    """Text with everything in it that may be taken for something else."""
    special = ["", "NULL", "null", "\\N", "NaN", "{}", "[]", "()", '"', "\\", "ends with n", " ", "t", "f"]
    if chance.random() < 0.3:
        return chance.choice(special)[:longest]
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(0, longest)))


def whole(bits: int) -> Make:
    """Whole numbers of so many bits, with their ends."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return lambda chance: str(chance.choice([low, high, 0, 1, -1, chance.randint(low, high)]))


def unsigned(bits: int) -> Make:
    """The same without a sign."""
    return lambda chance: str(chance.choice([0, 1, (1 << bits) - 1, chance.randrange(1 << bits)]))


def decimal(chance: random.Random) -> str:
    """Numbers without bounds."""
    if chance.random() < 0.15:
        return chance.choice(["NaN", "Infinity", "-Infinity", "0", "0.000", "-0.0", "1e1000", "1e-1000", "-1.50"])
    digits = "".join(chance.choice("0123456789") for _ in range(chance.randint(1, 60)))
    return f"{chance.choice(['', '-'])}{digits}.{digits[: chance.randint(0, 30)]}5e{chance.randint(-40, 40)}"


def floating(format: str) -> Make:
    """Any pattern of bits."""

    def make(chance: random.Random) -> str:
        if chance.random() < 0.2:
            return chance.choice(["NaN", "Infinity", "-Infinity", "0", "-0", "1", "0.1"])
        size = struct.calcsize(format)
        (number,) = struct.unpack(format, chance.randbytes(size))
        return "NaN" if math.isnan(number) else repr(number)

    return make


def moment(first: str, last: str, *, days: bool = False, zone: str = "") -> Make:
    """From before Christ to far away, and the infinities."""

    def make(chance: random.Random) -> str:
        if chance.random() < 0.25:
            return chance.choice([first, last, "infinity", "-infinity"])
        year = chance.choice([1, 44, 999, 1970, 2026, 9999, 10000, chance.randint(1, 290000)])
        before = " BC" if year < 4700 and chance.random() < 0.3 else ""
        day = f"{year:04d}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"
        return f"{day}{before}" if days else f"{day} {clock(chance)}{zone}{before}"

    return make


def clock(chance: random.Random) -> str:
    """A time of day."""
    fraction = chance.choice(["", ".5", ".000001", ".999999", ".120"])
    return f"{chance.randint(0, 23):02d}:{chance.randint(0, 59):02d}:{chance.randint(0, 59):02d}{fraction}"


def zoned_clock(chance: random.Random) -> str:
    """The same with an offset, down to its seconds."""
    offset = chance.choice(["+00", "+05:30", "-15:59", "+15:59:59", "-00:00:01"])
    return f"{chance.choice(['24:00:00', clock(chance)])}{offset}"


def interval(chance: random.Random) -> str:
    """Each part with a sign of its own."""
    parts = [("years", 170_000_000), ("days", 2_000_000_000), ("hours", 900_000_000), ("microseconds", 10**9)]
    found = [f"{chance.randint(-most, most)} {name}" for name, most in parts if chance.random() < 0.6]
    return " ".join(found) or "0"


def document(chance: random.Random, depth: int = 0) -> Any:
    """What JSON can hold."""
    if depth > 2 or chance.random() < 0.5:
        return chance.choice([None, True, False, 0, -1, 2**63, 10**40, 1.5, 1e300, -2.5e-10, words(chance)])
    if chance.random() < 0.5:
        return [document(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    return {words(chance): document(chance, depth + 1) for _ in range(chance.randint(0, 3))}


def as_json(chance: random.Random) -> str:
    """The same as text, but for a null alone: that is the same to us as no value."""
    found = document(chance)
    return json.dumps([] if found is None else found, ensure_ascii=chance.random() < 0.5)


def bits(least: int, most: int) -> Make:
    """A string of bits."""
    return lambda chance: "".join(chance.choice("01") for _ in range(chance.randint(least, most)))


def of_points(form: str, count: int) -> Make:
    """A geometric value: a form around points."""

    def make(chance: random.Random) -> str:
        number = floating(">d")
        numbers = [n if "n" not in n.lower() else "1.5" for n in (number(chance) for _ in range(2 * count))]
        return form.format(*numbers)

    return make


def span(make: Make) -> Make:
    """A range, perhaps without ends, perhaps empty."""

    def made(chance: random.Random) -> str:
        ends = sorted(float(make(chance)) for _ in range(2))
        low, high = (f"{end:.0f}" for end in ends)
        found = [f"[{low},{high}]", f"({low},{high}]", f"[{low},)", f"(,{high})", "(,)", "empty"]
        return chance.choice(found)

    return made


def spans(make: Make) -> Make:
    """A multirange."""
    return lambda chance: "{" + ",".join(span(make)(chance) for _ in range(chance.randint(0, 3))) + "}"


def days(chance: random.Random) -> str:
    """A range of times."""
    first, last = sorted(f"20{chance.randint(10, 99)}-01-01 {clock(chance)}" for _ in range(2))
    return chance.choice([f"[{first},{last})", f"({first},infinity]", "empty", f"(,{last}]"])


def several(make: Make, delimiter: str = ",", *, nested: bool = True) -> Make:
    """An array, perhaps of arrays, with nulls."""

    def made(chance: random.Random) -> str:
        width = chance.randint(0, 3)

        def row() -> str:
            items = ["NULL" if chance.random() < 0.2 else _quoted(make(chance)) for _ in range(width)]
            return "{" + delimiter.join(items) + "}"

        if nested and width and chance.random() < 0.3:
            return "{" + delimiter.join(row() for _ in range(chance.randint(1, 3))) + "}"
        return row()

    return made


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def hexadecimal(count: int, join: str = "") -> Make:
    """So many bytes."""
    return lambda chance: join.join(f"{each:02x}" for each in chance.randbytes(count))


def address(chance: random.Random) -> str:
    """A host, of either kind, perhaps with a mask."""
    four = ".".join(str(each) for each in chance.randbytes(4))
    six = ":".join(f"{chance.getrandbits(16):x}" for _ in range(8))
    return chance.choice([four, f"{four}/{chance.randint(0, 32)}", six, f"{six}/{chance.randint(0, 128)}", "::1"])


def network(chance: random.Random) -> str:
    """Nothing to the right of the mask."""
    return chance.choice(
        ["10.0.0.0/8", "192.168.100.128/25", "0.0.0.0/0", "2001:db8::/32", "::/0", "::ffff:1.2.3.0/120"]
    )


def composite(chance: random.Random) -> str:
    """A row."""
    said = words(chance).replace("\\", "\\\\").replace('"', '""')
    return chance.choice([f'({whole(32)(chance)},"{said}")', "(,)", f'(,"{said}")'])


def one_of(*texts: str) -> Make:
    """One of these."""
    return lambda chance: chance.choice(texts)


def with_bytes(chance: random.Random) -> str:
    """Any bytes."""
    return "\\x" + chance.randbytes(chance.choice([0, 1, 20, 200])).hex()


def labels(chance: random.Random) -> str:
    """Keys and values."""
    return ", ".join(f"{_quoted('k' + words(chance))}=>{_quoted(words(chance))}" for _ in range(chance.randint(0, 3)))


MOODS = ("glad", "so so", 'it\'s "odd", {really} \\ ü')
TIMESTAMPS = moment("4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999")
ZONED = moment("4713-01-01 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00", zone="+05:30")

MAKERS: Mapping[str, Make] = {
    "smallint": whole(16),
    "integer": whole(32),
    "bigint": whole(64),
    "numeric": decimal,
    "numeric(12,3)": lambda chance: f"{chance.randint(-(10**11), 10**11) / 1000:.3f}",
    "real": floating(">f"),
    "double precision": floating(">d"),
    "money": lambda chance: f"{chance.randint(-(2**62), 2**62) / 100:.2f}",
    "boolean": one_of("t", "f"),
    "text": words,
    "varchar(40)": words,
    "char(13)": words,
    "name": words,
    '"char"': one_of("a", "n", " ", "", '"'),
    "bytea": with_bytes,
    "date": moment("4713-01-01 BC", "5874897-12-31", days=True),
    "time": lambda chance: chance.choice(["24:00:00", clock(chance)]),
    "timetz": zoned_clock,
    "timestamp": TIMESTAMPS,
    "timestamp(0)": moment("4713-01-01 00:00:00 BC", "294276-12-31 23:59:59"),
    "timestamptz": ZONED,
    "interval": interval,
    "uuid": hexadecimal(16),
    "json": as_json,
    "jsonb": as_json,
    "inet": address,
    "cidr": network,
    "macaddr": hexadecimal(6, ":"),
    "macaddr8": hexadecimal(8, ":"),
    "bit(9)": bits(9, 9),
    "varbit": bits(0, 70),
    "mood": one_of(*MOODS),
    "price": lambda chance: f"{chance.randint(-(10**9), 10**9) / 100:.2f}",
    "tags": several(words),
    "pair": composite,
    "point": of_points("({},{})", 1),
    "line": one_of("{1,-1,0}", "{0.5,2.25,-3e10}"),
    "lseg": of_points("[({},{}),({},{})]", 2),
    "box": of_points("(({},{}),({},{}))", 2),
    "path": of_points("[({},{}),({},{}),({},{})]", 3),
    "polygon": of_points("(({},{}),({},{}))", 2),
    "circle": of_points("<({},{}),1.5>", 1),
    "tsvector": one_of("", "'a':1A,2 'b c':3", "'it''s':4B 'ü\\\\x'"),
    "tsquery": one_of("", "'a' & !'b' | 'c d':*", "'x' <-> 'y'"),
    "int4range": span(whole(31)),
    "int8range": span(whole(50)),
    "numrange": span(whole(70)),
    "tsrange": days,
    "int4multirange": spans(whole(31)),
    "nummultirange": spans(whole(70)),
    "pg_lsn": lambda chance: f"{chance.getrandbits(32):X}/{chance.getrandbits(32):X}",
    "oid": unsigned(32),
    "xid": unsigned(32),
    "xid8": unsigned(64),
    "tid": lambda chance: f"({chance.getrandbits(32)},{chance.getrandbits(16)})",
    "xml": one_of("<a b='1'>&lt;ü&gt;</a>", "text", "<!-- x --><y/>"),
    "hstore": labels,
    "smallint[]": several(whole(16)),
    "bigint[]": several(whole(64)),
    "numeric[]": several(decimal),
    "double precision[]": several(floating(">d")),
    "boolean[]": several(one_of("t", "f")),
    "text[]": several(words),
    "bytea[]": several(with_bytes),
    "date[]": several(moment("4713-01-01 BC", "5874897-12-31", days=True)),
    "timestamptz[]": several(ZONED),
    "interval[]": several(interval),
    "uuid[]": several(hexadecimal(16)),
    "jsonb[]": several(as_json, nested=False),  # a list in a list may be an element as well
    "mood[]": several(one_of(*MOODS)),
    "pair[]": several(composite),
    "int4range[]": several(span(whole(31))),
    "box[]": several(of_points("(({},{}),({},{}))", 2), ";"),
    "inet[]": several(address),
}
NOT_EVERYWHERE = ("xml", "hstore")
"""Built, or brought by an extension, in some servers only."""
