"""OpenTelemetry's SDK records spans, metrics and logs, samples, exports in memory and to the console, and finds its providers by entry points."""
import importlib.metadata
import io
import json
import os

os.environ.update(OTEL_SERVICE_NAME="svc", OTEL_RESOURCE_ATTRIBUTES="a=1,b=x%20y")
from opentelemetry import context, metrics, trace
from opentelemetry.sdk import resources
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.trace import SpanAttributes


def check(ok, what):
    if not ok:
        raise SystemExit("opentelemetry-sdk: " + what)


check(importlib.metadata.version("opentelemetry-sdk")[0].isdigit(), "no metadata")
found = {(p.group, p.name) for p in importlib.metadata.distribution("opentelemetry-sdk").entry_points}
check({("opentelemetry_traces_exporter", "console"), ("opentelemetry_tracer_provider", "sdk_tracer_provider"), ("opentelemetry_resource_detector", "otel")} <= found, "entry points: %s" % sorted(found))
resource = resources.Resource.create()
check(resource.attributes["service.name"] == "svc" and resource.attributes["b"] == "x y" and resource.attributes["telemetry.sdk.language"] == "python", "resource")
memory, console = InMemorySpanExporter(), io.StringIO()
provider = TracerProvider(resource=resource, sampler=sampling.ParentBased(sampling.TraceIdRatioBased(1.0)))
provider.add_span_processor(SimpleSpanProcessor(memory))
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=console)))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("probe", "7")
try:
    with tracer.start_as_current_span("outer", attributes={SpanAttributes.HTTP_METHOD: "GET"}) as outer:
        with tracer.start_as_current_span("inner", kind=trace.SpanKind.CLIENT, links=[trace.Link(outer.get_span_context())]) as inner:
            inner.add_event("e", {"n": 1})
            raise ValueError("wrong")
except ValueError:
    pass
provider.force_flush()
spans = {s.name: s for s in memory.get_finished_spans()}
check(set(spans) == {"outer", "inner"} and spans["inner"].parent.span_id == spans["outer"].context.span_id and [e.name for e in spans["inner"].events] == ["e", "exception"], "spans")
check(spans["outer"].status.status_code is trace.StatusCode.ERROR and json.loads(spans["outer"].to_json())["attributes"] == {"http.method": "GET"} and '"inner"' in console.getvalue(), "export")
check(not TracerProvider(sampler=sampling.ALWAYS_OFF).get_tracer("t").start_span("s").is_recording(), "sampler")
reader = InMemoryMetricReader()
meters = MeterProvider(metric_readers=[reader], views=[View(instrument_name="h", aggregation=ExplicitBucketHistogramAggregation([1, 10]))])
meter = meters.get_meter("probe")
meter.create_counter("c").add(3, {"k": "v"})
meter.create_histogram("h").record(5)
meter.create_observable_gauge("g", [lambda options: [metrics.Observation(9)]])
points = {m.name: m.data.data_points[0] for m in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics}
check(points["c"].value == 3 and points["h"].bucket_counts[1] == 1 and points["g"].value == 9, "metrics")
check(context.get_current() is not None, "context")
provider.shutdown()
meters.shutdown()
