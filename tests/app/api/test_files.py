import io

import pytest

from components.pipeline import files
from components.pipeline.convert import spec_of
from tests.app.pipelines import add_tickets, asking, labeling


@pytest.fixture
def labeled(studio, work):
    run_id = studio.runs.start(labeling(add_tickets(studio, 3)))
    work(run_id)
    return run_id


@pytest.mark.parametrize(("format", "kind"), [("csv", "text/csv"), ("jsonl", "ndjson"), ("parquet", "parquet")])
def test_results_come_as_an_attachment(client, studio, labeled, format, kind):
    response = client.get(f"/api/runs/{labeled}/export.{format}?step=label&state=ok")
    assert response.status_code == 200 and kind in response.headers["content-type"]
    assert response.headers["content-disposition"].startswith("attachment; filename=")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert studio.datasets.add(io.BytesIO(response.content), f"back.{format}").n_rows == 3


def test_a_csv_for_programs_is_asked_for(client, studio, work):
    run_id = studio.runs.start(asking(["=1+1"]))
    work(run_id)
    assert "'=1+1" in client.get(f"/api/runs/{run_id}/export.csv").text
    assert "'=1+1" not in client.get(f"/api/runs/{run_id}/export.csv?safe=false").text


@pytest.mark.parametrize(
    ("path", "status"), [("export.xls", 422), ("export.csv?step=x", 422), ("export.csv?state=x", 422)]
)
def test_a_wrong_export_is_told(client, labeled, path, status):
    response = client.get(f"/api/runs/{labeled}/{path}")
    assert response.status_code == status and response.json()["ok"] is False


def test_a_pipeline_comes_as_a_file_that_reads_back(client, studio):
    draft = studio.pipelines.add(asking(["hi"]).model_copy(update={"name": 'Tickets "März"\r\nX: y'}))
    response = client.get(f"/api/pipelines/{draft.id}/pipeline.yaml")
    assert response.headers["content-disposition"] == 'attachment; filename="Tickets-M-rz-X-y.yaml"'
    spec, notes = spec_of(files.parse(response.content))
    assert (spec, notes) == (draft.spec, [])
    assert client.get("/api/pipelines/p_none/pipeline.yaml").status_code == 404


def test_the_first_rows_of_a_data_file(client, studio):
    info = add_tickets(studio, 30)
    found = client.get(f"/api/datasets/{info.id}/preview?rows=2").json()
    assert (found["columns"], len(found["rows"]), found["n_rows"]) == (["id", "text"], 2, 30)
    assert client.get("/api/datasets/d_none/preview").status_code == 404
