"""The images in a request's body: one as it is (`image/*`), or several as a form's files named `images`."""

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from deployment.serve.refusals import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = b"images"
RAW = (b"image/", b"application/octet-stream")
FORM = b"multipart/form-data"


def images_of(content_type: str, body: bytes, *, max_images: int) -> list[bytes]:
    """The encoded images of a body, at least one. File names are not looked at, and nothing is written to disk.

    Raises: Refusal for another content type, a broken form, another field, or too many images.
    """
    kind, options = parse_options_header(content_type)
    if kind.startswith(RAW):
        return [body]
    if kind != FORM:
        raise Refusal(
            415, "type", "The content type is neither image/* nor multipart/form-data: say what the body holds."
        )
    parts = _Parts(max_images)
    try:
        parser = MultipartParser(options.get(b"boundary", b""), parts.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refusal(400, "form", "The body is no multipart form with its boundary: send it again.") from error
    if not parts.ended:
        raise Refusal(400, "form", "The form ends before its last boundary: send it whole.")
    if not parts.images:
        raise Refusal(422, "empty", "The form holds no image: send files in the field 'images'.")
    return parts.images


class _Parts:
    """Collects the parts while the form is parsed; python-multipart calls back with slices of what it was given."""

    def __init__(self, max_images: int) -> None:
        self.max_images = max_images
        self.images: list[bytes] = []
        self.ended = False
        self._name = self._value = b""
        self._field: bytes | None = None
        self._chunks: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.images) == self.max_images:
            raise Refusal(413, "count", f"The form holds more than {self.max_images} images: send several requests.")
        self._field, self._chunks = None, []

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._field = parse_options_header(self._value)[1].get(b"name")
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        if self._field != FIELD:
            raise Refusal(422, "form", "The form has a field that is not 'images': send the files in that one.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end])

    def _end(self) -> None:
        self.images.append(b"".join(self._chunks))

    def _finish(self) -> None:
        self.ended = True
