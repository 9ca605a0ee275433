"""The Python client of Millrace and its command line."""
