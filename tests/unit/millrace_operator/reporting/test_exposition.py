"""What is written as text is read back by Prometheus' own rules."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from millrace_contracts.metrics import Metric
from millrace_operator.reporting.exposition import head, labels_of, lines, number

METRIC = Metric("millrace_number", "A number.", ("name",))
# The parser of the library splits lines as Python does, and so at characters that Prometheus leaves alone.
names = st.text(st.characters(exclude_categories=("Cc", "Zl", "Zp", "Cs")) | st.sampled_from(["\n", '"', "\\"]))


@given(name=names, value=st.floats(allow_nan=False))
def test_any_label_and_any_number_are_read_as_they_are(name: str, value: float) -> None:
    text = head(METRIC, "gauge") + lines(METRIC.name, [(labels_of(METRIC.labels, (name,)), value)])

    (family,) = text_string_to_metric_families(text)
    assert [(METRIC.name, {"name": name}, value)] == [(each.name, each.labels, each.value) for each in family.samples]
    assert (METRIC.help, "gauge") == (family.documentation, family.type)


def test_what_is_not_known_has_no_line() -> None:
    assert 'millrace_number{name="b"} 0.0\n' == lines(METRIC.name, [('name="a"', None), ('name="b"', 0)])


@pytest.mark.parametrize(
    ("value", "written"), [(math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (True, "1.0"), (3, "3.0")]
)
def test_numbers_are_written_as_prometheus_writes_them(value: float, written: str) -> None:
    assert written == number(value)
