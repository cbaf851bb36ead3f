"""A loopback server that answers the REST calls of the page's scripts, from a run that exists only in memory."""

import hashlib
import json
import socket
import threading
from collections import Counter
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from app.ui.assets import asset_url, mount_assets
from app.ui.theme import STYLESHEETS

LABELS = ["billing", "delivery", "account"]
COLUMNS = [
    {"name": "id", "kind": "text", "editable": False},
    {"name": "text", "kind": "text", "editable": False},
    {"name": "labels", "kind": "label", "editable": True, "choices": LABELS},
    {"name": "score", "kind": "number", "editable": False},
]
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Run</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><base href="./">{styles}</head>
<body><div class="gradio-container"><main>{body}</main></div><script type="module">{script}</script></body></html>"""


class FakeRun:
    """Rows made by their number; what the page sends is kept in `posted`."""

    def __init__(self, total: int = 2_000, text: str = "") -> None:
        self.total = total
        self.text = text
        self.state = "done_with_failures"
        self.refusal = ""
        self.is_down = False
        self.corrections: dict[str, str] = {}
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.pages_sent = 0
        self.errors: list[dict[str, Any]] = []
        self.rehearsal = False

    def state_of(self, index: int) -> str:
        return {5: "failed", 11: "needs_review"}.get(index % 40, "ok")

    def row(self, index: int) -> dict[str, Any]:
        key, state = f"{index:08d}", self.state_of(index)
        label = LABELS[index % 3] if state == "ok" else None
        text = self.text or f"Ticket {index} about {LABELS[index % 3]}"
        row: dict[str, Any] = {
            "row": key,
            "position": index,
            "state": state,
            "reason": {"failed": "unparseable", "needs_review": "not_in_labels"}.get(state),
            "message": "The answer is not JSON." if state == "failed" else None,
            "label_state": {},
            "values": {"id": f"T-{index}", "text": text, "labels": label, "score": index % 7},
            "original": {},
        }
        if key in self.corrections:
            row["original"] = {"labels": label}
            row["values"]["labels"] = self.corrections[key]
            row["label_state"] = {"labels": "corrected" if label else "human_only"}
            row["settled"] = state != "ok"
        return row

    def rows(self, state: str, reason: str, q: str, sort: str, desc: bool, offset: int, limit: int) -> dict[str, Any]:
        indexes = [
            index
            for index in range(self.total)
            if (not state or self.state_of(index) == state)
            and (not reason or self.row(index)["reason"] == reason)
            and (not q or q in f"Ticket {index} about {LABELS[index % 3]}")
        ]
        if sort == "score":
            indexes.sort(key=lambda index: index % 7)
        if desc:
            indexes.reverse()
        counts = Counter(self.state_of(index) for index in range(min(self.total, 400)))
        shown = [self.row(index) for index in indexes[offset : offset + limit]]
        return {"total": len(indexes), "columns": COLUMNS, "counts": {"all": self.total, **counts}, "rows": shown}

    def detail(self, key: str) -> dict[str, Any]:
        row = self.row(int(key))
        step = {
            "step": "label_tickets",
            "state": row["state"],
            "reason": row["reason"],
            "message": row["message"],
            "model": "small-model",
            "prompt": [{"role": "user", "content": f"Prompt of {row['values']['text']}"}],
            "raw": [f"Raw {row['values']['text']}"],
            "values": {"labels": row["values"]["labels"]},
            "tokens_in": 120,
            "tokens_out": 3,
            "cost": 0.00012,
            "cost_known": True,
            "seconds": 1.4,
            "attempts": 2,
            "finished_at": "2026-03-09T10:00:00Z",
            "rehearsal": False,
        }
        said = {"step": "label_tickets", "column": "labels", "was": row["original"].get("labels"), "note": ""}
        said |= {
            "value": row["values"]["labels"],
            "label_state": row["label_state"].get("labels", ""),
            "at": "2026-03-09T11:00:00Z",
        }
        return {"row": key, "steps": [step], "corrections": [said] if key in self.corrections else []}

    def snapshot(self) -> dict[str, Any]:
        is_running = self.state == "running"
        step = {"name": "label_tickets", "component": "TextClassification", "state": self.state, "total": 2000}
        step |= {"ok": 1200, "failed": 9, "needs_review": 31, "skipped": 0, "pending": 760, "in_flight": 8}
        step |= {"tokens_in": 9000, "tokens_out": 900, "cost": 0.31}
        run = {"id": "r1", "name": "Tickets", "state": self.state, "state_reason": "", "rows_total": 2000}
        run |= {"created_at": "2026-03-09T09:00:00Z", "spent": 0.31, "cap": 0.9, "cost_known": True, "in_flight": 8}
        run |= {"rate_per_minute": 190, "seconds_left": 240 if is_running else None, "rehearsal": self.rehearsal}
        return {**run, "steps": [step], "errors": self.errors}


class Site:
    """Serves one FakeRun below a path, with the project's own assets, on a free port."""

    def __init__(self, run: FakeRun, below: str = "") -> None:
        self.run = run
        self.below = below
        app = FastAPI()
        inner = FastAPI()
        mount_assets(inner)
        self._routes(inner)
        app.mount(below or "/", inner)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}{below}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        listener.listen()
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def page(self, body: str, script: str) -> None:
        """What the page at /page holds; scripts import their modules from ./assets/js/."""
        styles = "".join(f'<link rel="stylesheet" href="{asset_url(sheet)}">' for sheet in STYLESHEETS)
        self._page = PAGE.format(styles=styles, body=body, script=script)

    def _routes(self, app: FastAPI) -> None:
        run = self.run

        @app.get("/page")
        def page() -> HTMLResponse:
            return HTMLResponse(self._page)

        @app.get("/api/runs/{run_id}/rows")
        def rows(
            request: Request, state: str, reason: str, q: str, sort: str, desc: bool, offset: int, limit: int
        ) -> Response:
            if run.is_down:
                return Response("<h1>Bad gateway</h1>", status_code=502)
            return _tagged(request, run.rows(state, reason, q, sort, desc, offset, limit), run)

        @app.get("/api/runs/{run_id}/rows/{row}")
        def detail(row: str) -> dict[str, Any]:
            return run.detail(row)

        @app.get("/api/runs/{run_id}")
        def snapshot(request: Request) -> Response:
            return _tagged(request, run.snapshot(), None)

        @app.post("/api/runs/{run_id}/{action}")
        async def act(action: str, request: Request) -> dict[str, Any]:
            body = await request.json()
            run.posted.append((action, body))
            if run.refusal:
                return {"ok": False, "error": run.refusal}
            if action == "corrections":
                run.corrections[body["row"]] = body["value"]
                return {"ok": True, "settled": run.state_of(int(body["row"])) != "ok"}
            run.state = {"pause": "paused", "stop": "stopped"}.get(action, "running")
            return {"ok": True}


def _tagged(request: Request, body: dict[str, Any], run: FakeRun | None) -> Response:
    data = json.dumps(body)
    tag = f'"{hashlib.sha256(data.encode()).hexdigest()}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304)
    if run:
        run.pages_sent += 1
    return Response(data, media_type="application/json", headers={"ETag": tag})
