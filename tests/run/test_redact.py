"""Secrets stay out of what a run records, and everything else stays in."""

from __future__ import annotations

import shlex

import pytest

from runcast.run.redact import REDACTED, Redactor, is_secret_name, redact_url, without_secrets

GITHUB = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
HUGGING_FACE = "hf_" + "QwErTyUiOp" * 3
OPENAI = "sk-proj-" + "Ab3dEf6hIj" * 4
AWS = "AKIA" + "IOSFODNN7EXAMPLX"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
RANDOM = "x7Kq9mWv2RtLp4Zs8Nb3"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor({})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("train.py --api-key X1", "train.py --api-key REDACTED"),
        ("train.py --api_key=X1", "train.py --api_key=REDACTED"),
        ("train.py --apiKey X1 --lr 0.1", "train.py --apiKey REDACTED --lr 0.1"),
        ("train.py --token=abc", "train.py --token=REDACTED"),
        ("train.py --hf-token abc", "train.py --hf-token REDACTED"),
        ("train.py -token abc", "train.py -token REDACTED"),
        ("train.py --password hunter2 --epochs 3", "train.py --password REDACTED --epochs 3"),
        ("train.py --db.password=hunter2", "train.py --db.password=REDACTED"),
        ("train.py +wandb.api_key=0011aabb model=gpt", "train.py +wandb.api_key=REDACTED model=gpt"),
        ("env API_KEY=abc python train.py", "env API_KEY=REDACTED python train.py"),
        ("AWS_SECRET_ACCESS_KEY=abc ./run", "AWS_SECRET_ACCESS_KEY=REDACTED ./run"),
        ("train.py --client-secret 's p a c e'", "train.py --client-secret REDACTED"),
        (f"train.py {AWS}", "train.py REDACTED"),
        (f"train.py --note=see-{HUGGING_FACE}", "train.py --note=see-REDACTED"),
        (f"train.py --push {GITHUB}", "train.py --push REDACTED"),
        (f"train.py --x {OPENAI}", "train.py --x REDACTED"),
        (f"train.py --x {JWT}", "train.py --x REDACTED"),
        (f"train.py --key {RANDOM}", "train.py --key REDACTED"),
        (f"train.py --auth {RANDOM}", "train.py --auth REDACTED"),
        ("train.py --db postgres://ada:pw@db/x", "train.py --db postgres://ada:REDACTED@db/x"),
        ("train.py https://tok3n@git.example/a", "train.py https://REDACTED@git.example/a"),
        ("train.py s3://b/x?X-Access-Token=abcd&part=1", "train.py 's3://b/x?X-Access-Token=REDACTED&part=1'"),
        ("""train.py --json '{"api_key": "abc", "lr": 1}'""", """train.py --json '{"api_key": "REDACTED", "lr": 1}'"""),
        ("curl -H 'Authorization: Bearer abc123def'", "curl -H 'Authorization: Bearer REDACTED'"),
    ],
)  # fmt: skip
def test_secrets_of_a_command_line(redactor: Redactor, given: str, kept: str) -> None:
    """However a secret is passed to a program, the run does not show it."""
    assert redactor.command(shlex.split(given)) == kept


@pytest.mark.parametrize(
    "command",
    [
        "train.py --tokenizer bert --num-tokens 5",
        "train.py --max_token 512 --pad-token '<pad>' --eos_token=</s> --n-tokens 7",
        "train.py --placeholder_token '<cat>' --initializer_token toy",
        "train.py --token --verbose",
        "train.py --use-auth-token true --token=none",
        "train.py --key loss --sort-key accuracy --keys a b",
        "train.py --monkey banana --keyboard qwerty --secretary ada",
        "train.py --password-file /run/secrets/db",
        "train.py --seed 1234567890123456789 --commit 0123456789abcdef0123456789abcdef01234567",
        "train.py --model meta-llama/Llama-3.1-8B-Instruct --data gs://bucket/a/b",
        "train.py --api-key $KEY",
        "train.py ssh://git@git.example/a git@git.example:a/b",
        "python -m pkg.train optimizer=adam optimizer.lr=1e-3",
    ],
)
def test_what_is_no_secret_stays(redactor: Redactor, command: str) -> None:
    """Options of models and data keep their values, however much their names look like those of secrets."""
    assert shlex.split(redactor.command(shlex.split(command))) == shlex.split(command)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('api_key = "abc"', 'api_key = "REDACTED"'),
        ("api_key: str = 'abc'", "api_key: str = 'REDACTED'"),
        ('login(token="abc", add=True)', 'login(token="REDACTED", add=True)'),
        ('os.environ["WANDB_API_KEY"] = "abc"', 'os.environ["WANDB_API_KEY"] = "REDACTED"'),
        ('os.environ.setdefault("HF_TOKEN", "abc")', 'os.environ.setdefault("HF_TOKEN", "REDACTED")'),
        ('{"password": "hunter2"}', '{"password": "REDACTED"}'),
        ('+    "db_password": "hunter2",', '+    "db_password": "REDACTED",'),
        ("-export SLACK_TOKEN=abcd", "-export SLACK_TOKEN=REDACTED"),
        ("+SECRET_KEY=abcd", "+SECRET_KEY=REDACTED"),
        (f"secret_key: {RANDOM}", "secret_key: REDACTED"),
        (f'key = "{RANDOM}"', 'key = "REDACTED"'),
        ("!python train.py --token abc --lr 1", "!python train.py --token REDACTED --lr 1"),
        (f"login('{GITHUB}')", "login('REDACTED')"),
        ('engine("postgresql+psycopg://u:p%40ss@h:5432/d")', 'engine("postgresql+psycopg://u:REDACTED@h:5432/d")'),
        ("https://hooks.slack.com/services/T000/B000/XXXX", "https://hooks.slack.com/services/REDACTED"),
    ],
)  # fmt: skip
def test_secrets_of_code(redactor: Redactor, given: str, kept: str) -> None:
    """A secret that is written into a script, a cell or a patch is not recorded with it."""
    assert redactor.text(given) == kept


@pytest.mark.parametrize(
    "code",
    [
        'tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")',
        'pad_token = "[PAD]"',
        "token = tokens[i]",
        "def encode(self, token: str, key: int) -> None:",
        'for key in ("loss", "accuracy"):',
        'frame.sort_values(key="name", by="token")',
        'zip(tokens, "abc")',
        'token = os.environ["HF_TOKEN"]',
        "password = getpass.getpass()",
        "model = load(use_auth_token=True)",
        'print("key: value")',
        "k = torch.nn.functional.normalize(key_states, dim=-1)",
        "@@ -1,3 +1,4 @@ def train(key):",
        "index 0123456789abcdef..fedcba9876543210 100644",
        "email = 'ada@example.org'  # see https://example.org/@ada",
        "Basic training of a token classifier",
    ],
)
def test_code_without_secrets_stays(redactor: Redactor, code: str) -> None:
    """Code that only speaks of tokens and keys is recorded as it was written."""
    assert redactor.text(code) == code


def test_values_of_the_environment(redactor: Redactor) -> None:
    """A key from the environment is taken out wherever it turns up, also in a text that does not name it."""
    knowing = Redactor(
        {"WANDB_API_KEY": "0123456789abcdef", "USER": "ada-lovelace", "TOKENIZERS_PARALLELISM": "false"}
    )
    assert (
        knowing.text("echo 0123456789abcdef for ada-lovelace: false")
        == "echo REDACTED for ada-lovelace: false"
    )
    assert redactor.variables({"NCCL_DEBUG": "INFO", "TF_API_KEY": "abc"}) == {
        "NCCL_DEBUG": "INFO",
        "TF_API_KEY": REDACTED,
    }


def test_a_private_key_keeps_its_lines(redactor: Redactor) -> None:
    """A key file in a patch loses its contents; the patch keeps the number of lines that its head announces."""
    body = "\n".join("+" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ" for _ in range(5))
    patch = f"@@ -0,0 +1,7 @@\n+-----BEGIN RSA PRIVATE KEY-----\n{body}\n+-----END RSA PRIVATE KEY-----\n+done = 1\n"
    kept = redactor.text(patch)
    assert "MIIE" not in kept
    assert kept.count("\n") == patch.count("\n")
    assert kept.endswith("+done = 1\n")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "key=" * 50_000,
        '"' * 100_000,
        "token: " * 30_000,
        "://" * 60_000,
        "x.y-" * 50_000,
        "token[" * 30_000,
    ],
)
def test_hostile_text_takes_no_time(redactor: Redactor, text: str) -> None:
    """No text, however odd, keeps the recorder busy for long."""
    import time

    started = time.perf_counter()
    redactor.text(text)
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("HF_TOKEN", True),
        ("hfToken", True),
        ("APIKey", True),
        ("api-key", True),
        ("tokenizer", False),
        ("key", False),
        ("KEYCLOAK_URL", False),
        ("", False),
    ],
)
def test_names(name: str, secret: bool) -> None:
    """A name is taken apart into its words, however it is written."""
    assert is_secret_name(name) is secret


def test_git_remotes() -> None:
    """An address that only names a user stays as it is where that is no secret."""
    assert redact_url("ssh://git@git.example/a") == "ssh://git@git.example/a"
    assert redact_url("https://oauth2:abc@git.example/a") == "https://oauth2:REDACTED@git.example/a"


def test_a_config_without_its_secrets():
    """What the keys of a config call secret is not recorded, however deep; numbers, names of fields and switches stay."""
    config = {
        "lr": 0.1,
        "api_key": "abcdefgh1234",
        "hub": {"token": "x" * 20, "user": "ada"},
        "pad_token": "<pad>",
    }
    config |= {"password": None, "use_auth_token": True, "keys": ["a", "b"], "secret": ""}
    kept = {**config, "api_key": REDACTED, "hub": {"token": REDACTED, "user": "ada"}}
    assert without_secrets(config) == kept
