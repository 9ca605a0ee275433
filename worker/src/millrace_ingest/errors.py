"""What can go wrong in a bridge.

IngestError
├── SettingsInvalid         the process cannot start
├── BrokerUnavailable       RabbitMQ does not answer, or takes no messages: records wait
└── KafkaUnavailable        Kafka does not answer a question: it is asked again
"""


class IngestError(Exception):
    """Base of all errors that the bridge raises itself."""


class SettingsInvalid(IngestError):  # noqa: N818 - it says what happened
    """The environment or the configuration file of this process is incomplete or wrong."""


class BrokerUnavailable(IngestError):  # noqa: N818 - it says what happened
    """RabbitMQ does not answer, or takes no messages."""


class KafkaUnavailable(IngestError):  # noqa: N818 - it says what happened
    """Kafka does not answer."""
