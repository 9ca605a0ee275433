"""Where the API server of a kubeconfig's context is, and who the user is there.

The official client takes two seconds to import, so certificates, tokens and passwords are read here; only for users of
plugins (`exec`, `auth-provider`) it is asked.
"""

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from millrace.errors import Misconfigured

_LISTS: Final = {"clusters": "cluster", "contexts": "context", "users": "user"}
_PLUGINS: Final = ("exec", "auth-provider")
_FOLDER: Final = "folder of the file"
"""Relative paths of a kubeconfig begin at the file that they stand in."""

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What it takes to ask the API server."""

    server: str
    tls: ssl.SSLContext = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """One context of one or several files, which are one as kubectl sees them."""

    path: str | None
    context: str
    namespace: str
    cluster: Entry = field(repr=False)
    user: Entry = field(repr=False)

    @property
    def server_name(self) -> str:
        """Name in the server's certificate, where its address is another; empty where it is not."""
        return str(self.cluster.get("tls-server-name", ""))

    def access(self) -> Access:
        """Answer how to ask; asks a plugin where the user has one."""
        if any(plugin in self.user for plugin in _PLUGINS):
            return _asked_plugin(self)
        return Access(
            server=str(self.cluster["server"]).rstrip("/"),
            tls=_tls(self.cluster, self.user),
            headers=_headers(self.user),
            proxy=str(self.cluster.get("proxy-url", "")),
        )


def read_kubeconfig(path: str | None, context: str | None) -> Kubeconfig:
    """Read a context, that of the user's choice or the current one; raises Misconfigured."""
    merged: dict[str, dict[str, Entry]] = {kind: {} for kind in _LISTS}
    current = ""
    for file in _files(path):
        content = _read(file)
        current = current or str(content.get("current-context") or "")
        for kind, what in _LISTS.items():
            for entry in content.get(kind) or []:
                # What an earlier file says counts.
                merged[kind].setdefault(entry["name"], {**(entry.get(what) or {}), _FOLDER: file.parent})
    wanted = context or current
    try:
        chosen = merged["contexts"][wanted]
        cluster = merged["clusters"][chosen["cluster"]]
    except KeyError as error:
        known = ", ".join(sorted(merged["contexts"])) or "none"
        said = f"no context {wanted!r} with a cluster; there are: {known}" if wanted else "no current context"
        raise _not_usable(said) from error
    return Kubeconfig(
        path=path,
        context=wanted,
        namespace=str(chosen.get("namespace") or "default"),
        cluster=cluster,
        user=merged["users"].get(chosen.get("user", ""), {}),
    )


def _files(path: str | None) -> list[Path]:
    given = path or os.environ.get("KUBECONFIG", "")
    paths = [Path(each).expanduser() for each in given.split(os.pathsep) if each]
    files = [each for each in paths or [Path.home() / ".kube" / "config"] if each.is_file()]
    if not files:
        raise _not_usable(f"there is no file {given or '~/.kube/config'}")
    return files


def _read(file: Path) -> Entry:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _not_usable(f"{file} cannot be read: {type(error).__name__}") from error
    return content if isinstance(content, dict) else {}


def _not_usable(said: str) -> Misconfigured:
    return Misconfigured(
        f"no cluster is configured ({said}); give --kubeconfig or --context, or --url to ask a gateway"
    )


def _content(entry: Entry, name: str) -> bytes | None:
    """Answer what stands in the entry itself, or in the file that it names."""
    try:
        if data := entry.get(f"{name}-data"):
            return base64.b64decode(data)
        if path := entry.get(name):
            return Path(entry[_FOLDER], path).read_bytes()
    except (OSError, ValueError) as error:
        raise _not_usable(f"{name} cannot be read: {type(error).__name__}") from error
    return None


def _tls(cluster: Entry, user: Entry) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority")
    try:
        tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
        if certificate and key:
            _present(tls, certificate, key)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise _not_usable(f"its certificates cannot be used: {type(error).__name__}") from error
    return tls


def _present(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL reads both from a file only; nobody else may, and it is gone when it was read.
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        file = Path(folder, "client.pem")
        file.touch(mode=0o600)
        file.write_bytes(certificate + b"\n" + key)
        tls.load_cert_chain(file)


def _headers(user: Entry) -> dict[str, str]:
    token = user.get("token", "")
    if path := user.get("tokenFile"):
        try:
            token = Path(user[_FOLDER], path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _not_usable(f"tokenFile cannot be read: {type(error).__name__}") from error
    if token:
        return {"Authorization": f"Bearer {token}"}
    if "username" in user:
        pair = f"{user['username']}:{user.get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _asked_plugin(kubeconfig: Kubeconfig) -> Access:
    """Let the official client ask the plugin."""
    from kubernetes import config  # noqa: PLC0415 - it takes two seconds, see above
    from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415 - as above

    try:
        known = config.new_client_from_config(config_file=kubeconfig.path, context=kubeconfig.context).configuration
    except ConfigException as error:
        raise _not_usable(str(error)) from error
    tls = ssl.create_default_context(cafile=known.ssl_ca_cert)
    if not known.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    if known.cert_file:
        tls.load_cert_chain(known.cert_file, known.key_file)
    token = known.get_api_key_with_prefix("authorization") or known.get_basic_auth_token()
    return Access(
        server=known.host,
        tls=tls,
        headers={"Authorization": token} if token else {},
        proxy=known.proxy or "",
    )
