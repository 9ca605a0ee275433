"""Cassandra itself, one node in one JVM, with the keyspace and the table that results need."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cassandra import OperationTimedOut
from cassandra.cluster import Cluster, NoHostAvailable
from containers import free_port
from java_servers import jars, running

KEYSPACE = """
CREATE KEYSPACE IF NOT EXISTS celery WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
"""
TABLE = """
CREATE TABLE IF NOT EXISTS celery.tasks (task_id text, status text, result blob, date_done timestamp, traceback blob,
  children blob, PRIMARY KEY ((task_id), date_done)) WITH CLUSTERING ORDER BY (date_done DESC)
"""

CONFIGURATION = """
cluster_name: test
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
auto_bootstrap: false
endpoint_snitch: SimpleSnitch
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage}
native_transport_port: {native}
start_native_transport: true
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:{storage}"
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_segment_size: 8MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
key_cache_size: 2MiB
counter_cache_size: 0MiB
concurrent_reads: 4
concurrent_writes: 4
concurrent_counter_writes: 2
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
data_file_directories: [{folder}/data]
commitlog_directory: {folder}/commitlog
saved_caches_directory: {folder}/saved
hints_directory: {folder}/hints
"""

EXPORTS = {
    "java.base": ("jdk.internal.misc", "java.lang.ref", "jdk.internal.ref", "sun.nio.ch"),
    "java.management.rmi": ("com.sun.jmx.remote.internal.rmi",),
    "java.rmi": ("sun.rmi.registry", "sun.rmi.server"),
    "java.sql": ("java.sql",),
    "jdk.unsupported": ("sun.misc",),
}
OPENS = {
    "java.base": (
        *("java.lang", "java.lang.module", "java.lang.reflect", "java.io", "java.util", "java.util.concurrent"),
        *("java.util.concurrent.atomic", "java.nio", "java.nio.charset", "java.net", "sun.nio.ch"),
        *(f"jdk.internal.{part}" for part in ("loader", "ref", "reflect", "math", "module", "util.jar")),
    ),
    "jdk.management": ("com.sun.management.internal",),
}


@contextmanager
def cassandra() -> Iterator[str]:
    """Run it for the time of the block, and answer its URL."""
    lib, native = jars("cassandra"), free_port()
    with tempfile.TemporaryDirectory(prefix="millrace-cassandra-") as folder:
        configuration = Path(folder) / "cassandra.yaml"
        configuration.write_text(CONFIGURATION.format(folder=folder, storage=free_port(), native=native))
        with running(
            _arguments(lib, configuration), what="Cassandra", is_ready=lambda: _has_table(native), timeout_seconds=200
        ):
            yield f"cassandra://127.0.0.1:{native}/celery"


def _has_table(port: int) -> bool:
    try:
        with Cluster(["127.0.0.1"], port=port) as cluster, cluster.connect() as session:
            session.execute(KEYSPACE)
            session.execute(TABLE)
    except (NoHostAvailable, OperationTimedOut):
        return False
    return True


def _arguments(lib: Path, configuration: Path) -> list[str]:
    folder = configuration.parent
    modules = [f"--add-exports={module}/{name}=ALL-UNNAMED" for module, names in EXPORTS.items() for name in names]
    modules += [f"--add-opens={module}/{name}=ALL-UNNAMED" for module, names in OPENS.items() for name in names]
    properties = {
        "jdk.attach.allowAttachSelf": "true",
        "io.netty.tryReflectionSetAccessible": "true",
        "cassandra.config": f"file://{configuration}",
        "cassandra.storagedir": str(folder),
        "cassandra-foreground": "yes",
        "cassandra.skip_wait_for_gossip_to_settle": "0",
        "cassandra.ring_delay_ms": "100",
        "cassandra.jmx.local.port": str(free_port()),
    }
    return [
        *("-Xms256m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *modules,
        *(f"-D{name}={value}" for name, value in properties.items()),
        f"-javaagent:{next(lib.glob('jamm-*.jar'))}",
        *("-cp", f"{lib}/*", "org.apache.cassandra.service.CassandraDaemon"),
    ]
