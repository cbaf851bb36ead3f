"""Excel workbooks written by hand, for what no honest program would write."""

import zipfile
from pathlib import Path

NAMESPACE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def sheet(rows: str) -> str:
    return f"<worksheet><sheetData>{rows}</sheetData></worksheet>"


def write_workbook(path: Path, sheet_xml: str, texts: str = "<sst/>", styles: str = "<styleSheet/>") -> Path:
    """A workbook with one sheet, `S`."""
    parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations(("r1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns:r="{NAMESPACE}"><sheets><sheet name="S" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(
            ("r1", "worksheet", "worksheets/sheet1.xml"),
            ("r2", "sharedStrings", "sharedStrings.xml"),
            ("r3", "styles", "styles.xml"),
        ),
        "xl/sharedStrings.xml": texts,
        "xl/styles.xml": styles,
        "xl/worksheets/sheet1.xml": sheet_xml,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return path


def relations(*targets: tuple[str, str, str]) -> str:
    each = (
        f'<Relationship Id="{name}" Type="{NAMESPACE}/{kind}" Target="{target}"/>' for name, kind, target in targets
    )
    return f"<Relationships>{''.join(each)}</Relationships>"
