import json
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from tests.servers.schema_answer import schema_answer, schema_in_text


class Entity(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=3, max_length=12)]
    kind: Literal["person", "place"]
    parent: "Entity | None" = None


class Report(BaseModel):
    model_config = ConfigDict(extra="forbid")

    score: Annotated[int, Field(ge=1, le=5)]
    share: Annotated[float, Field(gt=0, lt=1)]
    even: Annotated[int, Field(multiple_of=2, gt=3)]
    sure: bool
    entities: Annotated[list[Entity], Field(min_length=2, max_length=3)]
    note: str | int | None


@pytest.mark.parametrize("row", range(30))
def test_the_answer_fits_the_schema_of_a_model(row):
    schema = Report.model_json_schema()
    answer = schema_answer(schema, f"row-{row}")
    Report.model_validate(answer, strict=True)
    assert answer == schema_answer(schema, f"row-{row}")


def test_different_prompts_get_different_answers():
    answers = {json.dumps(schema_answer(Report.model_json_schema(), f"row-{row}")) for row in range(30)}
    assert len(answers) == 30


def test_a_schema_in_a_prompt_is_found():
    schema = {"type": "object", "properties": {"label": {"enum": ["a"]}}}
    text = (
        f'Answer like {{"label": "a"}} and {{not json}}, with this schema:\n{json.dumps(schema, indent=2)}\nNow: {{x}}'
    )
    assert schema_in_text(text) == schema
    assert schema_in_text('no schema {"label": 1}') is None
