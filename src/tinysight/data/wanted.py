"""How the user wants images to be framed."""

from dataclasses import dataclass

from ..errors import check_choice
from ..preprocessing.framing import Framing


@dataclass(frozen=True)
class Wanted:
    """How the user wants images to be framed; None: as the images suggest.

    Attributes:
        framing: Method of framing.
        image_size: Height and width.
        channels: 1 (grey) or 3 (colour).
        like: A classifier's framing, which replaces the others.
        photograph_size: Height and width where most pictures are photographs, and no other size is wanted.
    """

    framing: str | None = None
    image_size: tuple[int, int] | None = None
    channels: int | None = None
    like: Framing | None = None
    photograph_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.channels is not None:
            check_choice("channels", str(self.channels), ("1", "3"))
