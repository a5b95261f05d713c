"""OpenTelemetry's API finds its plugins by entry points (context, propagators) and carries spans, baggage and no-op meters."""
import importlib.metadata

from opentelemetry import baggage, context, metrics, propagate, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


def check(ok, what):
    if not ok:
        raise SystemExit("opentelemetry-api: " + what)


check(importlib.metadata.version("opentelemetry-api")[0].isdigit(), "no metadata")
names = {p.name for d in importlib.metadata.distributions() for p in d.entry_points if p.group == "opentelemetry_propagator"}
check({"tracecontext", "baggage"} <= names, "entry points are missing")
token = context.attach(context.set_value("k", "v"))
check(context.get_value("k") == "v", "context")
context.detach(token)
check(context.get_value("k") is None, "detach")
parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
found = propagate.extract({"traceparent": parent, "baggage": "user=42"})
check(baggage.get_baggage("user", found) == "42", "baggage")
span = trace.get_current_span(found).get_span_context()
check(span.is_valid and span.trace_id == 0x0AF7651916CD43DD8448EB211C80319C and span.trace_flags.sampled, "traceparent")
carrier = {}
propagate.inject(carrier, found)
check(carrier["traceparent"] == parent and carrier["baggage"] == "user=42", "inject")
with trace.get_tracer("t").start_as_current_span("s", context=found) as child:
    child.set_attribute("a", 1)
    check(child.get_span_context().trace_id == span.trace_id, "span")
metrics.get_meter("m").create_counter("c").add(1, {"x": "y"})
check("traceparent" in TraceContextTextMapPropagator().fields, "fields")
