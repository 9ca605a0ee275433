"""The claim with models, inputs and outputs, and the pod through which tests read and write it."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any, Final

from kubectl import Kubectl, Resource

CLAIM: Final = "digits"
LOADER: Final = "claim-loader"
MOUNT: Final = "/claim"


def data_claim_manifests() -> tuple[Resource, Resource]:
    """Answer the claim and the pod that holds it open."""
    claim: Resource = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    container = {
        "name": "loader",
        "image": "millrace/worker:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "claim", "mountPath": MOUNT}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod: Resource = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": LOADER},
        "spec": {
            "automountServiceAccountToken": False,
            # `sleep` as process 1 does not hear SIGTERM.
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }
    return claim, pod


def put_folder(kubectl: Kubectl, folder: Path, *, below: str = ".") -> None:
    """Copy the content of a folder of this machine to the claim."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        # Entry by entry, without the folder itself: the claim's own folder is there and may belong to another user.
        for entry in sorted(folder.iterdir()):
            tar.add(entry, arcname=entry.name, filter=_readable)
    target = f"{MOUNT}/{below}"
    kubectl.exec(LOADER, "mkdir", "-p", target)
    flags = ("--no-same-owner", "--no-overwrite-dir")
    kubectl.exec(LOADER, "tar", "--extract", f"--directory={target}", *flags, stdin=archive.getvalue())


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry


def put_lines(kubectl: Kubectl, path: str, lines: list[str]) -> None:
    """Write a text file on the claim."""
    text = "".join(f"{line}\n" for line in lines)
    program = f"""
import pathlib
path = pathlib.Path({MOUNT!r}) / {path!r}
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text({text!r})
"""
    kubectl.python(LOADER, program)


def read_folder(kubectl: Kubectl, path: str) -> dict[str, str]:
    """Answer every file below a folder of the claim, by its path relative to the folder."""
    program = f"""
import json, pathlib
folder = pathlib.Path({MOUNT!r}) / {path!r}
print(json.dumps({{str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}}))
"""
    files: dict[str, str] = json.loads(kubectl.python(LOADER, program))
    return files


def records_in(files: dict[str, str], folder: str = "") -> list[dict[str, Any]]:
    """Answer the lines of the part files in a folder ("" for results, "errors/" for errors), in their order."""
    names = sorted(name for name in files if name.startswith(f"{folder}part-"))
    return [json.loads(line) for name in names for line in files[name].splitlines()]
