"""The header of a CSV file, read once for each version of the file."""

from millrace_contracts.inputs import FileRef, Reading
from millrace_worker.input.csv_rows import MAX_HEADER_BYTES, Header, read_header
from millrace_worker.input.sources import Sources


def header_of(file: FileRef, reading: Reading, sources: Sources) -> Header:
    """Answer the header of a file."""
    delimiter = reading.csv_delimiter

    def read() -> Header:
        beginning = sources.read(file, reading.compression, offset=0, length=MAX_HEADER_BYTES)
        return read_header(beginning, delimiter=delimiter, file=file)

    return sources.remember(file, f"header {delimiter} {reading.compression}", read)
