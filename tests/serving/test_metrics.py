"""Metrics for Prometheus."""

import re

import numpy as np
import pytest
from samples import as_png
from services import running


@pytest.mark.slow
def test_metrics_count_requests_predictions_and_batches(model_path, tmp_path, pictures):
    with running(tmp_path, model_path) as service, service.client() as client:
        for picture in pictures[:3]:
            client.post("/predict", content=picture)
        client.post("/predict", content=b"no picture")
        client.post("/predict", content=as_png(np.zeros((28, 28), np.uint8)))
        client.get("/nothing")
        text = client.get("/metrics").text
    assert 'tinysight_requests_total{route="/predict",status="200"} 4.0' in text
    assert 'tinysight_requests_total{route="/predict",status="422"} 1.0' in text
    assert 'tinysight_requests_total{route="none",status="404"} 1.0' in text
    assert sum(float(count) for count in re.findall(r"^tinysight_predictions_total{.*} (.*)$", text, re.MULTILINE)) == 4
    assert float(re.search(r"^tinysight_rejected_total (.*)$", text, re.MULTILINE).group(1)) >= 1
    assert "tinysight_batch_images_count 4.0" in text
    assert "tinysight_requests_in_flight 1.0" in text
    assert 'tinysight_request_seconds_count{route="/predict"} 5.0' in text
