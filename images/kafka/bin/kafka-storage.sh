#!/bin/sh
# kafka-storage.sh format|info|random-uuid ...: the same as in the official image.
exec "$(dirname -- "$0")/run-class.sh" kafka.tools.StorageTool "$@"
