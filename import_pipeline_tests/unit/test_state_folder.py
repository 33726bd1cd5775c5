"""Git ignores a state folder that was created here, and no other one."""

from import_pipeline.state_folder import create_folder


def test_a_new_folder_is_ignored_by_git(tmp_path):
    create_folder(tmp_path / "a" / "state")
    assert (tmp_path / "a" / "state" / ".gitignore").read_text() == "*\n"
    assert not (tmp_path / "a" / ".gitignore").exists()


def test_an_existing_folder_stays_as_it_is(tmp_path):
    create_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
