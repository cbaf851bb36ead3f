"""Shapes that tasks share with models."""

from components.llms.typing import ChatItem, ChatType, FormattedInput, StructuredOutput

__all__ = ["ChatItem", "ChatType", "FormattedInput", "StructuredOutput"]
