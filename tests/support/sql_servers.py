"""PostgreSQL and MariaDB for tests, each in a container with its data in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from containers import Container, docker, free_port
from needs import is_missing

IMAGE = "millrace/sql:dev"

POSTGRESQL = """
initdb -D /data/p -A trust -U celery --no-sync -E UTF8 >/dev/null &&
echo 'host all all all trust' >> /data/p/pg_hba.conf &&
exec postgres -D /data/p -c listen_addresses='*' -c unix_socket_directories=/data -c fsync=off \
  -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB
"""

MARIADB = """
mariadb-install-db --no-defaults --datadir=/data/m --auth-root-authentication-method=normal --skip-test-db >/dev/null &&
printf '%s\\n' 'create database celery;' "create user celery@'%' identified by 'c';" \
  "grant all on celery.* to celery@'%';" \
  > /data/init.sql &&
exec mariadbd --no-defaults --datadir=/data/m --bind-address=0.0.0.0 --socket=/data/m.sock --pid-file=/data/m.pid \
  --innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 --skip-log-bin --skip-name-resolve \
  --init-file=/data/init.sql
"""


@contextmanager
def postgresql() -> Iterator[str]:
    """Run PostgreSQL for the time of the block, and answer its URL."""
    with _server(POSTGRESQL, 5432, ("createdb", "-h", "127.0.0.1", "-U", "celery", "celery")) as port:
        yield f"postgresql://celery@127.0.0.1:{port}/celery"


@contextmanager
def mariadb() -> Iterator[str]:
    """Run MariaDB for the time of the block, and answer its URL."""
    probe = ("mariadb", "-h", "127.0.0.1", "-u", "celery", "-pc", "-e", "select 1", "celery")
    with _server(MARIADB, 3306, probe) as port:
        yield f"mysql://celery:c@127.0.0.1:{port}/celery"


@contextmanager
def _server(script: str, inside: int, until: tuple[str, ...]) -> Iterator[int]:
    if not docker("images", "--quiet", IMAGE):
        is_missing(f"needs the image {IMAGE}: run local/images.sh build sql")
    port = free_port()
    container = Container(
        image=IMAGE,
        ports={inside: port},
        command=["sh", "-c", script],
        options=["--tmpfs=/data:mode=1777,size=512m", "--env=HOME=/data"],
    )
    container.create()
    try:
        container.wait_for(*until)
        yield port
    finally:
        container.remove()
