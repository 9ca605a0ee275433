"""A server of MongoDB's protocol: mongo-java-server, an emulation that keeps everything in memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from containers import free_port
from java_servers import SMALL, jars, running
from pymongo import MongoClient
from pymongo.errors import PyMongoError

PROGRAM = """
import de.bwaldvogel.mongo.*;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;
public class Server {
  public static void main(String[] arguments) throws Exception {
    // Drivers of today want a newer wire version than its newest constant has.
    MongoVersion version = new MongoVersion() {
      public String toVersionString() { return "5.0.0"; }
      public List<Integer> getVersionArray() { return List.of(5, 0, 0); }
      public int getWireVersion() { return 13; }
    };
    new MongoServer(new MemoryBackend().version(version)).bind("127.0.0.1", Integer.parseInt(arguments[0]));
    Thread.currentThread().join();
  }
}
"""


@contextmanager
def mongo() -> Iterator[str]:
    """Run it for the time of the block, and answer its URL."""
    folder, port = jars("mongo"), free_port()

    def is_ready() -> bool:
        try:
            with MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=500) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    with tempfile.TemporaryDirectory(prefix="millrace-mongo-") as source:
        program = Path(source) / "Server.java"
        program.write_text(PROGRAM)
        arguments = [*SMALL, "-Xmx128m", "-cp", f"{folder}/*", str(program), str(port)]
        with running(arguments, what="mongo-java-server", is_ready=is_ready):
            yield f"mongodb://127.0.0.1:{port}/celery"
