#!/bin/sh
# Run a class of Kafka in this process, with the environment variables that Kafka's own scripts know.
set -eu
kafka=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
# Several variables hold lists of options: their spaces separate.
# shellcheck disable=SC2086
exec java \
  ${KAFKA_HEAP_OPTS:--Xmx256m} \
  ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError} \
  ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=$kafka/config/log4j2.yaml} \
  ${KAFKA_OPTS:-} \
  -cp "$kafka/libs/*" "$@"
