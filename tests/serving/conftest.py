"""What the tests of the service share."""

import numpy as np
import pytest
from samples import as_png


@pytest.fixture(scope="session")
def pictures(trained):
    """Twenty digits as PNG files."""
    return [as_png(np.asarray(image)) for image in trained.images.images[:20]]
