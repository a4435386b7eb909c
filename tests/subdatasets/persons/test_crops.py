"""Persons out of drawn scenes: every pixel of every crop, masks on disk, and Mask R-CNN with random weights."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from subdatasets.errors import DataError
from subdatasets.persons import mask_rcnn
from subdatasets.persons.crops import MEAN_COLOUR, CropSettings, Instance, box_of, person_crops
from subdatasets.persons.mask_rcnn import MaskRcnn, load_mask_rcnn
from subdatasets.persons.masks import MaskFiles

HEIGHT, WIDTH = 40, 60


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture and its numbers: person 1 overlapped on the right by person 7, and a small person 9."""
    image = np.random.default_rng(seed).integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
    numbers = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    numbers[((rows - 20) / 18) ** 2 + ((columns - 20) / 10) ** 2 < 1] = 1
    numbers[5:35, 26:46] = 7
    numbers[2:6, 50:55] = 9
    return image, numbers


def instances(numbers: np.ndarray, scores: dict[int, float]) -> list[Instance]:
    return [Instance(numbers == n, box_of(numbers == n), score) for n, score in scores.items()]


def test_each_crop_holds_its_person_and_nothing_else() -> None:
    image, numbers = scene()
    crops = person_crops(image, instances(numbers, {1: 0.8, 7: 0.9, 9: 0.95}), CropSettings(smallest=10))
    assert [crop.score for crop in crops] == [0.9, 0.8]
    for crop, number in zip(crops, (7, 1), strict=True):
        left, top, right, bottom = crop.box
        assert crop.box == box_of(numbers == number)
        own = numbers[top:bottom, left:right] == number
        assert np.array_equal(crop.pixels[own], image[top:bottom, left:right][own])
        assert (crop.pixels[~own] == MEAN_COLOUR).all()
    clear = person_crops(image, instances(numbers, {1: 0.8}), CropSettings(smallest=10, fill="transparent"))[0]
    own = numbers[clear.box[1] : clear.box[3], clear.box[0] : clear.box[2]] == 1
    assert np.array_equal(clear.pixels[..., 3], own * 255)
    assert not clear.pixels[~own].any()


def test_overlaps_go_to_the_higher_score_and_doubles_go_altogether() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 9, dtype=np.uint8)
    first, second, double = (np.zeros((HEIGHT, WIDTH), dtype=bool) for _ in range(3))
    first[0:20, 0:20] = second[0:20, 12:40] = double[1:20, 1:20] = True
    persons = [Instance(mask, box_of(mask), score) for mask, score in ((second, 0.8), (double, 0.75), (first, 0.9))]
    crops = person_crops(image, persons, CropSettings(smallest=5))
    assert [crop.score for crop in crops] == [0.9, 0.8]
    assert (crops[0].pixels == 9).all()
    assert (crops[1].pixels[:, :8] == MEAN_COLOUR).all()
    assert (crops[1].pixels[:, 8:] == 9).all()
    assert [crop.score for crop in person_crops(image, persons, CropSettings(smallest=5, visible=0))] == [0.9, 0.8]
    assert [crop.score for crop in person_crops(image, persons, CropSettings(smallest=5, score=0.85))] == [0.9]
    assert person_crops(image, persons, CropSettings(smallest=21)) == []


def test_boxes_beyond_the_picture_are_cut_and_wrong_masks_refused() -> None:
    image, numbers = scene()
    mask = numbers == 7
    crop = person_crops(image, [Instance(mask, (-5, -5, WIDTH + 9, HEIGHT + 9), 1.0)], CropSettings())[0]
    assert crop.box == (0, 0, WIDTH, HEIGHT)
    assert crop.pixels.shape == image.shape
    with pytest.raises(DataError, match="make them alike"):
        person_crops(image[:-1], [Instance(mask, box_of(mask), 1.0)], CropSettings())


@pytest.mark.parametrize(("name", "value"), [("smallest", 0), ("score", 1.5), ("visible", -1), ("fill", "black")])
def test_settings_are_checked(name: str, value: Any) -> None:
    with pytest.raises(DataError):
        CropSettings(**{name: value})


def test_numbered_and_single_masks_on_disk_are_the_same_persons(tmp_path: Path) -> None:
    image, numbers = scene()
    for folder in ("numbered", "wide", "single"):
        (tmp_path / folder).mkdir()
    Image.fromarray(numbers).save(tmp_path / "numbered" / "a.png")
    Image.fromarray(numbers.astype(np.uint16) * 256).save(tmp_path / "wide" / "a.png")
    (tmp_path / "single" / "a").mkdir()
    for n in (1, 7, 9):
        Image.fromarray(((numbers == n) * 255).astype(np.uint8)).save(tmp_path / "single" / "a" / f"{n}.png")
    found = [MaskFiles(tmp_path / folder)(image, Path("photos/a.jpg")) for folder in ("numbered", "wide", "single")]
    for persons in found:
        assert [person.box for person in persons] == [box_of(numbers == n) for n in (1, 7, 9)]
        for person, n in zip(persons, (1, 7, 9), strict=True):
            assert np.array_equal(person.mask, numbers == n)
    masks = MaskFiles(tmp_path / "numbered")
    before = masks.identity(Path("a.jpg"))
    Image.fromarray(numbers * 0).save(tmp_path / "numbered" / "a.png")
    assert masks.identity(Path("a.jpg")) != before
    assert masks(image, Path("a.jpg")) == []


def test_masks_that_are_none_are_named(tmp_path: Path) -> None:
    image, numbers = scene()
    with pytest.raises(DataError, match="there is no folder of masks"):
        MaskFiles(tmp_path / "none")
    masks = MaskFiles(tmp_path)
    with pytest.raises(DataError, match=r"a\.jpg has no masks"):
        masks(image, Path("a.jpg"))
    with pytest.raises(DataError, match="picture from memory"):
        masks(image)
    for name, content, said in (
        ("a", numbers[:-1], "60 x 39 pixels and its image 60 x 40"),
        ("b", image, "several channels"),
    ):
        Image.fromarray(content).save(tmp_path / f"{name}.png")
        with pytest.raises(DataError, match=said):
            masks(image, Path(f"{name}.jpg"))
    (tmp_path / "c.png").write_bytes(b"no png")
    with pytest.raises(DataError, match=r"c\.png cannot be read as a mask"):
        masks(image, Path("c.jpg"))


def tiny_network() -> torch.nn.Module:
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.rpn import AnchorGenerator

    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, stride=4, padding=1), torch.nn.ReLU())
        backbone.out_channels = 8  # type: ignore[assignment]
        anchors = AnchorGenerator(sizes=((16, 32),), aspect_ratios=((1.0,),))
        network: torch.nn.Module = MaskRCNN(
            backbone,
            num_classes=3,
            min_size=40,
            max_size=64,
            rpn_anchor_generator=anchors,
            rpn_post_nms_top_n_test=20,
            box_score_thresh=0.05,
        )
    return network


def test_mask_rcnn_gives_the_networks_persons() -> None:
    image, _ = scene()
    network = tiny_network()
    persons = MaskRcnn(network, "random")(image)
    with torch.no_grad():
        found = network.eval()([torch.from_numpy(image).permute(2, 0, 1).float() / 255])[0]
    wanted = [
        row for row in range(len(found["labels"])) if found["labels"][row] == 1 and (found["masks"][row] >= 0.5).any()
    ]
    assert len(persons) == len(wanted) > 0
    for person, row in zip(persons, wanted, strict=True):
        assert person.score == pytest.approx(float(found["scores"][row]))
        assert np.array_equal(person.mask, found["masks"][row, 0].numpy() >= 0.5)
        assert np.abs(np.array(person.box) - found["boxes"][row].numpy()).max() <= 1
    assert person_crops(image, persons, CropSettings(smallest=1, score=0, visible=0))


def test_weights_from_a_file_are_read_weights_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_rcnn, "_empty", lambda second: tiny_network())
    state = tiny_network().state_dict()
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    image, _ = scene()
    expected = MaskRcnn(tiny_network(), "")(image)
    for name in ("w.pth", "w.safetensors"):
        loaded = load_mask_rcnn(tmp_path / name)
        assert [person.score for person in loaded(image)] == [person.score for person in expected]
    assert load_mask_rcnn(tmp_path / "w.pth").identity(Path("a")) != loaded.identity(Path("a"))
    torch.save({**state, "stranger": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save(tiny_network(), tmp_path / "pickled.pth")
    torch.save([1], tmp_path / "list.pth")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:100])
    for name, said in (
        ("other.pth", "holds no weights of torchvision's maskrcnn"),
        ("pickled.pth", "cannot be read as weights"),
        ("torn.pth", "cannot be read as weights"),
        ("list.pth", "holds no table of weights"),
        ("none.pth", "there is no file of weights"),
    ):
        with pytest.raises(DataError, match=said):
            load_mask_rcnn(tmp_path / name)


def test_a_failed_download_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import detection

    def fail(**_options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(detection, "maskrcnn_resnet50_fpn_v2", fail)
    with pytest.raises(DataError, match=r"could not be downloaded \(no route to host\): name a local file"):
        load_mask_rcnn()


def test_the_room_still_works_without_torch() -> None:
    rooms = "subdatasets.persons.crops, subdatasets.persons.mask_rcnn, subdatasets.persons.masks"
    script = f"import sys; sys.modules['torch'] = None; import {rooms}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
