"""bothways keeps a database and SaaS systems in step, both ways, in real time."""

__version__ = "0.1.0"
