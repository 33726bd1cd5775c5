"""Invalid options on the command line."""

import pytest

from source_api.__main__ import main

REFUSED = [
    (["--limits", "many"], "--limits: expected tiers such as '500/20 second; 2000/100 second', or 'none', got 'many'"),
    (["--fault", "17=explode"], "--fault: expected 'ID=WHAT'"),
    (["--items", "-1"], "--items: expected a number from 0 to 10,000,000, got -1"),
    (["--jitter", "nan"], "--jitter: expected milliseconds, 0 or more, got nan"),
    (["--port", "http"], "'http' is not a valid integer"),
    (["--window", "round"], "'round' is not one of 'sliding', 'fixed', 'bucket'"),
    (["--database", "/no/such/folder/items"], "--database: expected a file that SQLite can use"),
    (["--host", "999.999.999.999"], "--host and --port: expected a free address to listen at"),
    (["--nonsense"], "--nonsense"),
    (["nonsense"], "unexpected extra argument"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_a_bad_option_is_one_sentence_and_status_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--port", "0", *arguments])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith("source_api: ")
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_help_lists_every_option(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    for word in ("--limits", "--fault", "--delay-before", "--token", "--no-headers", "/_stats", "page:2=status:500*1"):
        assert word in text
