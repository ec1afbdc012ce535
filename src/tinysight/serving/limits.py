"""Upper bounds of the service."""

from dataclasses import dataclass

from ..errors import check_number

MIB, MEGAPIXEL = 2**20, 1_000_000
PICTURES_AT_MOST = 4  # of the largest size, in one request
BODY_MIB, PICTURE_MEGAPIXELS = (1 / 1024, 1024), (0.001, 64)  # the smallest and the largest that may be chosen


@dataclass(frozen=True)
class Limits:
    """Upper bounds of the service. A request beyond one is rejected at once with a 4xx status.

    Attributes:
        max_body_bytes: Size of one request's body.
        max_bytes_at_once: Size of all bodies together that are being read or answered.
        max_pixels: Pixels of one picture, checked before it is decoded.
        max_pictures: Pictures in one request.
        max_images: Images in one request of the Open Inference Protocol, where nothing is decoded.
        max_json_values: Values in the JSON of such a request. Images that need more are sent as bytes.
        max_waiting: Pictures that wait for the worker.
        max_connections: Open connections.
        body_seconds: Time in which a request's body must arrive.
        idle_seconds: Time in which a connection's next request must begin and its headers arrive.
        batch_seconds: Time that the worker may take for a batch; then it is ended.
        overdue_seconds: Time after which a batch counts as overdue; the service is not ready while one is.
        answer_seconds: Time after which a waiting request fails. A connection without progress is closed after twice
            this time.
        stop_seconds: Time in which requests that have arrived are still answered when the service stops.
    """

    max_body_bytes: int = 16 * MIB
    max_bytes_at_once: int = 128 * MIB
    max_pixels: int = 16 * MEGAPIXEL
    max_pictures: int = 64
    max_images: int = 1_024
    max_json_values: int = 2**20  # max_images of 28×28 pixels fit in
    max_waiting: int = 256
    max_connections: int = 512
    body_seconds: float = 15.0
    idle_seconds: float = 10.0
    batch_seconds: float = 10.0
    overdue_seconds: float = 3.0
    answer_seconds: float = 30.0
    stop_seconds: float = 30.0

    @property
    def max_request_pixels(self) -> int:
        """Pixels of all pictures of one request: as many as four of the largest pictures have."""
        return PICTURES_AT_MOST * self.max_pixels

    def __post_init__(self) -> None:
        check_number("largest body in MiB", self.max_body_bytes / MIB, *BODY_MIB)
        check_number("largest picture in megapixels", self.max_pixels / MEGAPIXEL, *PICTURE_MEGAPIXELS)
        check_number("number of pictures that may wait", self.max_waiting, 1, 100_000)
