"""What commands print."""

import json
from decimal import Decimal

import pytest

from workers.cli import console


def test_decimals_are_text_without_an_exponent(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json([Decimal("0E-10"), Decimal("1E-10"), Decimal("1E+2"), Decimal("3.50")])

    assert json.loads(capsys.readouterr().out) == ["0.0000000000", "0.0000000001", "100", "3.50"]


def test_decimals_in_tables_have_no_exponent_either(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("figures", ("figure", "value"), [("cost", Decimal("0E-10"))])

    assert "0.0000000000" in capsys.readouterr().out
