"""The log on Apache Kafka, by confluent-kafka (the extra ``kafka``)."""

from bothways.eventlog.kafka.log import KafkaLog

__all__ = ["KafkaLog"]
