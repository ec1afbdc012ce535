"""The public image sets that have a name; to add one, add an entry to `NAMED_SETS`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NamedSet:
    """A public image set, as IDX files.

    Attributes:
        hosts: Addresses of folders that hold its files, in the order in which they are tried.
        files: Name of each file, with the SHA-256 of its uncompressed content (compressed files differ by host).
        class_names: Names of the labels 0, 1, …
        framing: The framing of pictures for a classifier of this set, see `tinysight.preprocessing.framing.Framing`.
            ``ink`` also states that the set's own images are framed so already.
    """

    hosts: tuple[str, ...]
    files: dict[str, str]
    class_names: tuple[str, ...]
    framing: str


# Source: the hosts that torchvision (ossci-datasets), TFDS (cvdf-datasets, fashion-mnist) and Keras
# (tf-keras-datasets) download from.
NAMED_SETS = {
    "mnist": NamedSet(
        hosts=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        files={
            "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        class_names=tuple("0123456789"),
        framing="ink",
    ),
    "fashion-mnist": NamedSet(
        hosts=(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        files={
            "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        class_names=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        framing="whole",
    ),
}  # fmt: skip

NAMES = ("digits", *NAMED_SETS)  # digits comes with scikit-learn and is not downloaded
