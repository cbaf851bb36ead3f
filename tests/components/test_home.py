from components.home import at_home, home


def test_a_folder_that_was_asked_for_holds_everything_while_it_is_in_use(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "usual"))
    with at_home(tmp_path / "mine"):
        assert home() == tmp_path / "mine"
    assert home() == tmp_path / "usual"


def test_afterwards_nothing_is_left_in_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("STILLROOM_HOME", raising=False)
    usual = home()
    with at_home(tmp_path):
        assert home() == tmp_path
    assert home() == usual
