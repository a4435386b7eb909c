"""graftnet serve: what the command says when it cannot serve; how it serves is tested in tests/deployment/serve."""

import sys
from pathlib import Path

import pytest

from deployment.serve.settings import MIB, ServeSettings
from graftnet.cli import run
from graftnet.commands.serve import ServeOptions, settings_given


def said(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(".")
    return line


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client", "python_multipart"])
def test_a_missing_package_is_said_with_its_extra(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("deployment.serve", f"{package}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert run(["serve", str(tmp_path)]) == 2
    assert "pip install 'graftnet[serve]'" in said(capsys)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere"], "nowhere"),
        (["."], "holds no bundle.json"),
        ([".", "--port", "70000"], "--port"),
        ([".", "--max-images", "300"], "lower max_images"),
        ([".", "--rules", "none.toml"], "none.toml"),
        ([".", "--max-megapixels", "inf"], "--max-megapixels"),
        ([".", "--max-megabytes", "inf"], "--max-megabytes"),
        ([".", "--request-megapixels", "inf"], "--request-megapixels"),
        ([".", "--decoding-megapixels", "1"], "lower max_pixels (--max-megapixels)"),
        ([".", "--request-megapixels", "24"], "lower max_pixels (--max-megapixels)"),
        ([".", "--timeout", "inf"], "--timeout"),
        ([".", "--body-timeout", "1e300"], "--body-timeout"),
        ([".", "--max-delay", "inf"], "--max-delay"),
        ([".", "--poll", "inf"], "--poll"),
        ([".", "--threads", "99999999"], "--threads"),
        ([".", "--host", ""], "the --host is empty"),
        ([".", "--token", ""], "the token is empty"),
        ([".", "--allow-host", "http://a"], "--allow-host 'http://a' is no host"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["serve", *words]) == 2
    assert expected in said(capsys)


def test_options_have_the_defaults_and_units_of_the_server() -> None:
    assert ServeSettings(**settings_given(ServeOptions())) == ServeSettings()
    given = settings_given(ServeOptions(max_delay=7.0, max_megabytes=0.5, max_megapixels=2.5))
    assert (given["max_delay"], given["max_body"], given["max_pixels"]) == (0.007, MIB // 2, 2_500_000)


def test_an_empty_variable_for_the_token_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAFTNET_TOKEN", "")
    assert run(["serve", str(tmp_path)]) == 2
    assert "GRAFTNET_TOKEN" in said(capsys)
