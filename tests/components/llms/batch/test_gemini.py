import orjson
import pytest

from components.errors import BatchGone, ProviderDown, WrongAddress
from components.llms.batch.refusals import LinesRefused
from tests.components.llms.batch.journey import Journey, model_at, server_for


@pytest.fixture(params=["BATCH_STATE", "JOB_STATE"])
def server(request):
    with server_for("gemini", states=request.param) as running:
        yield running


@pytest.fixture
def journey(server, tmp_path):
    return Journey(model_at(server, "gemini"), tmp_path / "batches")


def test_the_file_is_uploaded_and_the_batch_named_by_its_tag(journey, server):
    ref = journey.upload()
    assert ref.startswith("files/")
    remote = journey.create()
    assert (remote.tag, remote.input_ref) == (journey.tag, ref)
    assert orjson.loads(journey.file.read_bytes().splitlines()[0])["key"] == f"{journey.tag}-0"
    assert server.store.files[ref].filename == f"stillroom-{journey.tag}.jsonl"


def test_a_partial_success_is_an_end(journey, server):
    server.batch.change(final="partial", done_when_stopped=2)
    remote = journey.ended(journey.start())
    assert (remote.status, remote.outcome) == ("PARTIALLY_SUCCEEDED", "completed")
    assert sum(line.is_ok for line in journey.rows(remote).values()) == 2


def test_a_malformed_row_refuses_the_batch_and_names_its_line(journey):
    journey.write()
    with open(journey.file, "ab") as handle:
        handle.write(b'{"key": "x", "request": {}}\n')
    journey.ref = journey.provider.upload(journey.file, "a.jsonl")
    with pytest.raises(LinesRefused) as caught:
        journey.create()
    assert [error.line for error in caught.value.lines] == [4]


@pytest.mark.parametrize(
    ("final", "outcome"), [("failed", "failed"), ("expired", "expired"), ("cancelled", "cancelled")]
)
def test_an_end_without_results_is_an_end(journey, server, final, outcome):
    server.batch.change(final=final)
    remote = journey.ended(journey.start())
    assert remote.outcome == outcome and journey.lines(remote) == []
    assert bool(remote.errors) is (final == "failed")


def test_results_that_were_deleted_are_gone_and_no_fault_of_the_key(journey, server):
    remote = journey.ended(journey.start())
    server.store.drop(remote.handles["output_file"])
    with pytest.raises(BatchGone):
        journey.lines(remote)


def test_numbers_that_are_texts_are_counts(journey):
    remote = journey.ended(journey.start())
    assert dict(remote.counts) == {"total": 3, "completed": 3, "failed": 0}


def test_an_upload_that_points_to_another_host_gets_no_key(journey, server, monkeypatch):
    start = server.provider.start

    async def elsewhere(request):
        response = await start(request)
        response.headers["X-Goog-Upload-URL"] = "http://127.0.0.2:9/upload"
        return response

    monkeypatch.setattr(server.provider, "start", elsewhere)
    with pytest.raises(WrongAddress, match="not sent"):
        journey.upload()


def test_an_upload_without_a_place_says_so(journey, server, monkeypatch):
    start = server.provider.start

    async def nowhere(request):
        response = await start(request)
        del response.headers["X-Goog-Upload-URL"]
        return response

    monkeypatch.setattr(server.provider, "start", nowhere)
    with pytest.raises(ProviderDown, match="no place"):
        journey.upload()
