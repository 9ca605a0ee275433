import pytest

from millrace_loadtest.errors import InputError
from millrace_loadtest.simulator.expression import Expression


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.2", 0.2), ("-a + 3", 1.0), ("(a + b) * 2 / 4", 2.5), ("a - -b", 5.0), ("+a*b*b", 18.0)],
)
def test_arithmetic_over_columns_is_computed(text: str, value: float) -> None:
    assert value == pytest.approx(Expression(text)({"a": 2.0, "b": 3.0}))


def test_an_expression_names_its_columns_once() -> None:
    assert ("a", "b") == Expression("a + b*a").columns


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.b",
        "a[0]",
        "a ** 9",
        "a % 2",
        "a // 2",
        "a < b",
        "a if b else 1",
        "lambda: 1",
        "[a]",
        "'a'",
        "True",
        "1j",
        "a := 2",
        "f(a)",
        "a @ b",
        "not a",
        "~a",
        "",
        "a +",
        "a; b",
        "(" * 300,
        "1+" * 400 + "1",
    ],
)
def test_whatever_is_not_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Expression(text)


def test_a_value_that_is_not_finite_is_an_arithmetic_error() -> None:
    with pytest.raises(ArithmeticError):
        Expression("a * a")({"a": 1e300})
