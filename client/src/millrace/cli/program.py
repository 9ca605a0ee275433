"""The commands of `millrace`, put together."""

import os
import sys
from pathlib import PurePath
from typing import Final

import typer

from millrace.cli import dlq, jobs, models, pipelines, pools, predict, schedule
from millrace.cli.errors import ExitCode

_HELP: Final = """Predictions on Kubernetes: ask for them, follow them, and see why the platform does what it does.

Commands find the gateway through your kubeconfig. With --url or MILLRACE_URL they need no cluster.
"""
_EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 a job or prediction failed, 2 wrong usage, 3 not found, 4 not allowed, 5 refused, "
    "6 unavailable, 70 defect, 124 timed out, 130 interrupted."
)

app = typer.Typer(
    help=_HELP,
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
predict.add_to(app)
for part in (jobs, pools, schedule, models, pipelines, dlq):
    app.add_typer(part.app)


def main() -> None:
    """Run the command line; no error ends in a traceback unless MILLRACE_DEBUG is set."""
    try:
        app(prog_name=_program())
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
    except Exception as error:
        if os.environ.get("MILLRACE_DEBUG"):
            raise
        sys.stderr.write(
            f"Error: a defect of this program: {type(error).__name__}: {error}. "
            "Run it again with MILLRACE_DEBUG=1 and report what it prints.\n"
        )
        sys.exit(ExitCode.INTERNAL)


def _program() -> str:
    return "kubectl millrace" if PurePath(sys.argv[0]).name.startswith("kubectl-") else "millrace"
