"""What a log, a catalogue and a remote system must offer: small Protocols, whose docstrings are the contracts.

Everything is asynchronous and runs on one event loop per process, but for ``Appender``, which any thread may use.
What only some adapters can do is a Protocol of its own.
"""

from bothways.ports.catalogue import (
    Catalogue,
    Checkpoints,
    Journal,
    LinkIndex,
    Links,
    Overdue,
    Pace,
    References,
    Rows,
    RowSearch,
    Transaction,
    Waiting,
)
from bothways.ports.log import Appender, Consumer, Delivered, Log, LogReading, Message, Partition, Topic
from bothways.ports.remote import EventFeed, RawEvent, Remote, RemotePage, RemoteSearch
from bothways.ports.service import Clock, RecordPage, Records, Role, Written

__all__ = [
    "Appender",
    "Catalogue",
    "Checkpoints",
    "Clock",
    "Consumer",
    "Delivered",
    "EventFeed",
    "Journal",
    "LinkIndex",
    "Links",
    "Log",
    "LogReading",
    "Message",
    "Overdue",
    "Pace",
    "Partition",
    "RawEvent",
    "RecordPage",
    "Records",
    "References",
    "Remote",
    "RemotePage",
    "RemoteSearch",
    "Role",
    "RowSearch",
    "Rows",
    "Topic",
    "Transaction",
    "Waiting",
    "Written",
]
