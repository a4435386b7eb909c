"""What each path answers, against the runtime that the command `predict` uses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.serve.loading import LoadedBundle
from tests.deployment.serve.bundles import BRANCHES
from tests.deployment.serve.conftest import Client, Serving

Picture = Callable[..., bytes]


def test_one_image_is_answered_as_predict_answers_its_file(
    client: Client, bundle: Path, picture: Picture, tmp_path: Path
) -> None:
    for number, kind in enumerate(("PNG", "JPEG", "WEBP", "GIF", "BMP")):
        data = picture(kind, seed=number)
        (tmp_path / "image").write_bytes(data)
        expected = Runtime(bundle, threads=1).predict([tmp_path / "image"])[0]["attributes"]
        answer = client.post("/predict", content=data, headers={"content-type": f"image/{kind.lower()}"})
        assert answer.status_code == 200, answer.text
        (row,) = answer.json()["predictions"]
        assert list(row["attributes"]) == list(BRANCHES)
        for name, decided in row["attributes"].items():
            assert decided["value"] == expected[name]["value"]
            assert decided["threshold"] == expected[name]["threshold"]
            assert decided["scores"] == pytest.approx(expected[name]["scores"], rel=1e-4)


def test_several_images_are_answered_in_their_order_and_as_each_alone(client: Client, picture: Picture) -> None:
    images = [picture(seed=seed) for seed in range(4)]
    form = [("images", (f"{number}.png", data)) for number, data in enumerate(images)]
    rows = client.post("/predict", files=form).json()["predictions"]
    assert len({str(row) for row in rows}) == 4
    for row, data in zip(rows, images, strict=True):
        alone = client.post("/predict", content=data, headers={"content-type": "image/png"}).json()["predictions"][0]
        for name in BRANCHES:
            assert row["attributes"][name]["scores"] == pytest.approx(alone["attributes"][name]["scores"], rel=1e-4)


@pytest.mark.parametrize("query", ["attributes=age.group", "attributes=age.group&attributes=age.group"])
def test_a_subset_of_attributes(client: Client, picture: Picture, query: str) -> None:
    headers = {"content-type": "image/png"}
    everything = client.post("/predict", content=picture(), headers=headers).json()["predictions"][0]["attributes"]
    answer = client.post(f"/predict?{query}", content=picture(), headers=headers)
    (row,) = answer.json()["predictions"]
    assert row["attributes"] == {"age.group": everything["age.group"]}
    both = client.post("/predict?attributes=age.group,bald", content=picture(), headers=headers).json()
    assert list(both["predictions"][0]["attributes"]) == ["age.group", "bald"]


def test_the_contract(client: Client, bundle: Path) -> None:
    told = client.get("/attributes").json()
    assert told["fingerprint"] == Runtime(bundle).bundle["fingerprint"]
    for name, (values, _, threshold) in BRANCHES.items():
        assert told["attributes"][name]["values"] == list(values)
        assert told["attributes"][name]["threshold"] == threshold
        assert "metrics" in told["attributes"][name]


def test_health_and_readiness(client: Client, bundle: Path) -> None:
    assert client.get("/healthz").json() == {"alive": True}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert (ready.json()["ready"], ready.json()["refused"]) == (True, None)


def test_threads_of_the_model_leave_the_cores_to_others_between_runs(bundle: Path) -> None:
    options = Runtime(bundle, threads=2).session(bundle / "trunk.onnx").get_session_options()
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_the_joined_graph_answers_as_the_parts_do_and_an_unknown_one_is_refused(bundle: Path) -> None:
    images = np.random.default_rng(0).normal(size=(3, 3, 16, 16)).astype(np.float32)
    parts, joined = LoadedBundle(bundle, threads=1), LoadedBundle(bundle, threads=1, graph="joined")
    for names in (parts.attributes, ("age.group",)):
        expected = parts.scores(images, names)
        for name, scores in joined.scores(images, names).items():
            np.testing.assert_allclose(scores, expected.pop(name), rtol=1e-4)
        assert not expected
    with pytest.raises(BundleError, match="no graph 'fast'"):
        LoadedBundle(bundle, threads=1, graph="fast")


def counted(client: Client) -> dict[tuple[str, ...], float]:
    """(sample's name, its labels' values in order) -> value."""
    text = client.get("/metrics").text
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_requests_images_batches_and_refusals_are_counted(bundle: Path, picture: Picture, serving: Serving) -> None:
    with serving(bundle) as client:
        client.post("/predict", files=[("images", ("a", picture())), ("images", ("b", picture(seed=1)))])
        client.post("/predict", content=b"", headers={"content-type": "image/png"})
        client.get("/" + "x" * 50)
        found = counted(client)
    assert found["graftnet_requests_total", "/predict", "200"] == 1
    assert found["graftnet_requests_total", "/predict", "422"] == 1
    assert found["graftnet_requests_total", "other", "404"] == 1
    assert found["graftnet_refused_total", "empty"] == 1
    assert found["graftnet_images_total",] == 2
    assert found["graftnet_batch_size_sum",] == 2
    assert found["graftnet_request_seconds_count", "/predict"] == 2
    assert found["graftnet_queue_depth",] == 0
    assert found["graftnet_reloads_total", "loaded"] == 0
    assert found["graftnet_attributes",] == 2
    assert found["process_resident_memory_bytes",] > 1e6


def test_the_page_asks_nobody_else(client: Client) -> None:
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert policy.count("'sha256-") == 2
    outside = page.text.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in outside
    assert "https://" not in outside
    assert "onclick" not in outside
    assert " style=" not in outside


def test_the_description_knows_the_bundle(client: Client) -> None:
    told = client.get("/openapi.json").json()
    post = told["paths"]["/predict"]["post"]
    assert post["parameters"][0]["schema"]["items"]["enum"] == list(BRANCHES)
    example = post["responses"]["200"]["content"]["application/json"]["example"]
    assert list(example["predictions"][0]["attributes"]) == list(BRANCHES)
    assert set(post["responses"]) == {"200", "400", "408", "413", "415", "421", "422", "503"}


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/predict", 405), ("POST", "/", 405), ("GET", "/docs", 404)]
)
def test_other_paths_and_methods_get_a_sentence(client: Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"].endswith("see /openapi.json.")
    assert ("allow" in answer.headers) == (status == 405)
