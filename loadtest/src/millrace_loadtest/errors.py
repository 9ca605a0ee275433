"""What can go wrong with what a user hands in."""


class InputError(Exception):
    """A file or an option cannot be used; the message says which and why."""
