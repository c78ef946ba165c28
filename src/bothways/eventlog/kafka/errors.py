"""What librdkafka's errors mean for whoever asked. None of them repeats a secret of the options."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from bothways.model.errors import BothwaysError, Forbidden, Refused, SettingsError, Unavailable

FORBIDDEN = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.SECURITY_DISABLED,
    }
)

NO_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)

_ALERT = re.compile(
    r"SSL routines:.* alert (certificate|bad certificate|unsupported certificate|unknown ca|access denied)"
)

_REFUSED = {
    KafkaError.MSG_SIZE_TOO_LARGE: "raise max.message.bytes of the topic and message.max.bytes in [log.kafka], or leave"
    " the large column out of the mapping",
    KafkaError.RECORD_LIST_TOO_LARGE: "raise max.message.bytes of the topic, or leave the large column out",
    KafkaError.INVALID_RECORD: "a message without a key cannot be on a compacted topic",
    KafkaError.INVALID_MSG: "see the broker's log",
}


def translated(error: KafkaError, doing: str) -> BothwaysError:
    """As an error of ours. ``doing`` says what was being done."""
    code = error.code()
    message = f"{doing}: Kafka says {error.name()}, {error.str()}"
    if code in FORBIDDEN:
        return Forbidden(message, hint="check the login in [log.kafka] and its permissions on the broker")
    if _is_distrust(error):
        return Forbidden(
            message, hint="check security.protocol and the ssl.* of [log.kafka]: who signed which certificate"
        )
    if code in _REFUSED:
        return Refused(message, hint=_REFUSED[code])
    if code in NO_TOPIC:
        return SettingsError(message, hint="`bothways setup` makes the topics")
    return Unavailable(message, hint="check that the brokers run and can be reached")


def reason(exception: KafkaException) -> KafkaError:
    """What confluent-kafka raised, unpacked."""
    error = exception.args[0]
    assert isinstance(error, KafkaError)
    return error


def _is_distrust(error: KafkaError) -> bool:
    """Whether one side does not accept the other's certificate, which no time mends; a broker that goes away does not.

    With TLS 1.3 a client learns only after the handshake that its own is refused: as a lost connection.
    """
    text = error.str()
    return (error.code() == KafkaError._SSL and " eof" not in text) or _ALERT.search(text) is not None


class Trouble:
    """What a client's ``error_cb`` told: it is called in whichever thread serves the client's callbacks."""

    def __init__(self, doing: str, heard: Callable[[BothwaysError], None] = lambda _: None) -> None:
        self._doing = doing
        self._heard = heard
        self._lock = threading.Lock()
        self._fatal: BothwaysError | None = None
        self._passing: BothwaysError | None = None

    def note(self, error: KafkaError) -> None:
        """For ``error_cb``. Single connections come and go; what counts is when none is left, or none is let in."""
        problem = translated(error, self._doing)
        final = error.fatal() or isinstance(problem, Forbidden)
        with self._lock:
            if error.fatal():
                self._fatal = problem
            if final or (error.code() == KafkaError._ALL_BROKERS_DOWN and self._passing is None):
                self._passing = problem
        if final:
            self._heard(problem)

    def over(self) -> None:
        """Something worked."""
        self._passing = None

    @property
    def fatal(self) -> bool:
        """Whether only a new client gets over it."""
        return self._fatal is not None

    def take(self) -> BothwaysError | None:
        """What is to be told now: once each time it occurs, but for what is fatal."""
        with self._lock:
            passing, self._passing = self._passing, None
            return self._fatal or passing
