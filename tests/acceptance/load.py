"""People who edit both sides without a pause, and what must be true once they stop."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg

from tests.acceptance.installation import Installation


@dataclass
class Load:
    """Each side's editors in a thread of their own, until told to stop. A database that is away is waited for.

    Every record has an e-mail of its own that nobody changes: by that it can be told at the end.
    """

    installation: Installation
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    errors: list[Exception] = field(default_factory=list)
    edits: int = 0
    made: set[str] = field(default_factory=set)
    """E-mails of records that are there, as somebody was told."""
    perhaps: set[str] = field(default_factory=set)
    """Of those whose creation or deletion got no answer, and of those that somebody deleted."""

    def __enter__(self) -> Load:
        work = (self._edit_rows, self._edit_customers)
        self.threads = [threading.Thread(target=self._guarded, args=(each,)) for each in work]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def check(self) -> None:
        """Once both sides are equal: every record that was made and not deleted is there, and there once."""
        assert not self.errors, self.errors
        for side in (self.installation.rows(), self.installation.customers()):
            found = Counter(each["email"] for each in side)
            doubled = {email: count for email, count in found.items() if count > 1}
            assert not doubled, f"more than once: {doubled}"
            missing = self.made - self.perhaps - found.keys()
            assert not missing, f"lost: {sorted(missing)}"
            strange = found.keys() - self.made - self.perhaps
            assert not strange, f"nobody made: {strange}"
        letters = self.installation.letters()
        assert not letters, letters

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.errors.append(error)

    def _edit_rows(self) -> None:
        chance = random.Random(self.seed)
        while not self.stop.wait(0.1):
            with contextlib.suppress(psycopg.OperationalError):
                self._edit_while_connected(chance)

    def _edit_while_connected(self, chance: random.Random) -> None:
        with psycopg.connect(self.installation.database, autocommit=True, connect_timeout=5) as connection:
            while not self.stop.wait(chance.uniform(0.005, 0.06)):
                self._edit_row(connection, chance)

    def _edit_row(self, connection: psycopg.Connection, chance: random.Random) -> None:
        self.edits += 1
        ids = [row[0] for row in connection.execute("SELECT id FROM customers").fetchall()]
        draw = chance.random()
        if draw < 0.2 or not ids:
            email = f"row{self.edits}.{self.seed}@example.org"
            values = [f"row {self.edits}", email]
            with self._told(email):
                connection.execute("INSERT INTO customers (name, email, tier) VALUES (%s, %s, 'new')", values)
            self.made.add(email)
        elif draw < 0.93:
            column = chance.choice(("name", "phone", "city"))
            connection.execute(
                f"UPDATE customers SET {column} = %s WHERE id = %s", [f"{column} {self.edits}", chance.choice(ids)]
            )
        else:
            key = [chance.choice(ids)]
            for (email,) in connection.execute("SELECT email FROM customers WHERE id = %s", key).fetchall():
                self.perhaps.add(email)
            connection.execute("DELETE FROM customers WHERE id = %s", key)

    @contextlib.contextmanager
    def _told(self, email: str) -> Iterator[None]:
        try:
            yield
        except psycopg.OperationalError:
            self.perhaps.add(email)
            raise

    def _edit_customers(self) -> None:
        chance, admin = random.Random(self.seed + 1), self.installation.stripe.admin
        number = 0
        while not self.stop.wait(chance.uniform(0.01, 0.1)):
            number += 1
            known, draw = self.installation.customers(), chance.random()
            try:
                if draw < 0.15 or not known:
                    email = f"made{number}.{self.seed}@example.org"
                    admin.create("customer", name=f"made {number}", email=email)
                    self.made.add(email)
                elif draw < 0.95:
                    name = chance.choice(("name", "phone"))
                    admin.edit("customer", chance.choice(known)["id"], **{name: f"{name} there {number}"})
                else:
                    customer = chance.choice(known)
                    self.perhaps.add(customer["email"])
                    admin.delete("customer", customer["id"])
            except AssertionError as error:
                if "No such customer" not in str(error):  # deleted a moment ago by the other side
                    raise
