"""The node's numbers in Prometheus' words, read from the data plane when they are scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Stats = Mapping[str, Any]
LABELS = ("site", "partition")

COUNTERS = {
    "iotpm_events_processed": ("accepted", "readings accepted"),
    "iotpm_anomalies_detected": ("anomalies", "anomalies begun"),
    "iotpm_anomalies_suppressed": ("suppressed", "anomalies not raised because they repeat a recent one"),
    "iotpm_anomalies_muted": ("muted", "anomalies not told because what they look like was labelled false"),
    "iotpm_maintenance_readings": ("maintenance", "readings neither learned nor scored because of maintenance"),
    "iotpm_messages": ("messages", "messages of any kind that left the pipeline"),
    "iotpm_windows_closed": ("windows", "windows closed"),
    "iotpm_dead_letters": ("dead_letters", "messages or readings refused, with their reason in the store"),
    "iotpm_late_readings": ("late", "readings below their signal's watermark: stored apart, never scored"),
    "iotpm_duplicate_readings": ("duplicates", "readings with the event time of one still in memory"),
    "iotpm_duplicate_messages": ("source_duplicates", "messages that their source had sent before"),
    "iotpm_future_readings": ("future", "readings too far ahead of stream time"),
    "iotpm_non_finite_readings": ("non_finite", "readings without a finite value"),
    "iotpm_out_of_range_readings": ("out_of_range", "readings outside the physical range"),
    "iotpm_transient_readings": ("transient", "readings not scored because of the machine's operating state"),
    "iotpm_waveforms": ("waveforms", "waveform frames handed to the engines"),
    "iotpm_waveforms_kept": ("waveforms_kept", "waveform frames whose samples are kept"),
    "iotpm_waveforms_dropped": ("waveforms_dropped", "waveform frames whose samples the policy let go"),
    "iotpm_gaps": ("idle", "signals that fell silent"),
    "iotpm_clock_steps": ("clock_steps", "signals whose clock was set back"),
    "iotpm_ring_overwritten": ("ring_overwritten", "readings overwritten before their window closed"),
    "iotpm_reorder_overflow": ("reorder_overflow", "readings released early by a full reorder buffer"),
    "iotpm_sources_evicted": ("sources_evicted", "sources forgotten because their table was full"),
    "iotpm_signals_refused": ("too_many_signals", "readings refused because the table of signals was full"),
    "iotpm_chunks_committed": ("committed_chunks", "chunks committed"),
    "iotpm_snapshots": ("snapshots", "snapshots captured"),
    "iotpm_consumers_recreated": ("consumers_recreated", "consumers made anew after a fault"),
    "iotpm_link_silences": ("stalls", "times the link to the broker was silent for too long"),
    "iotpm_disconnects": ("disconnects", "connections lost"),
    "iotpm_backpressure": ("backpressure", "times the reader waited for the committer"),
    "iotpm_outbox_published": ("outbox_published", "events that the broker stored"),
    "iotpm_webhook_delivered": ("webhook_delivered", "events that the webhook's receiver accepted"),
    "iotpm_webhook_failed": ("webhook_failed", "events given up after all attempts"),
}
GAUGES = {
    "iotpm_consumer_lag": ("lag", "messages of the stream that are not committed yet"),
    "iotpm_committed_sequence": ("committed_sequence", "sequence of the last message committed"),
    "iotpm_reader_queue_messages": ("growing_messages", "messages in the chunk that grows"),
    "iotpm_commit_queue_chunks": ("held_chunks", "chunks that wait for the committer"),
    "iotpm_outbox_queue_events": ("outbox_pending", "events on their way to the broker"),
    "iotpm_signals": ("signals", "signals known"),
    "iotpm_store_bytes": ("store_bytes", "bytes of the store's blocks in use and its log"),
    "iotpm_lake_bytes": ("lake_bytes", "bytes of the lake's files"),
    "iotpm_disk_free_bytes": ("free_bytes", "bytes free on the disk of the data directory"),
    "iotpm_disk_room_bytes": ("room_bytes", "bytes that may still be written within budget and reserve"),
    "iotpm_disk_forecast_days": ("forecast_days", "days until budget or disk are full at the recent rate"),
}
HISTOGRAMS = {
    "iotpm_processing_latency_seconds": ("storing_seconds", "from the broker storing a message to its commit"),
    "iotpm_scoring_latency_seconds": ("scoring_seconds", "from the broker storing a cause to it storing the anomaly"),
    "iotpm_commit_seconds": ("commit_seconds", "from handing a chunk out to its commit"),
    "iotpm_pipeline_seconds": ("pipeline_seconds", "a chunk's time in the pipeline"),
    "iotpm_chunk_messages": ("chunk_messages", "messages in a chunk"),
}


class PlaneCollector(Collector):
    """Collects from `stats()` at every scrape."""

    def __init__(self, stats: Callable[[], Stats], site: str, partition: str) -> None:
        self._stats = stats
        self._labels = (site, partition)

    def collect(self) -> Iterator[Metric]:
        """One family per number; numbers that the plane does not know yet are left out."""
        stats = self._stats()
        for name, (key, text) in COUNTERS.items():
            if stats.get(key) is not None:
                counter = CounterMetricFamily(name, text, labels=LABELS)
                counter.add_metric(self._labels, stats[key])
                yield counter
        for name, (key, text) in GAUGES.items():
            if stats.get(key) is not None:
                gauge = GaugeMetricFamily(name, text, labels=LABELS)
                gauge.add_metric(self._labels, stats[key])
                yield gauge
        for name, (key, text) in HISTOGRAMS.items():
            if key in stats:
                yield self._histogram(name, text, stats[key])

    def _histogram(self, name: str, text: str, summary: Mapping[str, Any]) -> Metric:
        family = HistogramMetricFamily(name, text, labels=LABELS)
        buckets = [(f"{bound:g}", count) for bound, count in summary["buckets"]]
        family.add_metric(self._labels, [*buckets, ("+Inf", summary["count"])], summary["sum"])
        return family
