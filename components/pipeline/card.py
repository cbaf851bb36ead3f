"""The card that goes with a published dataset: what it is, how it was made and how far to trust it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.pipeline.distiset import Distiset


def dataset_card(distiset: "Distiset", name: str) -> str:
    """The card in Markdown."""
    lines = [f"# {name}", "", "Made with Stillroom.", "", "| Dataset | Split | Rows | Columns |", "|---|---|---|---|"]
    for config, value in distiset.items():
        splits: dict[str, Any] = dict(value) if isinstance(value, dict) else {"train": value}
        for split, dataset in splits.items():
            columns = ", ".join(f"`{column}`" for column in dataset.column_names)
            lines.append(f"| {config} | {split} | {len(dataset):,} | {columns} |")
    if distiset.state:
        lines += ["", f"State of the run: {distiset.state}. Rows without a result: {len(distiset.failures):,}."]
        if distiset.is_rehearsal:
            lines += ["", "This is a rehearsal: no model was asked, the answers are made up."]
    told = distiset.shared_pipeline()
    if told is not None:
        lines += ["", "## The pipeline", "", "```yaml", told.text("stillroom.yaml").rstrip(), "```"]
    if distiset.citations:
        lines += ["", "## References", "", *(f"- {source}" for source in distiset.citations)]
    return "\n".join(lines) + "\n"
