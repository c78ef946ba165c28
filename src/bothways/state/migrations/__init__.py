"""How the state's schema came to be what ``state/tables.py`` says: one file a change, never edited afterwards.

A file is called ``vNNNN_what_it_does.py`` and is a revision of Alembic's; CONTRIBUTING.md says how to add one.
"""
