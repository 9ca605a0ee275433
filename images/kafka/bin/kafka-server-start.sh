#!/bin/sh
# kafka-server-start.sh server.properties [--override property=value]...: the same as in the official image.
exec "$(dirname -- "$0")/run-class.sh" kafka.Kafka "$@"
