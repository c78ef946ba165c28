"""The first two minutes: a shop's PostgreSQL and Stripe kept in step before one's eyes, with nothing installed.

The database is a PostgreSQL from a wheel, Stripe is the sandbox, and the sync is the program itself in a process of its
own, so that it can really be killed. Every step is something that people do on one side (``people``), looked at on
the other side (``steps``), and shown (``screen``).
"""
