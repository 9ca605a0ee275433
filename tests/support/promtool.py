"""Prometheus' own tool for rules and configurations, in the image of the chart's Prometheus."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from containers import Container


@contextmanager
def promtool(folder: Path, files: Mapping[str, str]) -> Iterator[Container]:
    """Answer a container that has the folder at /rules, and with these files also at /etc/millrace, as in the pod."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    # Prometheus' user reads what pytest made for ours alone.
    folder.chmod(0o755)
    mounts = [f"--volume={folder}:{place}:ro" for place in ("/rules", "/etc/millrace")]
    container = Container(
        image="millrace/prometheus:dev", ports={}, options=[*mounts, "--entrypoint=sleep"], command=["infinity"]
    )
    container.create()
    try:
        yield container
    finally:
        container.remove()
