"""XLS, Excel's format until 2003 -> a document, read with calamine."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from io import BytesIO

import python_calamine as calamine

from pipelines.errors import Permanent
from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.document import Document
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.office_grid import Cells, write_grid
from pipelines.knowledge.raw import Raw
from pipelines.knowledge.xlsx_formats import write_general

LABEL = "the Excel file"
MIME = "application/vnd.ms-excel"
SHEETS_MAX = 1_000
CELLS_MAX = 1_500_000

_PANIC = "PanicException"


def read(raw: Raw) -> Document:
    """Read an old Excel file; raises Permanent when it is damaged, locked or too large."""
    try:
        with calamine.CalamineWorkbook.from_filelike(BytesIO(raw.body)) as workbook:
            document = _write(workbook)
    except calamine.PasswordError as error:
        raise Permanent(f"{LABEL} is encrypted and needs a password to be read") from error
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise _damage() from error
    except BaseException as error:
        # What the library's own code did not foresee comes as no Exception.
        if type(error).__name__ != _PANIC:
            raise
        raise _damage() from error
    return replace(document, language=choose_language(document.text, declared=None))


def _damage() -> Permanent:
    return Permanent(f"{LABEL} is damaged or of an unknown version: save it as XLSX")


def _write(workbook: calamine.CalamineWorkbook) -> Document:
    shown = [
        sheet.name
        for sheet in workbook.sheets_metadata
        if sheet.visible == calamine.SheetVisibleEnum.Visible
        and sheet.typ == calamine.SheetTypeEnum.WorkSheet
    ]
    if len(shown) > SHEETS_MAX:
        raise Permanent(f"{LABEL} has {len(shown):,} sheets, the limit is {SHEETS_MAX:,}")
    writer, count = DocumentWriter(), 0
    for name in shown:
        rows = list(_read_rows(workbook.get_sheet_by_name(name)))
        count += sum(len(cells) for _, cells in rows)
        if count > CELLS_MAX:
            raise Permanent(
                f"{LABEL} is too large: it has more than {CELLS_MAX:,} filled cells (the limit)"
            )
        if rows:
            writer.add_heading(_clean(name), level=1)
            write_grid(writer, rows, label=LABEL)
    return writer.finish(mime=MIME)


def _read_rows(sheet: calamine.CalamineSheet) -> Iterator[tuple[int, Cells]]:
    for number, row in enumerate(sheet.iter_rows(), start=1):
        texts = ((column, _write_cell(value)) for column, value in enumerate(row, start=1))
        cells = {column: text for column, text in texts if text}
        if cells:
            yield number, cells


def _write_cell(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return write_general(value)
    if isinstance(value, datetime):
        is_day = value.time() == time(0)
        return value.date().isoformat() if is_day else value.isoformat(" ", "minutes")
    if isinstance(value, (date, time, timedelta)):
        return str(value)
    return " ".join(_clean(str(value)).split())


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "ignore").decode()
