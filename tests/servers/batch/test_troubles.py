import httpx
import openai
import pytest

from tests.servers.batch.clients import ended, http_client, openai_client, submit, text_of
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.sample_input import jsonl, openai_lines, rows_of


@pytest.fixture
def server():
    with OpenAIBatchServer() as running:
        yield running


@pytest.fixture
def uploaded(server):
    return openai_client(server).files.create(file=("in.jsonl", jsonl(openai_lines(3))), purpose="batch").id


def create(client, file_id):
    return client.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        ("land_hang", openai.APITimeoutError),
        ("land_500", openai.InternalServerError),
        ("land_drop", openai.APIConnectionError),
    ],
)
def test_a_create_may_land_although_no_reply_comes(server, uploaded, trouble, error):
    server.batch.change(on_create=[trouble])
    client = openai_client(server, timeout=0.5)
    with pytest.raises(error):
        create(client, uploaded)
    assert [one.input_file_id for one in client.batches.list()] == [uploaded]
    create(client, uploaded)
    assert server.on_the_bill() == {"job1": 2}


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        *((str(status), status) for status in (400, 401, 403, 404, 429, 500)),
        ("queue_full", 429),
        ("no_credit", 429),
        ("html_503", 503),
    ],
)
def test_a_refused_create_makes_no_batch(server, uploaded, trouble, status):
    server.batch.change(on_create=trouble)
    with pytest.raises(openai.APIStatusError) as refused:
        create(openai_client(server), uploaded)
    assert refused.value.status_code == status
    codes = {"404": "model_not_found", "queue_full": "token_limit_exceeded", "no_credit": "insufficient_quota"}
    if trouble in codes:
        assert refused.value.code == codes[trouble]
    assert (refused.value.response.headers.get("retry-after") == "1") is (trouble == "429")
    assert server.batches == []


@pytest.mark.parametrize("trouble", ["hang", "drop"])
def test_a_create_may_be_lost_on_its_way(server, uploaded, trouble):
    server.batch.change(on_create=trouble)
    with pytest.raises(openai.APIConnectionError):
        create(openai_client(server, timeout=0.3), uploaded)
    assert server.batches == []


def test_a_client_that_retries_its_creates_pays_twice(server, uploaded):
    server.batch.change(on_create=["land_hang"])
    create(openai_client(server, timeout=0.3, max_retries=1), uploaded)
    assert server.on_the_bill() == {"job1": 2}
    assert [one.status for one in server.calls("POST", "/v1/batches")] == [None, 200]


def test_other_calls_have_troubles_of_their_own(server):
    server.batch.change(on_upload=["413", "land_drop"], on_poll=["500", "404"], on_list=["429"], on_cancel=["409"])
    client = openai_client(server)
    for error in (openai.APIStatusError, openai.APIConnectionError):
        with pytest.raises(error):
            submit(client, openai_lines(2))
    assert len(client.files.list().data) == 1  # the second upload landed
    batch = submit(client, openai_lines(2))
    for error in (openai.InternalServerError, openai.NotFoundError):
        with pytest.raises(error):
            client.batches.retrieve(batch.id)
    with pytest.raises(openai.RateLimitError):
        client.batches.list()
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)
    assert server.batches[0].polls == 0
    assert ended(client, batch).status == "completed"


def test_a_download_may_break_off_or_find_the_file_gone(server):
    client = openai_client(server)
    done = ended(client, submit(client, openai_lines(50)))
    size = client.files.retrieve(done.output_file_id).bytes
    server.batch.change(on_download=["cut", "404"])
    received = b""
    with (
        http_client(server, authorization="Bearer sk-test") as plain,
        pytest.raises(httpx.RemoteProtocolError),
        plain.stream("GET", f"/files/{done.output_file_id}/content") as response,
    ):
        for piece in response.iter_raw():
            received += piece
    assert 0 < len(received) < size
    with pytest.raises(openai.NotFoundError):
        text_of(client, done.output_file_id)
    assert len(rows_of(text_of(client, done.output_file_id))) == 50


def test_a_wrong_key_and_a_wrong_field_are_refused():
    with OpenAIBatchServer(keys={"sk-good"}) as server:
        with pytest.raises(openai.AuthenticationError):
            submit(openai_client(server, "sk-bad"), openai_lines(1))
        assert ended(openai_client(server, "sk-good"), submit(openai_client(server, "sk-good"), openai_lines(1)))
        for settings in ({"nonsense": 1}, {"final": "nonsense"}, {"rows": {"row-1": "nonsense"}}):
            with pytest.raises(ValueError, match="nonsense"):
                server.batch.change(**settings)
