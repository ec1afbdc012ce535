"""What a service takes on at most; does not know how each limit is kept."""

from dataclasses import dataclass

from ..errors import check_number

MIB, MEGAPIXEL = 2**20, 1_000_000
BODY_MIB, PICTURE_MEGAPIXELS = (1 / 1024, 1024), (0.001, 64)  # from the least to the most that may be chosen


@dataclass(frozen=True)
class Limits:
    """How much a service takes on before it says no; what is said no to is told so at once, with a 4xx status.

    Attributes:
        max_body_bytes: Of one request's body.
        max_bytes_at_once: Of all bodies that are being read or answered.
        max_pixels: Of one picture, before it is decoded.
        max_pictures: In one request.
        max_images: In one request of the Open Inference Protocol, where nothing is decoded.
        max_waiting: Pictures that wait for the network.
        max_connections: Open at a time.
        body_seconds: Until a request's body must be there.
        idle_seconds: Until a connection's next request must have begun and its headers must be there.
        answer_seconds: A request that has waited so long is given up; a connection is cut after twice that.
        stop_seconds: For what is being answered when the service is told to stop.
    """

    max_body_bytes: int = 16 * MIB
    max_bytes_at_once: int = 128 * MIB
    max_pixels: int = 16 * MEGAPIXEL
    max_pictures: int = 64
    max_images: int = 1_024
    max_waiting: int = 256
    max_connections: int = 512
    body_seconds: float = 15.0
    idle_seconds: float = 10.0
    answer_seconds: float = 30.0
    stop_seconds: float = 30.0

    def __post_init__(self) -> None:
        check_number("largest body in MiB", self.max_body_bytes / MIB, *BODY_MIB)
        check_number("largest picture in megapixels", self.max_pixels / MEGAPIXEL, *PICTURE_MEGAPIXELS)
        check_number("number of pictures that may wait", self.max_waiting, 1, 100_000)
