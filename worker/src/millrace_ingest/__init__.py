"""The bridge from a Kafka topic to the tasks of a queue."""
