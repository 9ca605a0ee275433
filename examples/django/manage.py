"""Django's command line for this site."""  # noqa: INP001 - a program, not a package

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "predictions.settings")
    execute_from_command_line(sys.argv)
