"""The official client of Kubernetes, for what only it speaks: tunnels and commands over WebSockets.

It takes two seconds to import, so who needs neither does not import this.
"""

from typing import Any

from kubernetes import config
from kubernetes.config.config_exception import ConfigException

from millrace.cli.kubernetes_api import Cluster
from millrace.errors import Misconfigured


def official_client(cluster: Cluster) -> Any:
    """Make an ApiClient of its own for each use: `stream` replaces a method of it."""
    try:
        api = config.new_client_from_config(config_file=cluster.kubeconfig, context=cluster.context)
    except ConfigException as error:
        raise Misconfigured(f"no cluster is configured ({error}); give --kubeconfig or --context") from error
    # A cluster that does not answer is told at once; its errors are not for trying three times.
    api.configuration.retries = False
    return api
