"""The outbox: where triggers put what changes in the mapped tables, and the trigger function that does it.

A row of it is one change: the old and the new row as PostgreSQL prints them, and which *shape* the table had (names and
types of its columns). Nothing in the function names a column of the user's: whatever somebody does to the table, the
function cannot fail for it. A new shape is written down by the first change that meets it.

``tick`` says what was handed out: a tick is a snapshot, and its changes are those that it shows and the tick before
does not. So a change that commits late belongs to a later tick; none is skipped, and nobody waits for the oldest
transaction. A tick's position lies in the same numbers as positions in the WAL, so that both ways of capture compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.connectors.postgres.values import SESSION

CHANNEL = "bothways"
"""What the triggers notify while capture sleeps."""
LOCK = 5_279_410_386_218
"""Any number: the advisory lock that whoever reads the outbox holds."""
ASLEEP = LOCK + 1
"""The advisory lock that it holds while it is to be woken up. Triggers look at it, and notify only then: transactions
that notify commit one after the other, so that writers would wait for each other all the time."""
TRIGGER, TRUNCATE_TRIGGER = "!bothways", "!bothways_truncate"
"""Triggers fire in the order of their names: ours before one of the application's that writes the row again."""
MARKER = "m"
"""The operation of a row that carries a transaction's origin."""

TABLES = """
CREATE TABLE bothways.outbox (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  operation "char" NOT NULL,
  relation oid,
  shape bigint,
  old text,
  new text,
  PRIMARY KEY (xid, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 100000000);
CREATE TABLE bothways.shape (id bigint NOT NULL, description text NOT NULL);
CREATE INDEX shape_id ON bothways.shape (id);
CREATE TABLE bothways.tick (position bigint PRIMARY KEY, snapshot pg_snapshot NOT NULL);
CREATE TABLE bothways.handover (slot text NOT NULL, position bigint NOT NULL);
"""

FIRST_TICK = """
INSERT INTO bothways.tick SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, pg_current_snapshot()
RETURNING position
"""

_SETTINGS = "\n".join(f"SET {name} = '{value}'" for name, value in SESSION.items() if name != "client_encoding")

_WAKE = f"""
    IF pg_try_advisory_lock_shared({ASLEEP}) THEN
      PERFORM pg_advisory_unlock_shared({ASLEEP});
    ELSE
      PERFORM pg_notify('{CHANNEL}', '');
    END IF;"""
"""Not held to the transaction's end: a long one would keep capture from saying that it sleeps."""

_BODY = f"""
DECLARE
  statement text := TG_RELID || ' ' || statement_timestamp();
  current bigint;
BEGIN
  -- Within a statement a table keeps its shape: who writes it has it locked.
  IF current_setting('bothways.statement', true) = statement THEN
    current := current_setting('bothways.shape');
  ELSE
    SELECT hashtextextended(TG_RELID || ARRAY(
      SELECT ROW(attnum, attname, atttypid, atttypmod, attnotnull, attgenerated) FROM pg_attribute
      WHERE attrelid = TG_RELID AND attnum > 0 AND NOT attisdropped ORDER BY attnum)::text, 0) INTO current;
    IF NOT EXISTS (SELECT FROM bothways.shape WHERE id = current) THEN
      INSERT INTO bothways.shape SELECT current, json_build_object(
        'columns', (SELECT json_agg(json_build_array(attnum, attname, atttypid::bigint, atttypmod, attgenerated <> '')
                                    ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = TG_RELID AND attnum > 0 AND NOT attisdropped),
        'key', (SELECT indkey::int2[] FROM pg_index WHERE indrelid = TG_RELID AND indisprimary));
    END IF;
    PERFORM set_config('bothways.statement', statement, true), set_config('bothways.shape', current::text, true);{_WAKE}
  END IF;
  INSERT INTO bothways.outbox (operation, relation, shape, old, new)
  VALUES (lower(left(TG_OP, 1))::"char", TG_ARGV[0]::oid, current, OLD::text, NEW::text);
  RETURN NULL;
END
"""  # noqa: S608 - of our own parts


def function(oid: int) -> tuple[str, str]:
    """The trigger function of a table (by its object id): its name as SQL, and the statements that make it.

    Each table has one of its own, although all are alike: with it goes its trigger, which only the table's owner could
    drop otherwise. Nobody may call it; to fire a trigger, nobody has to.
    """
    name = f"bothways.capture_{oid}"
    return name, (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n"
        f"SET search_path = pg_catalog, pg_temp\n{_SETTINGS}\nAS $body${_BODY}$body$;\n"
        f"REVOKE ALL ON FUNCTION {name}() FROM PUBLIC"
    )


def triggers(table: str, oid: int) -> str:
    """The statement that puts the triggers on a table (its name as SQL).

    Its object id is their argument: the trigger of a partition so names the table that people know.
    """
    name, _ = function(oid)
    return (
        f'CREATE TRIGGER "{TRIGGER}" AFTER INSERT OR UPDATE OR DELETE ON {table}\n'
        f"FOR EACH ROW EXECUTE FUNCTION {name}('{oid}');\n"
        f'CREATE TRIGGER "{TRUNCATE_TRIGGER}" AFTER TRUNCATE ON {table}\n'
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}('{oid}')"
    )


MARK = b"INSERT INTO bothways.outbox (operation, new) VALUES ('m', %s)"
"""With a marker's content. It stands among its transaction's changes, as the marker in the WAL does."""

COVERED = """
SELECT c.oid::bigint, n.nspname::text, c.relname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (SELECT count(*) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
       WHERE t.tgrelid = c.oid AND t.tgparentid = 0 AND t.tgenabled IN ('O', 'A')
         AND p.pronamespace = to_regnamespace('bothways') AND t.tgargs = convert_to(c.oid::text, 'UTF8') || '\\x00'
      ) = 2
"""
"""The tables whose changes the outbox gets."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A snapshot, and its position."""

    position: int
    next: int
    """The first transaction that had not begun."""
    running: frozenset[int]
    """Those that had begun and not ended."""

    @classmethod
    def parse(cls, position: int, snapshot: str) -> Tick:
        """``snapshot`` as PostgreSQL prints it: ``xmin:xmax:xip,…``."""
        _, after, running = snapshot.split(":")
        return cls(position, int(after), frozenset(int(xid) for xid in running.split(",") if xid))

    def rows(self, until: Tick | None = None) -> Mapping[str, object]:
        """The parameters for ``SINCE``: what this tick does not show (and a later one does)."""
        return {
            "running": _array(self.running),
            "after": str(self.next),
            "before": str(until.next) if until else None,
            "excluded": _array(until.running) if until else "{}",
        }


def _array(xids: frozenset[int]) -> str:
    return "{" + ",".join(map(str, sorted(xids))) + "}"


ANY_SINCE = """
(EXISTS (SELECT FROM bothways.outbox WHERE xid = ANY(%(running)s::xid8[]))
 OR EXISTS (SELECT FROM bothways.outbox WHERE xid >= %(after)s::xid8))
"""
SINCE = """
(SELECT * FROM bothways.outbox WHERE xid = ANY(%(running)s::xid8[]) AND xid <> ALL(%(excluded)s::xid8[])
 UNION ALL
 SELECT * FROM bothways.outbox WHERE xid >= %(after)s::xid8 AND xid < %(before)s::xid8
   AND xid <> ALL(%(excluded)s::xid8[]))
"""
"""Two ranges of the index, so that what others left behind before them, dead or alive, is not looked at."""
