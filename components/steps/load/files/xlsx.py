"""Excel workbooks: the first sheet, with the values that a person sees in it."""

from collections.abc import Iterator

from components.steps.load.files.source import Source, shown
from components.steps.load.files.table import Row, Table, Warn, name_columns, tidy_name
from components.steps.load.files.xlsx_cells import SheetCells, column_letters
from components.steps.load.files.xlsx_package import Sheet, opened_package


def open_xlsx(source: Source) -> Table:
    """The table of a workbook: its first visible sheet, whose first row names the columns.

    Dates and times become ISO 8601 texts, durations seconds, formulas the value that was saved with them.
    """
    warnings: list[str] = []
    with opened_package(source) as package:
        sheet, *others = _first_visible_first(package.sheets)
        rows = SheetCells(package, warnings.append).rows(sheet)
        header_row, cells = next(((number, cells) for number, cells in rows if cells), (0, {}))
    if not cells:
        raise source.fault("the sheet is empty. Put the names of the columns in its first row.", _place(sheet))
    width = max(cells) + 1
    source.refuse_columns(width, f"row {header_row}")
    columns, renamed = name_columns(source, [tidy_name(str(cells.get(column, ""))) for column in range(width)])
    warnings.extend(renamed)
    if others:
        names = ", ".join(f"'{shown(other.title)}'" for other in others[:5])
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        warnings.append(f"Only the sheet '{shown(sheet.title)}' is read, not {names}{more}.")

    def read(warn: Warn) -> Iterator[Row]:
        return _rows(source, sheet, columns, header_row, warn)

    return Table(source=source, columns=columns, filetype="xlsx", read=read, warnings=warnings)


def _rows(source: Source, sheet: Sheet, columns: list[str], header_row: int, warn: Warn) -> Iterator[Row]:
    n_empty = 0
    last_row = header_row
    with opened_package(source) as package:
        for number, cells in SheetCells(package, warn).rows(sheet):
            if number <= header_row or not cells:
                continue
            if max(cells) >= len(columns):
                raise source.fault(
                    "the value stands to the right of the header. Name its column, or remove it.",
                    f"cell {column_letters(max(cells))}{number}",
                )
            n_empty += number - last_row - 1
            last_row = number
            yield {name: cells.get(column) for column, name in enumerate(columns)}
    if n_empty:
        warn("1 empty row was left out." if n_empty == 1 else f"{n_empty:,} empty rows were left out.")


def _first_visible_first(sheets: list[Sheet]) -> list[Sheet]:
    first = next((sheet for sheet in sheets if sheet.is_visible), sheets[0])
    return [first, *(sheet for sheet in sheets if sheet is not first)]


def _place(sheet: Sheet) -> str:
    return f"sheet '{shown(sheet.title)}'"
