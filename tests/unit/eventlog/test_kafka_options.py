"""Options for librdkafka pass through, but for those that would break what a log promises."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from bothways.eventlog.kafka import KafkaLog
from bothways.eventlog.kafka.errors import Trouble, translated
from bothways.eventlog.kafka.options import checked, consuming, producing
from bothways.model.errors import Forbidden, Refused, SettingsError, Unavailable


def ignore(_: KafkaError) -> None:
    """An ``error_cb``."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enable.idempotence", "false"),
        ("acks", "1"),
        ("request.required.acks", "0"),
        ("partitioner", "consistent_random"),
        ("enable.auto.commit", "true"),
        ("enable.auto.offset.store", "true"),
        ("auto.offset.reset", "latest"),
        ("bootstrap.servers", "elsewhere:9092"),
        ("group.id", "mine"),
        ("transactional.id", "mine"),
        ("delivery.report.only.error", "true"),
    ],
)
def test_what_would_break_the_log_is_refused(name: str, value: str) -> None:
    """With the option's name, so that it is found in the settings."""
    with pytest.raises(SettingsError, match=f"log.kafka.{name}"):
        KafkaLog("127.0.0.1:1", {name: value})


def test_everything_else_passes_through() -> None:
    """The settings win over our defaults; what is promised anyway may be written down."""
    own = checked({"linger.ms": "20", "acks": "all", "sasl.username": "app", "client.id": "x"})
    made = producing("a:1", own, ignore)
    assert made["linger.ms"] == "20"
    assert made["sasl.username"] == "app"
    assert made["enable.idempotence"] is True
    assert made["partitioner"] == "murmur2_random"


def test_the_brokers_own_sharing_leaves_the_session_to_them() -> None:
    """With KIP-848 librdkafka refuses options of the classic protocol, so they are not set."""
    classic = consuming("a:1", {}, ignore, "g")
    assert classic["partition.assignment.strategy"] == "cooperative-sticky"
    served = consuming("a:1", {"group.protocol": "consumer"}, ignore, "g")
    assert not {"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms"} & served.keys()


def test_an_option_that_librdkafka_does_not_know_is_named_and_no_secret_is() -> None:
    """The error can be shown to anybody."""
    with pytest.raises(SettingsError) as unknown:
        KafkaLog("127.0.0.1:1", {"no.such.option": "1", "sasl.password": "hunter2"})
    assert "no.such.option" in str(unknown.value)
    with pytest.raises(SettingsError) as wrong:
        KafkaLog("127.0.0.1:1", {"security.protocol": "hunter2", "sasl.password": "hunter2"})
    assert "hunter2" not in str(wrong.value)
    assert wrong.value.__cause__ is None
    assert wrong.value.__suppress_context__


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (KafkaError._AUTHENTICATION, Forbidden),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Forbidden),
        (KafkaError.MSG_SIZE_TOO_LARGE, Refused),
        (KafkaError.INVALID_RECORD, Refused),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, SettingsError),
        (KafkaError._MSG_TIMED_OUT, Unavailable),
        (KafkaError._TRANSPORT, Unavailable),
        (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, Unavailable),
    ],
)
def test_errors_mean_what_the_flow_understands(code: int, meaning: type[Exception]) -> None:
    """Each with a hint that says what to do."""
    error = translated(KafkaError(code), "trying")
    assert type(error) is meaning
    assert error.hint


def test_trouble_is_told_once_and_a_refused_login_at_once() -> None:
    """One broker of several that goes is nobody's trouble; all of them are; a login that is refused outweighs that."""
    heard: list[Exception] = []
    trouble = Trouble("reading", heard.append)
    trouble.note(KafkaError(KafkaError._TRANSPORT))
    assert trouble.take() is None
    trouble.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert isinstance(trouble.take(), Unavailable)
    assert trouble.take() is None
    assert not heard
    trouble.note(KafkaError(KafkaError._AUTHENTICATION))
    trouble.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert isinstance(trouble.take(), Forbidden)
    assert len(heard) == 1
    trouble.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    trouble.over()
    assert trouble.take() is None


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (KafkaError._SSL, "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed", Forbidden),
        (
            KafkaError._TRANSPORT,
            "Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required",
            Forbidden,
        ),
        (KafkaError._TRANSPORT, "error:0A000418:SSL routines::tlsv1 alert unknown ca: SSL alert number 48", Forbidden),
        (
            KafkaError._SSL,
            "SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading",
            Unavailable,
        ),
        (KafkaError._TRANSPORT, "error:0A000126:SSL routines::unexpected eof while reading", Unavailable),
        (KafkaError._TRANSPORT, "SSL handshake failed: Disconnected", Unavailable),
    ],
)
def test_a_broker_that_goes_away_is_not_one_that_is_not_trusted(
    code: int, text: str, kind: type[Forbidden] | type[Unavailable]
) -> None:
    """What concerns certificates waits for a person; a lost connection is made again."""
    assert type(translated(KafkaError(code, text), "asking")) is kind
