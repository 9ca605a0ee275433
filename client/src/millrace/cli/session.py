"""What every command has: where to go, how to print, and how it ends. The options stand behind it, as kubectl's do.

Typer reads a command's options from its signature, so `command` adds those that all share to each function's own.
"""

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from millrace.admin import Admin
from millrace.cli.errors import exit_code
from millrace.cli.output import Format, Printer
from millrace.client import Client
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from millrace.cli.kubernetes_api import Cluster

P = ParamSpec("P")

_CLUSTER = "Cluster"
_SHARED: dict[str, Any] = {
    "namespace": Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace; that of the context by default.", rich_help_panel=_CLUSTER),
    ],
    "context": Annotated[
        str | None, typer.Option("--context", help="Context of the kubeconfig.", rich_help_panel=_CLUSTER)
    ],
    "kubeconfig": Annotated[
        str | None,
        typer.Option("--kubeconfig", help="File; $KUBECONFIG or ~/.kube/config by default.", rich_help_panel=_CLUSTER),
    ],
    "release": Annotated[
        str | None,
        typer.Option("--release", help="Helm release, where a namespace has several.", rich_help_panel=_CLUSTER),
    ],
    "url": Annotated[
        str | None,
        typer.Option(
            "--url", envvar="MILLRACE_URL", help="Gateway to use, instead of a tunnel.", rich_help_panel=_CLUSTER
        ),
    ],
    "api_key": Annotated[
        str | None,
        typer.Option(
            "--api-key",
            envvar="MILLRACE_API_KEY",
            show_envvar=True,
            help="Key for the gateway, instead of the one in the cluster's Secret. Better by the variable.",
            rich_help_panel=_CLUSTER,
        ),
    ],
    "output": Annotated[Format, typer.Option("--output", "-o", help="Form of what is printed.")],
}
_DEFAULTS: dict[str, Any] = {"output": Format.TABLE}


@dataclass(frozen=True)
class Session:
    """One run of a command; connections are opened when they are needed."""

    namespace: str | None
    context: str | None
    kubeconfig: str | None
    release: str | None
    url: str | None
    api_key: str | None
    printer: Printer

    @cached_property
    def cluster(self) -> "Cluster":
        """The cluster of the kubeconfig."""
        # The Kubernetes client takes a second to import; `predict --url` and completion do without.
        from millrace.cli.kubernetes_api import Cluster  # noqa: PLC0415 - see above

        return Cluster(kubeconfig=self.kubeconfig, context=self.context, given_namespace=self.namespace)

    @cached_property
    def client(self) -> Client:
        """The client of the gateway: at the URL that was given, else in the cluster."""
        if self.url:
            return Client(self.url, api_key=self.api_key or "")
        from millrace.cli.gateway import open_client  # noqa: PLC0415 - as `cluster`

        return open_client(self.cluster, release=self.release, api_key=self.api_key)

    @cached_property
    def admin(self) -> Admin:
        """The administrative side of the gateway."""
        return Admin(self.client.connection)

    def close(self) -> None:
        """Close what was opened."""
        if "client" in self.__dict__:
            self.client.close()


def command(
    app: typer.Typer, name: str, *, example: str = ""
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Make a function that takes a Session a command with the shared options."""

    def decorate(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        @functools.wraps(function)
        def run(**given: Any) -> None:
            shared = {key: given.pop(key) for key in _SHARED}
            session = Session(printer=Printer(shared.pop("output")), **shared)
            try:
                function(session, **given)  # type: ignore[call-arg] # typer gives what the signature below asks for
            except MillraceError as error:
                session.printer.say(f"Error: {error}")
                if os.environ.get("MILLRACE_DEBUG"):
                    raise
                raise typer.Exit(int(exit_code(error))) from None
            finally:
                session.close()

        own = inspect.signature(function, eval_str=True)
        _, *parameters = own.parameters.values()
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(key), annotation=annotation)
            for key, annotation in _SHARED.items()
        ]
        keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        run.__signature__ = inspect.Signature([*keyword, *shared])  # type: ignore[attr-defined] # read by typer
        run.__annotations__ = {each.name: each.annotation for each in (*keyword, *shared)}
        epilog = f"Example: {example}" if example else None
        app.command(name, epilog=epilog, help=inspect.getdoc(function))(run)
        return function

    return decorate
