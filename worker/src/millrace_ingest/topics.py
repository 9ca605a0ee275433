"""What the bridge asks Kafka besides records: whether topics exist, and how far they reach."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined] # it exports it at run time
from confluent_kafka.cimpl import NewTopic

from millrace_ingest.errors import KafkaUnavailable
from millrace_ingest.settings import Stream
from millrace_worker.logs import get_logger

ANSWER_SECONDS: Final = 5.0

Place = tuple[str, int]

log = get_logger(__name__)


class Topics:
    """A client for questions."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        options: dict[str, Any] = {**config, "error_cb": _answers_say_it, "log_level": 0}
        self._admin = AdminClient(options)
        self._earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # the library leaves it untyped
        self._latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the library leaves it untyped

    def ensure(self, stream: Stream) -> None:
        """Make the two topics of a stream where that is wanted, or say which is missing.

        Raises:
            KafkaUnavailable: Kafka does not answer.
        """
        try:
            known = self._admin.list_topics(timeout=ANSWER_SECONDS).topics
            missing = [name for name in (stream.topic, stream.dead_letters) if name not in known]
            if missing and not stream.create_topics.enabled:
                log.error("topics are missing; create them, or set createTopics.enabled", topics=missing)
            elif missing:
                self._create(missing, stream)
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka does not say which topics it has: {error}") from error

    def identify(self, topic: str) -> str:
        """Answer Kafka's own id of a topic: one of the same name that is made anew has another.

        Raises:
            KafkaUnavailable: Kafka does not answer.
        """
        try:
            asked = self._admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_SECONDS)
            return str(asked[topic].result().topic_id)
        except KafkaException as error:
            raise KafkaUnavailable(f'Kafka does not say which topic "{topic}" is: {error}') from error

    def lag(self, stream: Stream, places: Sequence[Place]) -> dict[Place, int]:
        """Answer how many records of each partition the group has not committed; without those that nobody knows.

        Raises:
            KafkaUnavailable: Kafka does not answer.
        """
        if not places:
            self.check()
            return {}
        question = ConsumerGroupTopicPartitions(stream.group, [TopicPartition(*place) for place in places])
        try:
            starts, ends = self._offsets(places, self._earliest), self._offsets(places, self._latest)
            answers = self._admin.list_consumer_group_offsets([question], request_timeout=ANSWER_SECONDS)
            group = answers[stream.group].result()
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka does not say how far its partitions reach: {error}") from error
        known = {(one.topic, one.partition): one.offset for one in group.topic_partitions or [] if one.offset >= 0}
        # Who begins with the earliest record and has committed nothing has them all before it.
        committed = {**starts, **known} if stream.start_from == "earliest" else known
        return {place: ends[place] - max(committed[place], starts[place]) for place in places if place in committed}

    def check(self) -> None:
        """Ask anything.

        Raises:
            KafkaUnavailable: Kafka does not answer.
        """
        try:
            self._admin.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka does not answer: {error}") from error

    def _offsets(self, places: Sequence[Place], which: OffsetSpec) -> dict[Place, int]:
        asked = {TopicPartition(*place): which for place in places}
        answers = self._admin.list_offsets(asked, request_timeout=ANSWER_SECONDS)
        return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}

    def _create(self, names: Sequence[str], stream: Stream) -> None:
        wanted = stream.create_topics
        topics = [NewTopic(name, wanted.partitions, wanted.replication_factor) for name in names]
        for name, made in self._admin.create_topics(topics, operation_timeout=ANSWER_SECONDS).items():
            try:
                made.result()
                log.info("topic created", topic=name, partitions=wanted.partitions)
            except KafkaException as error:
                # Another replica of this stream was quicker.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise


def _answers_say_it(_error: KafkaError) -> None:
    """Leave out what the client says beside its answers."""
