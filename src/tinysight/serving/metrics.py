"""Counts requests and predictions for Prometheus; does not know how they are answered."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from .batching import MAX_BATCH
from .worker import Answers

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCHES = tuple(2**power for power in range(MAX_BATCH.bit_length()))


class Metrics:
    """What is counted, in a registry of its own.

    Attributes:
        num_in_flight: Requests that are not answered yet.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self.num_in_flight = 0
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        registry = self._registry
        labels = ("route", "status")
        self._requests = Counter("tinysight_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "tinysight_request_seconds",
            "Time from headers to answer.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._predictions = Counter(
            "tinysight_predictions", "Pictures named, by class.", ("class_name",), registry=registry
        )
        self._rejected = Counter("tinysight_rejected", "Pictures that are probably of no class.", registry=registry)
        self._batches = Histogram(
            "tinysight_batch_images", "Images that went through the network together.", buckets=BATCHES,
            registry=registry,
        )  # fmt: skip
        gauge = Gauge("tinysight_requests_in_flight", "Requests not answered yet.", registry=registry)
        gauge.set_function(lambda: self.num_in_flight)
        self._counted: dict[tuple[str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        counted = self._counted.get((route, status))
        if counted is None:  # finding what belongs to labels takes longer than to count
            counted = self._requests.labels(route, status).inc, self._seconds.labels(route).observe
            self._counted[route, status] = counted
        add, observe = counted
        add()
        observe(seconds)

    def count_batch(self, found: Answers) -> None:
        """Count a batch that went through the network."""
        if found.num_images:
            self._batches.observe(found.num_images)
        for class_name, number in found.classes.items():
            self._predictions.labels(class_name).inc(number)
        self._rejected.inc(found.num_rejected)

    def as_text(self) -> bytes:
        """Return all counts in Prometheus's text format."""
        return generate_latest(self._registry)
