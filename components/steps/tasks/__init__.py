"""Tasks: steps that ask a model about each row."""

from components.steps.tasks.chat_generation import ChatGeneration
from components.steps.tasks.decorator import task
from components.steps.tasks.structured_generation import StructuredGeneration
from components.steps.tasks.task import GeneratorTask, GlobalTask, Task
from components.steps.tasks.text_classification import TextClassification
from components.steps.tasks.text_generation import TextGeneration
from components.steps.tasks.ultrafeedback import UltraFeedback

__all__ = [
    "ChatGeneration",
    "GeneratorTask",
    "GlobalTask",
    "StructuredGeneration",
    "Task",
    "TextClassification",
    "TextGeneration",
    "UltraFeedback",
    "task",
]
