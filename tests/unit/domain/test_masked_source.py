"""The usual secrets in a script's text are not shown, the rest of the text is."""

import pytest

from scriptfleet.domain.masked_source import masked_source


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('API_KEY = "hunter2"', 'API_KEY = "***"'),
        ("api_key='hun\\'ter2', other='x'", "api_key='***', other='x'"),
        ('os.environ["DB_PASSWORD"] = "hunter2"', 'os.environ["DB_PASSWORD"] = "***"'),
        ('password: str = b"hunter2"', 'password: str = b"***"'),
        ('{"token": "hunter2", "n": "1"}', '{"token": "***", "n": "1"}'),
        ("export TOKEN=hunter2; run", "export TOKEN=***; run"),
        ('curl -H "X-Api-Key: hunter2" -H "Accept: x"', 'curl -H "X-Api-Key: ***" -H "Accept: x"'),
        ("Authorization: Bearer hunter2.x\r\n", "Authorization: Bearer ***\r\n"),
        ("tool --token hunter2 --password=hunter2 -v", "tool --token *** --password=*** -v"),
        ('connect("redis://bob:hunter2@host/0")', 'connect("redis://bob:***@host/0")'),
        ("AKIAABCDEFGHIJKLMNOP", "***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END", "-----BEGIN RSA PRIVATE KEY-----***-----END"),
        ('vault_x = "hunter2"', 'vault_x = "***"'),
        ('TOKEN = """hunter2\n"quoted" hunter2"""', 'TOKEN = """***"""'),
        ("$env:API_TOKEN = 'hunter2'", "$env:API_TOKEN = '***'"),
        ("url=https://host/?n=1;token=hunter2 end", "url=https://host/?n=1;token=*** end"),
        ("url=https://host/?token=hunter2 end", "url=https://host/?token=*** end"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\nhunter2\n-----END",
            "-----BEGIN RSA PRIVATE KEY-----***-----END",
        ),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert masked_source(text, ["VAULT_"]) == shown


@pytest.mark.parametrize(
    "text",
    [
        "return g(token=token, key='y')",
        "token=get_token()",
        "PASSWORD=$(cat file)",
        'parser.add_argument("--token", help="the token")',
        'x = f"{token}"; monkey = "banana"',
        "token == 'abc'",
    ],
)
def test_code_that_only_speaks_of_secrets_stays_as_it_is(text: str) -> None:
    assert masked_source(text) == text


@pytest.mark.parametrize(
    "piece",
    ["a", "a=", "token=", '"token:', "--a ", "://a:", "-----BEGIN ", 'token="\\', "a='\\", 'a="""b=\'\'\'c="\\'],
)
def test_a_text_of_any_form_is_read_in_a_time_that_its_length_bounds(piece: str) -> None:
    # One that went back over what it has read would not come to an end within the tests' deadline.
    text = piece * (200_000 // len(piece)) + '"'

    assert masked_source(text).count("\n") == 0
