"""Every test has a home of its own, and no server has been asked yet whether it has batches."""

import pytest

from components.llms.batch import either, remotes


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STILLROOM_DATABASE", raising=False)
    # The second look is late enough.
    monkeypatch.setattr(remotes, "SETTLE_SECONDS", 1e-9)
    either.forget()
    remotes.forget()
    return tmp_path / "home"
