"""Counts requests and predictions for Prometheus."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The service's metrics, in a registry of their own.

    Attributes:
        num_in_flight: Requests that are not answered yet.
    """

    def __init__(self, max_batch: int) -> None:
        """Set all counts to zero.

        Args:
            max_batch: Largest usual number of images in a batch; the histogram of batches has buckets 1, 2, 4, … up to
                this number.
        """
        self.num_in_flight = 0
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "tinysight_requests", "Requests answered, by route and status.", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "tinysight_request_seconds",
            "Time from a request's headers to the end of its response.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._predictions = Counter(
            "tinysight_predictions", "Pictures predicted, by class.", ("class_name",), registry=registry
        )
        self._rejected = Counter(
            "tinysight_rejected", "Pictures that probably show none of the classes.", registry=registry
        )
        self._batches = Histogram(
            "tinysight_batch_images",
            "Images that went through the network together.",
            buckets=tuple(2**power for power in range(max_batch.bit_length())),
            registry=registry,
        )
        gauge = Gauge("tinysight_requests_in_flight", "Requests not answered yet.", registry=registry)
        gauge.set_function(lambda: self.num_in_flight)
        self._by_labels: dict[tuple[str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        methods = self._by_labels.get((route, status))
        if methods is None:  # `labels` takes longer than counting does, so its result is kept
            methods = self._requests.labels(route, status).inc, self._seconds.labels(route).observe
            self._by_labels[route, status] = methods
        increment, observe = methods
        increment()
        observe(seconds)

    def count_batch(self, num_images: int, class_counts: Mapping[str, int], num_rejected: int) -> None:
        """Count a batch: images that went through the network, pictures by class, and pictures rejected."""
        if num_images:
            self._batches.observe(num_images)
        for class_name, number in class_counts.items():
            self._predictions.labels(class_name).inc(number)
        self._rejected.inc(num_rejected)

    def as_text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
