"""Arithmetic over the columns of a table: + - * / and numbers, nothing else. What a user types is never executed."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Final

from millrace_loadtest.errors import InputError

LONGEST: Final = 500
BINARY: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
UNARY: Final[Mapping[type[ast.unaryop], Callable[[float], float]]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}

Row = Mapping[str, float]


class Expression:
    """An expression that was checked; call it with the values of its columns."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise InputError(f"the expression has {len(text)} characters; at most {LONGEST} are allowed")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise InputError(f"{text!r} is no expression such as 0.2 + 0.03*Tokens") from error
        self.columns = tuple(dict.fromkeys(_columns(tree)))
        self._tree = tree

    def __call__(self, row: Row) -> float:
        """Compute the value; raises ArithmeticError as a calculator would."""
        value = _compute(self._tree, row)
        if not math.isfinite(value):
            raise OverflowError("the value is not finite")
        return value


def _columns(node: ast.expr) -> list[str]:
    """Return the columns that are named, and refuse whatever is not arithmetic."""
    match node:
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in BINARY:
            return _columns(left) + _columns(right)
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in UNARY:
            return _columns(operand)
        case ast.Constant(value=value) if type(value) in {int, float}:
            return []
        case ast.Name(id=name):
            return [name]
        case _:
            raise InputError(
                f"{ast.unparse(node)!r} is not allowed: "
                "an expression has column names, numbers, + - * / and parentheses"
            )


def _compute(node: ast.expr, row: Row) -> float:
    match node:
        case ast.BinOp(left=left, op=sign, right=right):
            return BINARY[type(sign)](_compute(left, row), _compute(right, row))
        case ast.UnaryOp(op=sign, operand=operand):
            return UNARY[type(sign)](_compute(operand, row))
        case ast.Constant(value=value) if isinstance(value, int | float):
            return float(value)
        case ast.Name(id=name):
            return row[name]
        case _:  # refused when the expression was made
            raise AssertionError(node)
