"""Rules and persons: what they add to an answer."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from deployment.errors import BundleError
from deployment.runtime.images import normalised
from deployment.serve.persons import MOST
from graftnet.cli import run
from subdatasets.persons.crops import Crop
from tests.deployment.serve.bundles import BRANCHES
from tests.deployment.serve.conftest import Serving

Picture = Callable[..., bytes]
PNG = {"content-type": "image/png"}
ALWAYS = """
[[rule]]
when = "bald >= 0.5 or bald < 0.5 or age.group is old"
action = "push soap"
weight = 2
"""
NEVER = """
[[rule]]
when = "bald >= 0.5 and bald < 0.5"
action = "push hair"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "rules.toml").write_text(ALWAYS)
    return tmp_path / "rules.toml"


def ask(client: Any, data: bytes, query: str = "") -> dict[str, Any]:
    answer = client.post(f"/predict{query}", content=data, headers=PNG)
    assert answer.status_code == 200, answer.text
    told = client.get("/openapi.json").json()
    schema = {**told["components"]["schemas"]["Answer"], "components": told["components"]}
    jsonschema_rs.validate(schema, answer.json())
    (row,) = answer.json()["predictions"]
    return row


def test_an_action_comes_with_its_evidence_also_when_its_attributes_were_not_asked_for(
    bundle: Path, rules: Path, picture: Picture, serving: Serving
) -> None:
    with serving(bundle, rules=rules) as client:
        row = ask(client, picture(), "?attributes=bald")
        assert list(row["attributes"]) == ["bald"]
        assert (row["action"]["action"], row["action"]["weight"]) == ("push soap", 2)
        asked = {condition["attribute"] for condition in row["action"]["conditions"]}
        assert asked == set(BRANCHES)
        rules.write_text(NEVER)
        client.app.state.reloader.look()
        client.app.state.reloader.look()
        assert ask(client, picture())["action"] is None


def test_rules_that_do_not_fit_the_bundle_are_refused(bundle: Path, rules: Path, serving: Serving) -> None:
    rules.write_text(ALWAYS.replace("bald", "hairy"))
    with pytest.raises(BundleError, match=r"rules.toml, line 3: .*hairy"), serving(bundle, rules=rules):
        pass


def test_what_cannot_be_is_repaired_before_rules_ask(
    bundle: Path, rules: Path, tmp_path: Path, picture: Picture, serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the age is said to be, it and "bald" are said to exclude one another, so one of both gives way."""
    (tmp_path / "a.png").write_bytes(picture())
    with serving(bundle) as client:
        before = ask(client, picture())["attributes"]
    assert before["bald"]["value"] == "yes"
    file = tmp_path / "graftnet.toml"
    label = f"age.group={before['age.group']['value']}"
    file.write_text(f"[[relations]]\nexclude = ['bald', '{label}']\n")
    rules.write_text('[[rule]]\nwhen = "not bald"\naction = "push soap"\n')
    with serving(bundle, relations=file, rules=rules) as client:
        row = ask(client, picture())
    assert row["relations"]["broken"] == [f"bald and {label}"]
    ((name, change),) = row["relations"]["changed"].items()
    assert (before[name]["value"], row["attributes"][name]["value"]) == (change["from"], change["to"])
    assert (row["action"] is not None) == (name == "bald")

    call = ["predict", str(bundle), str(tmp_path / "a.png")]
    assert run([*call, "--relations", str(file)]) == 0
    assert f"a.png  cannot be: bald and {label}" in capsys.readouterr().out
    assert run([*call, "--relations", str(file), "--repair", "--json"]) == 0
    (predicted,) = json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"]
    assert predicted["relations"] == row["relations"]
    assert run([*call, "--repair"]) == 2
    assert "--repair goes with --relations FILE" in capsys.readouterr().err


def crops(number: int) -> Callable[[npt.NDArray[np.uint8]], list[Crop]]:
    """Finds `number` persons side by side."""

    def find(image: npt.NDArray[np.uint8]) -> list[Crop]:
        assert image.shape == (20, 31, 3)
        return [Crop(image[2:12, left : left + 8], (left, 2, left + 8, 12), 0.9) for left in range(number)]

    return find


def test_each_person_is_answered_as_the_crop_alone(bundle: Path, picture: Picture, serving: Serving) -> None:
    with serving(bundle, persons=crops(3)) as client:
        row = ask(client, picture())
        model = client.app.state.reloader.current
        assert [person["box"] for person in row["persons"]] == [[left, 2, left + 8, 12] for left in range(3)]
        whole = np.asarray(Image.open(io.BytesIO(picture())))
        for left, person in enumerate(row["persons"]):
            pixels = normalised(Image.fromarray(whole[2:12, left : left + 8]), model.preprocessing)
            expected = model.scores(pixels[None], model.attributes)
            for name, (values, _, _) in BRANCHES.items():
                found = [person["attributes"][name]["scores"][value] for value in values]
                np.testing.assert_allclose(found, expected[name][0], rtol=1e-4)
        form = [("images", ("a", picture())), ("images", ("b", picture(seed=1)))]
        several = client.post("/predict", files=form).json()["predictions"]
        assert [len(one["persons"]) for one in several] == [3, 3]


@pytest.mark.parametrize(("found", "answered"), [(0, 0), (MOST + 5, MOST)])
def test_nobody_and_a_crowd(
    bundle: Path, rules: Path, picture: Picture, serving: Serving, found: int, answered: int
) -> None:
    with serving(bundle, persons=crops(found), rules=rules) as client:
        row = ask(client, picture())
        assert len(row["persons"]) == answered
        assert all(person["action"]["action"] == "push soap" for person in row["persons"])


def test_a_segmenter_that_fails_fails_its_request_only(bundle: Path, picture: Picture, serving: Serving) -> None:
    def find(image: npt.NDArray[np.uint8]) -> list[Crop]:
        if image[0, 0, 0] == 0:
            raise RuntimeError("out of memory")
        return []

    with serving(bundle, persons=find) as client:
        black = io.BytesIO()
        Image.new("RGB", (3, 3)).save(black, "PNG")
        assert client.post("/predict", content=black.getvalue(), headers=PNG).status_code == 500
        assert ask(client, picture()) == {"persons": []}
