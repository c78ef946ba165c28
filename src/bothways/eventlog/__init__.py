"""Topics of keyed messages: Kafka, or SQLite on one machine."""
