"""A table with a column of each type, and rows with what is usual and unusual in each."""

from __future__ import annotations

from collections.abc import Sequence

SETUP = (
    "create type mood as enum ('glad', 'sad')",
    "create domain price as numeric(10,2)",
)

COLUMNS = {
    "id": "bigint primary key",
    "b": "boolean",
    "small": "smallint",
    "i": "int",
    "n": "numeric(10,2)",
    "nn": "numeric",
    "price": "price",
    "f": "double precision",
    "r": "real",
    "s": "varchar(20) not null default 'none'",
    "padded": "char(4)",
    "tx": "text",
    "by": "bytea",
    "d": "date",
    "t": "time",
    "t0": "time(0)",
    "tz": "timetz",
    "dt": "timestamp",
    "dt3": "timestamp(3)",
    "ts": "timestamptz",
    "ts3": "timestamptz(3)",
    "iv": "interval",
    "u": "uuid",
    "j": "json",
    "jb": "jsonb",
    "mood": "mood",
    "inet": "inet",
    "cidr": "cidr",
    "mac": "macaddr",
    "bits": "bit(10)",
    "m": "money",
    "o": "oid",
    "ir": "int4range",
    "a": "int[]",
    "big": "bigint[]",
    "texts": "text[]",
}
"""Those that a sink can fill."""

MORE = {
    "vb": "varbit(12)",
    "bit1": "bit",
    "na": "numeric(10,2)[]",
    "p": "point",
    "nm": "name",
    "lsn": "pg_lsn",
    "moods": "mood[]",
    "da": "date[]",
    "tsa": "timestamp[]",
    "tstza": "timestamptz[]",
    "ba": "bytea[]",
    "boola": "bool[]",
    "fa": "float8[]",
    "ua": "uuid[]",
    "ja": "jsonb[]",
    "tsv": "tsvector",
    "sm": "smallint[]",
    "required": "numeric not null default 7",
}
"""And those for which Debezium has a form, or none."""

USUAL = {
    "b": "true",
    "small": "-7",
    "i": "5",
    "n": "12.50",
    "nn": "1e3",
    "price": "9.99",
    "f": "1.5",
    "r": "0.1",
    "s": "'é'",
    "padded": "'ab'",
    "tx": "E'line\\n\"two\"\\\\'",
    "by": "'\\x00ff'",
    "d": "'2026-11-22'",
    "t": "'12:34:56.789012'",
    "t0": "'12:34:56'",
    "tz": "'12:34:56.5+02'",
    "dt": "'2026-11-22 12:34:56.123456'",
    "dt3": "'2026-11-22 12:34:56.123'",
    "ts": "'2026-11-22 12:34:56.123456+02'",
    "ts3": "'2026-11-22 12:34:56.1+02'",
    "iv": "'1 day 03:00:00'",
    "u": "'6f1c1d9e-7a0b-4c55-8d3e-000000000001'",
    "j": "'{\"a\": 1}'",
    "jb": "'{\"a\":[1,2.5,null]}'",
    "mood": "'glad'",
    "inet": "'10.0.0.1'",
    "cidr": "'10.0.0.0/8'",
    "mac": "'08:00:2b:01:02:03'",
    "bits": "b'1010101010'",
    "m": "'$1,234.56'",
    "o": "4000000000",
    "ir": "'[1,5)'",
    "a": "'{1,null,3}'",
    "big": "'{1,9223372036854775807}'",
    "texts": '\'{"a,b","NULL",null}\'',
}

MORE_USUAL = {
    "vb": "b'101'",
    "bit1": "b'1'",
    "na": "'{1.50,null}'",
    "p": "'(1,-2.5)'",
    "nm": "'a name'",
    "lsn": "'0/16B3748'",
    "moods": "'{glad,sad}'",
    "da": "'{2026-11-22}'",
    "tsa": "'{2026-11-22 12:34:56.5}'",
    "tstza": "'{2026-11-22 12:34:56.5+02}'",
    "ba": "'{\"\\\\x00ff\"}'",
    "boola": "'{t,f,null}'",
    "fa": "'{1.5,NaN}'",
    "ua": "'{6f1c1d9e-7a0b-4c55-8d3e-000000000001}'",
    "ja": "array['{\"a\":1}'::jsonb]",
    "tsv": "'a fat cat'",
    "sm": "'{1,2}'",
}

EDGES: Sequence[tuple[str, str]] = [
    ("nn", "123456789012345678901234567890.123"),
    ("nn", "-0.5"),
    ("n", "-1.05"),
    ("n", "0"),
    ("f", "1"),
    ("f", "1e300"),
    ("f", "-1e-300"),
    ("r", "16777216"),
    ("d", "'12026-01-01'"),
    ("d", "'1500-01-01'"),
    ("d", "'1969-12-31'"),
    ("dt", "'1500-01-01 00:00:00.5'"),
    ("dt", "'1969-12-31 23:59:59.999999'"),
    ("ts", "'2026-01-01 00:00:00.1+00'"),
    ("ts", "'1969-12-31 23:59:59.999999+00'"),
    ("tz", "'00:30:00+02'"),
    ("iv", "'-1 day'"),
    ("iv", "'-0.000001 seconds'"),
    ("by", "''"),
    ("tx", "''"),
    ("tx", "'ends with n'"),
    ("texts", "'{}'"),
    ("a", "'{-2147483648,2147483647}'"),
    ("m", "'-$1.50'"),
    ("bits", "b'1000000000'"),
    ("bits", "b'0000000001'"),
    ("inet", "'10.0.0.1/24'"),
    ("inet", "'::1'"),
    ("ir", "'empty'"),
    ("o", "1"),
]
"""A column each, and a value at the edge of what it can say."""

BEYOND: Sequence[tuple[str, str]] = [
    ("vb", "b'111111111111'"),
    ("nn", "'NaN'"),
    ("n", "'NaN'"),
    ("nn", "'-Infinity'"),
    ("f", "'NaN'"),
    ("f", "'-Infinity'"),
    ("r", "'Infinity'"),
    ("d", "'infinity'"),
    ("d", "'-infinity'"),
    ("d", "'0044-03-15 BC'"),
    ("dt", "'infinity'"),
    ("dt", "'-infinity'"),
    ("dt", "'0044-03-15 00:00:00 BC'"),
    ("dt", "'292000-01-01'"),
    ("dt3", "'infinity'"),
    ("ts", "'infinity'"),
    ("ts", "'-infinity'"),
    ("ts", "'0044-03-15 00:00:00+00 BC'"),
    ("ts", "'12026-01-01 00:00:00+00'"),
    ("t", "'24:00:00'"),
    ("tz", "'24:00:00+00'"),
    ("iv", "'1 year -2 mons 3.5 seconds'"),
    ("iv", "'1000000 days'"),
    ("vb", "b''"),
    ("a", "'{{1,2},{3,4}}'"),
    ("a", "'[0:1]={5,6}'"),
]
"""The same, for what the copy in another database cannot say, or not alike."""


def create(columns: dict[str, str]) -> Sequence[str]:
    """The statements that make the table ``shapes``."""
    return [*SETUP, f"create table shapes ({', '.join(f'{name} {kind}' for name, kind in columns.items())})"]


def insert(number: int, values: dict[str, str]) -> str:
    """The statement for a row."""
    return f"insert into shapes (id, {', '.join(values)}) values ({number}, {', '.join(values.values())})"
