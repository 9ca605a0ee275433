"""A Kubernetes API server of its own: etcd and kube-apiserver as processes, without nodes or controllers.

For what is about thousands of objects and not about pods: ten thousand jobs in a shared cluster would slow down all
that is measured there afterwards. The programs are those of the local cluster, which `make cluster` builds.
"""

import ssl
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import yaml

from millrace_loadtest.pipeline.servers import Program, free_port, wait_for

ROOT: Final = Path(__file__).resolve().parents[4]
PROGRAMS: Final = ROOT / ".local" / "node" / "bin"
CRDS: Final = ROOT / "manifests" / "crds"
LIMIT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where it listens, and how its administrator shows who they are."""

    address: str
    token: str
    certificate: Path

    @property
    def headers(self) -> dict[str, str]:
        """What each request carries."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def trust(self) -> ssl.SSLContext:
        """The certificate that it made for itself, and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def write_kubeconfig(self, path: Path) -> Path:
        """Write the file by which programs find it."""
        cluster = {"server": self.address, "certificate-authority": str(self.certificate)}
        context = {"cluster": "bench", "user": "bench"}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "bench", "cluster": cluster}],
                    "users": [{"name": "bench", "user": {"token": self.token}}],
                    "contexts": [{"name": "bench", "context": context}],
                    "current-context": "bench",
                }
            )
        )
        return path


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run one with the resource definitions of this repository."""
    folder.mkdir(parents=True, exist_ok=True)
    etcd_port, peer_port, port = free_port(), free_port(), free_port()
    etcd, peer = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    token = uuid.uuid4().hex
    (folder / "tokens.csv").write_text(f"{token},bench,bench,system:masters\n")
    _write_key(folder / "accounts.key")
    store = [str(PROGRAMS / "etcd"), f"--data-dir={folder}/etcd", "--unsafe-no-fsync"]
    store += [f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}"]
    store += [f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]
    # One binary for all of Kubernetes; it goes by the name under which it was called.
    program = folder / "kube-apiserver"
    program.symlink_to(PROGRAMS / "kubernetes")
    command = [str(program), f"--etcd-servers={etcd}", f"--cert-dir={folder}/certs", f"--secure-port={port}"]
    command += ["--bind-address=127.0.0.1", f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC"]
    command += [f"--service-account-{use}-file={folder}/accounts.key" for use in ("key", "signing-key")]
    command += ["--service-account-issuer=https://bench", "--service-cluster-ip-range=10.0.0.0/24"]
    command += ["--disable-admission-plugins=ServiceAccount"]
    with Program(store, {}, folder / "etcd.log"), Program(command, {}, folder / "api.log"):
        server = ApiServer(f"https://127.0.0.1:{port}", token, folder / "certs" / "apiserver.crt")
        wait_for(lambda: _is_ready(server), what=f"the API server; see {folder}/api.log", limit_seconds=LIMIT_SECONDS)
        _define_resources(server)
        yield server


def _write_key(path: Path) -> None:
    """Make a key for tokens of service accounts, of which there will be none; the server insists on one."""
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_SECONDS)  # noqa: S603 - our words


def _is_ready(server: ApiServer) -> bool:
    if not server.certificate.exists():
        return False
    try:
        answer = httpx.get(f"{server.address}/readyz", headers=server.headers, verify=server.trust, timeout=5)
    except httpx.HTTPError:
        return False
    return answer.is_success


def _define_resources(server: ApiServer) -> None:
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    with httpx.Client(base_url=server.address, headers=server.headers, verify=server.trust, timeout=30) as client:
        for path in sorted(CRDS.glob("*.yaml")):
            body = yaml.safe_load(path.read_text())
            client.post(definitions, json=body).raise_for_status()
            url = f"/apis/{body['spec']['group']}/v1alpha1/{body['spec']['names']['plural']}"
            wait_for(partial(_is_served, client, url), what=path.name, limit_seconds=LIMIT_SECONDS)


def _is_served(client: httpx.Client, url: str) -> bool:
    return client.get(url).is_success
