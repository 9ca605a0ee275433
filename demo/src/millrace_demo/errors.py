"""What can go wrong in the demonstration, as a tree; each message says what happened and what to do next."""


class DemoError(Exception):
    """Base of every failure that is told to the person who runs the demonstration."""


class ExportMismatchError(DemoError):
    """The exported model answers differently from the trained one."""


class KubectlError(DemoError):
    """kubectl is missing, did not answer in time, or refused."""


class JobFailedError(DemoError):
    """The PredictionJob ended without doing its work."""


class JobStalledError(DemoError):
    """The PredictionJob did not end within the limit."""


class PredictionsError(DemoError):
    """The results are missing, belong to another job, or are not good enough."""


class PoolNotIdleError(DemoError):
    """The pool did not return to its minimum within the limit, or never left it."""
