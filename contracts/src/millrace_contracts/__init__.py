"""What Millrace's operator and workers must agree on.

Names, payloads and ledger scripts stand here once. No framework and no I/O: whoever sends or stores them brings the
client.
"""
