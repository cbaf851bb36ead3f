import pytest

from tests.app.pipelines import LABELS, add_tickets, asking, labeling


@pytest.fixture
def labeled(studio, work):
    run_id = studio.runs.start(labeling(add_tickets(studio, 12)))
    work(run_id)
    return run_id


def test_a_page_of_rows(client, labeled):
    page = client.get(f"/api/runs/{labeled}/rows?offset=10&limit=5").json()
    assert (page["total"], page["counts"]) == (12, {"all": 12, "ok": 12})
    assert [row["values"]["id"] for row in page["rows"]] == ["T-10", "T-11"]
    assert page["rows"][0].keys() >= {
        "row",
        "position",
        "state",
        "reason",
        "message",
        "label_state",
        "values",
        "original",
    }
    labels = next(column for column in page["columns"] if column["name"] == "labels")
    assert labels["choices"] == [*LABELS, "unsure"] and labels["editable"]


def test_the_page_asks_as_the_grid_does(client, labeled):
    query = {
        "step": "label",
        "state": "",
        "reason": "",
        "q": "row-1",
        "sort": "id",
        "desc": "true",
        "offset": 0,
        "limit": 100,
    }
    page = client.get(f"/api/runs/{labeled}/rows", params=query).json()
    assert [row["values"]["id"] for row in page["rows"]] == ["T-11", "T-10", "T-1"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=fine", "no state"),
        ("reason=bad_luck", "no reason"),
        ("step=nowhere", "no step"),
        ("offset=many", "'offset'"),
        ('sort=a"b', "quotes"),
    ],
)
def test_a_wrong_question_is_told(client, labeled, query, words):
    response = client.get(f"/api/runs/{labeled}/rows?{query}")
    assert response.status_code == 422 and words in response.json()["error"]


@pytest.mark.parametrize("query", ["offset=-5", "limit=-1", "limit=99999999", "offset=99999999999999999999", "q=%25"])
def test_a_strange_question_gets_an_answer(client, labeled, query):
    assert client.get(f"/api/runs/{labeled}/rows?{query}").json()["total"] in (0, 12)


def test_a_page_that_did_not_change_is_not_sent_again(client, labeled):
    tag = client.get(f"/api/runs/{labeled}/rows").headers["etag"]
    assert client.get(f"/api/runs/{labeled}/rows", headers={"If-None-Match": tag}).status_code == 304
    row = client.get(f"/api/runs/{labeled}/rows").json()["rows"][0]
    other = next(label for label in LABELS if label != row["values"]["labels"])
    body = {"row": row["row"], "step": "label", "column": "labels", "value": other, "note": ""}
    client.post(f"/api/runs/{labeled}/corrections", json=body)
    assert client.get(f"/api/runs/{labeled}/rows", headers={"If-None-Match": tag}).status_code == 200


def test_a_row_and_what_people_said_about_it(client, labeled):
    row = client.get(f"/api/runs/{labeled}/rows").json()["rows"][0]
    was = row["values"]["labels"]
    value = next(label for label in LABELS if label != was)
    path = f"/api/runs/{labeled}/corrections"
    answer = client.post(path, json={"row": row["row"], "column": "labels", "value": value, "note": "why"}).json()
    assert answer["ok"] and answer["label_state"] == "corrected"
    detail = client.get(f"/api/runs/{labeled}/rows/{row['row']}?step=label").json()
    assert [step["step"] for step in detail["steps"]] == ["load", "label"]
    assert detail["steps"][1]["prompt"][0]["role"] == "system"
    assert detail["steps"][1]["values"]["labels"] == was
    assert [(one["column"], one["value"], one["was"], one["note"]) for one in detail["corrections"]] == [
        ("labels", value, was, "why")
    ]
    assert client.post(path, json={"action": "undo", "row": row["row"], "column": "labels"}).json()["value"] == was
    confirmed = client.post(path, json={"action": "confirm", "row": row["row"], "column": "labels"}).json()
    assert confirmed["label_state"] == "confirmed"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"column": "labels", "value": "x"}, 422),
        ({"row": "00000000", "column": "labels", "value": "weather"}, 422),
        ({"row": "99999999", "column": "labels", "value": "login"}, 404),
        ({"row": "00000000", "column": "text", "value": "x"}, 422),
        ({"row": "00000000", "column": "labels", "value": "login", "state": "ok"}, 422),
        ({"row": "00000000", "column": "labels", "value": "login", "note": "x" * 3000}, 422),
        ([1], 422),
    ],
)
def test_a_correction_that_cannot_be_is_told(client, labeled, body, status):
    response = client.post(f"/api/runs/{labeled}/corrections", json=body)
    assert response.status_code == status and response.json()["ok"] is False


def test_long_texts_come_whole_in_the_detail_alone(client, studio, work):
    run_id = studio.runs.start(asking(["y" * 5000]))
    work(run_id)
    row = client.get(f"/api/runs/{run_id}/rows").json()["rows"][0]
    assert len(row["values"]["instruction"]) == 501
    detail = client.get(f"/api/runs/{run_id}/rows/{row['row']}").json()
    assert len(detail["steps"][0]["values"]["instruction"]) == 5000
