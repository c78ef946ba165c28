"""Kafka over TLS: the broker's certificate is checked, the login is salted, a client may have a certificate."""

from __future__ import annotations

import asyncio

import pytest

from bothways.eventlog.kafka import KafkaLog
from bothways.model.errors import Forbidden, SettingsError
from bothways.ports import Message, Topic
from tests.servers.certificates import KEY_PASSWORD
from tests.servers.kafka import SCRAM, Secured
from tests.suites.log.support import collect, numbers, unique

SOON = 30.0
"""Seconds: less than the time-outs for brokers that do not answer add up to, on a machine that has much to do."""


def with_login(secured: Secured, **other: str) -> dict[str, str]:
    """SASL_SSL; other options by name, with _ for the dot."""
    own = {name.replace("_", "."): value for name, value in other.items()}
    return {"security.protocol": "SASL_SSL", "ssl.ca.location": f"{secured.certificates}/ca.pem", **SCRAM, **own}


def with_certificate(secured: Secured, **other: str) -> dict[str, str]:
    """SSL, both sides."""
    folder = secured.certificates
    return {
        "security.protocol": "SSL",
        "ssl.ca.location": f"{folder}/ca.pem",
        "ssl.certificate.location": f"{folder}/client.pem",
        "ssl.key.location": f"{folder}/client-key.pem",
        "ssl.key.password": KEY_PASSWORD,
    } | {name.replace("_", "."): value for name, value in other.items()}


@pytest.mark.parametrize("way", ["login", "certificate"])
async def test_everything_works_over_tls(kafka_secured: Secured, way: str) -> None:
    """Topics are made, messages go there and come back."""
    if way == "login":
        log = KafkaLog(kafka_secured.scram, with_login(kafka_secured))
    else:
        log = KafkaLog(kafka_secured.mutual, with_certificate(kafka_secured))
    topic = unique("topic")
    await log.ensure([Topic(topic, partitions=1)])
    await log.append([Message(topic, b"k", b"1")])
    consumer = log.consumer(unique("group"), [topic], lambda _: None)
    assert numbers(await collect(consumer, 1)) == [1]
    await consumer.close()
    await log.close()


async def refusals(log: KafkaLog) -> list[Forbidden]:
    """What appending, reading and asking say."""
    consumer = log.consumer("g", ["t"], lambda _: None)
    found = []
    async with asyncio.timeout(SOON):
        for refused in (log.append([Message("t", b"k", b"v")]), consumer.poll(1, 60.0), log.ensure([Topic("t")])):
            with pytest.raises(Forbidden) as refusal:
                await refused
            found.append(refusal.value)
    await consumer.close()
    await log.close()
    return found


async def test_a_wrong_password_is_told_and_not_shown(kafka_secured: Secured) -> None:
    """Soon, as what it is."""
    log = KafkaLog(kafka_secured.scram, with_login(kafka_secured, sasl_password="wr0ngpassword"))
    for error in await refusals(log):
        assert "[log.kafka]" in error.hint
        assert "wr0ngpassword" not in repr(error) + str(error)


async def test_a_broker_that_nobody_known_signed_is_not_trusted(kafka_secured: Secured) -> None:
    """Nothing is sent to it, the password least of all; the error names what to look at."""
    stranger = f"{kafka_secured.certificates}/stranger.pem"
    log = KafkaLog(kafka_secured.scram, with_login(kafka_secured, ssl_ca_location=stranger))
    for error in await refusals(log):
        assert "certificate verify failed" in error.message
        assert "ssl.*" in error.hint


async def test_a_client_without_a_certificate_is_told_so(kafka_secured: Secured) -> None:
    """Where the broker wants one."""
    options = {"security.protocol": "SSL", "ssl.ca.location": f"{kafka_secured.certificates}/ca.pem"}
    for error in await refusals(KafkaLog(kafka_secured.mutual, options)):
        assert "ssl" in error.message.lower()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("ssl_key_password", "wr0ngpassword", "ssl.key.location"),
        ("ssl_ca_location", "nowhere.pem", "ssl.ca.location"),
        ("ssl_certificate_location", "nowhere.pem", "ssl.certificate.location"),
    ],
)
async def test_files_that_cannot_be_used_are_settings_errors(
    kafka_secured: Secured, option: str, value: str, says: str
) -> None:
    """Before any broker is asked; the key's password is not shown."""
    with pytest.raises(SettingsError, match=says) as refused:
        await KafkaLog(kafka_secured.mutual, with_certificate(kafka_secured, **{option: value})).ensure([Topic("t")])
    assert "wr0ngpassword" not in str(refused.value)
