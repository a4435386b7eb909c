"""Settings of a server: address, threads, batches, and every limit on what a request may cost."""

import math
import re
from dataclasses import dataclass, field, fields

from deployment.errors import BundleError
from deployment.serve.hosts import EVERY, bare_host

MIB = 2**20
# What a limit is called on the command line.
OPTIONS = {"max_images": "--max-images", "max_body": "--max-megabytes", "max_pixels": "--max-megapixels"}
TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Times in seconds, sizes in bytes. Raises: BundleError for a value that is not positive, or two that contradict.

    `host` is where it listens, `allow_hosts` what else requests may call it, `token` what they must bring (None:
    nothing). `device` and `graph` are those of `deployment.runtime.Runtime`. `threads` are onnxruntime's, per model (0:
    its own choice); `decoders` decode images beside them. A batch holds at most `max_batch` images and waits no longer
    than `max_delay` for images that are being decoded. `queue` is the number of images that may be under way at once,
    `max_buffered` the bytes of all bodies held at once, `connections` the number of open connections: beyond each the
    answer is 503. `header_timeout` and `body_timeout` bound how long a client may take to send, `timeout` how long an
    answer may take. Of pixels an image may have `max_pixels`, all of a request `max_request_pixels`; `max_decoding` are
    decoded at once, the next image waits. `poll` is the time between two looks at the bundle.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    allow_hosts: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    device: str = "cpu"
    graph: str = "parts"
    threads: int = 0
    decoders: int = 2
    max_batch: int = 16
    max_delay: float = 0.005
    queue: int = 256
    max_images: int = 16
    max_body: int = 16 * MIB
    max_buffered: int = 256 * MIB
    max_pixels: int = 25_000_000
    max_request_pixels: int = 50_000_000
    max_decoding: int = 25_000_000
    header_timeout: float = 10.0
    body_timeout: float = 20.0
    timeout: float = 30.0
    connections: int = 512
    poll: float = 1.0

    def __post_init__(self) -> None:
        if not self.host.strip():
            raise BundleError("the --host is empty, which would be every address of this machine: name one, or 0.0.0.0")
        if self.token is not None and not TOKEN.fullmatch(self.token):
            raise BundleError(
                "the token is empty or holds more than letters, digits and signs of ASCII: give one word with --token "
                "or in GRAFTNET_TOKEN, or unset that variable"
            )
        for name in self.allow_hosts:
            if name != EVERY and (not bare_host(name) or name.count(":") == 1):
                raise BundleError(f"--allow-host {name!r} is no host: name one without scheme, port and path, or *")
        may_be_zero = ("port", "threads", "max_delay")
        for known in fields(self):
            value = getattr(self, known.name)
            if isinstance(value, int | float) and (
                not 0 <= value < math.inf or (value == 0 and known.name not in may_be_zero)
            ):
                raise BundleError(f"{known.name} must be a positive number, is {value}: give another")
        for smaller, larger in (
            ("max_images", "queue"),
            ("max_body", "max_buffered"),
            ("max_pixels", "max_request_pixels"),
            ("max_pixels", "max_decoding"),
        ):
            if getattr(self, smaller) > getattr(self, larger):
                raise BundleError(
                    f"{smaller} is {getattr(self, smaller)}, more than {larger} ({getattr(self, larger)}), so the "
                    f"largest request would never be answered: lower {smaller} ({OPTIONS[smaller]})"
                )
