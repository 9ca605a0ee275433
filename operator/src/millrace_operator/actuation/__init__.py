"""Everything that the operator writes: replicas, status, Events, messages."""
