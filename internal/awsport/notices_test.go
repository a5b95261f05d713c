package awsport_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go/encoding/cbor"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// serveCloudWatch speaks the protocol that the SDK chose for CloudWatch: CBOR, one path for each
// operation, large requests compressed.
func serveCloudWatch(
	t *testing.T,
	answer func(operation string, in cbor.Map) (status int, out cbor.Map),
) *cloudwatch.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" && err == nil {
			var z *gzip.Reader
			if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
				body, err = io.ReadAll(z)
			}
		}

		var in cbor.Value
		if err == nil {
			in, err = cbor.Decode(body)
		}

		request, isMap := in.(cbor.Map)
		operation := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		if err != nil || !isMap || r.URL.Path != "/service/GraniteServiceVersion20100801/operation/"+operation {
			t.Errorf("%s: %v", r.URL, err)
		}

		status, out := answer(operation, request)
		w.Header().Set("Content-Type", "application/cbor")
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		w.WriteHeader(status)
		_, _ = w.Write(cbor.Encode(out))
	}))
	t.Cleanup(server.Close)
	return cloudwatch.NewFromConfig(awsConfig(server.URL))
}

func cborError(code, message string) cbor.Map {
	return cbor.Map{"__type": cbor.String("com.amazonaws.cloudwatch#" + code), "message": cbor.String(message)}
}

// cborTime is 2026-11-02T03:04:05Z and some seconds.
func cborTime(seconds float64) cbor.Value {
	return &cbor.Tag{ID: 1, Value: cbor.Float64(1793588645 + seconds)}
}

func TestAlarmsOfBothKindsAreRead(t *testing.T) {
	t.Parallel()
	alarms := awsport.Alarms{Client: serveCloudWatch(t, func(operation string, in cbor.Map) (int, cbor.Map) {
		types, _ := in["AlarmTypes"].(cbor.List)
		names, _ := in["AlarmNames"].(cbor.List)
		if operation != "DescribeAlarms" || len(names) != 1 ||
			!slices.Equal(types, cbor.List{cbor.String("MetricAlarm"), cbor.String("CompositeAlarm")}) {
			return 400, cborError("InvalidParameterValue", fmt.Sprint(in))
		}

		out := cbor.Map{"MetricAlarms": cbor.List{}, "CompositeAlarms": cbor.List{}}
		switch names[0] {
		case cbor.String("orders-errors"):
			out["MetricAlarms"] = cbor.List{
				cbor.Map{
					"AlarmName":                  names[0],
					"StateValue":                 cbor.String("ALARM"),
					"StateReason":                cbor.String("5 errors"),
					"StateUpdatedTimestamp":      cborTime(60),
					"StateTransitionedTimestamp": cborTime(0),
				},
			}
		case cbor.String("orders"):
			out["CompositeAlarms"] = cbor.List{
				cbor.Map{
					"AlarmName":             names[0],
					"StateValue":            cbor.String("INSUFFICIENT_DATA"),
					"StateUpdatedTimestamp": cborTime(0),
				},
			}
		case cbor.String("other"):
			out["MetricAlarms"] = cbor.List{
				cbor.Map{"AlarmName": cbor.String("Other"), "StateValue": cbor.String("OK")},
			}
		}

		return 200, out
	})}
	began := time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)
	for name, want := range map[string]workflow.Alarm{
		"orders-errors": {State: workflow.AlarmRaised, Reason: "5 errors", Since: began},
		"orders":        {State: workflow.AlarmNoData, Since: began},
	} {
		got, err := alarms.Get(t.Context(), name)
		if err != nil || got.State != want.State || got.Reason != want.Reason || !got.Since.Equal(want.Since) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}

	for _, name := range []string{"nobody", "other"} {
		_, err := alarms.Get(t.Context(), name)
		wantRefusal(t, err, fault.NotFound, "read alarm "+name, "consumers.yaml")
	}
}

func TestErrorsOfCloudWatchBecomeFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status   int
		answer   string
		code     fault.Code
		requests int
	}{
		"a denied one":    {403, "AccessDenied", fault.NotAllowed, 1},
		"a throttled one": {400, "Throttling", fault.Throttled, 3},
		"a broken one":    {500, "InternalServiceFault", fault.Unreachable, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n int
			client := serveCloudWatch(t,
				func(string, cbor.Map) (int, cbor.Map) { n++; return c.status, cborError(c.answer, "no") })
			_, err := awsport.Alarms{Client: client}.Get(t.Context(), "a")
			wantRefusal(t, err, c.code, "read alarm a: "+c.answer, "")
			if n != c.requests {
				t.Fatalf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

// metricsAt is the time of all metrics.
var metricsAt = time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)

// valueOf checks a datum and returns its value.
func valueOf(t *testing.T, datum cbor.Map) float64 {
	t.Helper()
	const described = "PackageSizeMegabytes" +
		"[map[Name:LayerName Value:data] map[Name:Target Value:python3.13-x86_64]]"
	value, err := cbor.AsFloat64(datum["Value"])
	when, errTime := cbor.AsTime(datum["Timestamp"])
	text := fmt.Sprint(datum["MetricName"], datum["Unit"], datum["Dimensions"])
	if err != nil || errTime != nil || !when.Equal(metricsAt) || text != described {
		t.Errorf("datum %v", datum)
	}

	return value
}

func TestMetricsAreStoredByTheThousand(t *testing.T) {
	t.Parallel()
	values := make([]workflow.Metric, 2300)
	for i := range values {
		values[i] = workflow.Metric{
			Name:  "PackageSize",
			Unit:  "Megabytes",
			Value: float64(i),
			Dimensions: []workflow.Dimension{
				{Name: "LayerName", Value: "data"},
				{Name: "Target", Value: "python3.13-x86_64"},
			},
		}
	}

	// store returns the values that were received, by batch. The given batches fail.
	store := func(t *testing.T, values []workflow.Metric, failing ...int) (batches [][]float64, err error) {
		t.Helper()
		var mu sync.Mutex
		client := serveCloudWatch(t, func(operation string, in cbor.Map) (int, cbor.Map) {
			mu.Lock()
			defer mu.Unlock()
			if operation != "PutMetricData" || in["Namespace"] != cbor.String("Lambda/Optimization") {
				return 400, cborError("InvalidParameterValue", fmt.Sprint(in["Namespace"]))
			}

			var batch []float64
			for _, d := range in["MetricData"].(cbor.List) {
				batch = append(batch, valueOf(t, d.(cbor.Map)))
			}

			batches = append(batches, batch)
			if slices.Contains(failing, len(batches)) {
				return 403, cborError("AccessDenied", "no")
			}

			return 200, cbor.Map{}
		})
		err = awsport.Metrics{Client: client}.Put(t.Context(), metricsAt, values)
		return batches, err
	}
	sizes := func(batches [][]float64) (out []int) {
		for _, b := range batches {
			out = append(out, len(b))
		}

		return out
	}
	t.Run("all of them, in order", func(t *testing.T) {
		t.Parallel()
		batches, err := store(t, values)
		if err != nil || !slices.Equal(sizes(batches), []int{1000, 1000, 300}) {
			t.Fatal(sizes(batches), err)
		}

		for i, v := range slices.Concat(batches...) {
			if v != float64(i) {
				t.Fatalf("value %d is %v", i, v)
			}
		}
	})
	t.Run("one batch that fails does not keep the others back, and is told", func(t *testing.T) {
		t.Parallel()
		batches, err := store(t, values, 2)
		wantRefusal(t, err, fault.NotAllowed,
			"store 1000 of 2300 metric values in Lambda/Optimization: AccessDenied: no", "cloudwatch:PutMetricData")
		if !slices.Equal(sizes(batches), []int{1000, 1000, 300}) {
			t.Fatal(sizes(batches))
		}
	})
	t.Run("none is no request", func(t *testing.T) {
		t.Parallel()
		if batches, err := store(t, nil); err != nil || batches != nil {
			t.Fatal(batches, err)
		}
	})
}

const topic = "arn:aws:sns:us-east-1:123456789012:layersmith"

// serveSNS gives the form of each request.
func serveSNS(t *testing.T, status int, answer string) (awsport.Notify, func() []url.Values) {
	t.Helper()
	var mu sync.Mutex
	var sent []url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}

		sent = append(sent, r.PostForm)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return awsport.Notify{
		Client: sns.NewFromConfig(awsConfig(server.URL)),
		Topic:  topic,
	}, func() []url.Values { mu.Lock(); defer mu.Unlock(); return sent }
}

func TestNotifySendsWhatSNSTakes(t *testing.T) {
	t.Parallel()
	const published = `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">` +
		`<PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`
	long := "x" + strings.Repeat("ä", 256<<10)
	for name, c := range map[string]struct{ subject, text, wantSubject, wantText string }{
		"a message as it is": {
			"Released: data, web", "All is well.\n", "Released: data, web",
			"All is well.\n",
		},
		"a subject of one line of ASCII":    {"  Failed:\r\n\tdéjà\u2028vu \x00\x7f", "x", "Failed: d?j??vu", "x"},
		"a hundred characters of a subject": {strings.Repeat("a", 120), "x", strings.Repeat("a", 100), "x"},
		"no space at the end of a cut one":  {strings.Repeat("a", 99) + " b", "x", strings.Repeat("a", 99), "x"},
		"no subject where nothing is left":  {"\n", "x", "", "x"},
		"a text of 256 KiB, cut at a letter": {
			"s",
			long,
			"s",
			long[:256<<10-33] + "\n[cut: the message was too long]",
		},
		"a text of exactly 256 KiB, complete": {"s", long[1 : 1+256<<10], "s", long[1 : 1+256<<10]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notify, sent := serveSNS(t, 200, published)
			if err := notify.Send(t.Context(), c.subject, c.text); err != nil {
				t.Fatal(err)
			}

			form := sent()[0]
			if len(c.text) > 1000 && form.Get("Message") != c.wantText {
				got := form.Get("Message")
				t.Fatalf("%d bytes, want %d, ending in %q", len(got), len(c.wantText), got[len(got)-50:])
			}

			if form.Get("Subject") != c.wantSubject || form.Has("Subject") != (c.wantSubject != "") ||
				form.Get("Message") != c.wantText ||
				form.Get("TopicArn") != topic {
				t.Fatalf("sent %q", form)
			}

			if len(form.Get("Message")) > 256<<10 {
				t.Fatalf("%d bytes", len(form.Get("Message")))
			}
		})
	}
}

func TestErrorsOfSNSBecomeFaults(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]fault.Code{
		"AuthorizationError": fault.NotAllowed,
		"NotFound":           fault.NotFound,
		"Throttled":          fault.Throttled,
		"InvalidParameter":   fault.BadInput,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			status := map[fault.Code]int{
				fault.NotAllowed: 403,
				fault.NotFound:   404,
				fault.Throttled:  429,
				fault.BadInput:   400,
			}[want]
			notify, _ := serveSNS(
				t,
				status,
				`<ErrorResponse><Error><Type>Sender</Type><Code>`+code+
					`</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
			)
			wantRefusal(t, notify.Send(t.Context(), "s", "t"), want, "notify "+topic, "")
		})
	}
}

func TestExecutionsRunUntilTheyEnd(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:states:us-east-1:123456789012:execution:layersmith:run-1"
	ask := func(t *testing.T, status int, answer any) (bool, error) {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var in map[string]any
			if err := json.NewDecoder(r.Body).
				Decode(&in); err != nil || !maps.Equal(in, map[string]any{"executionArn": arn}) ||
				r.Header.Get("X-Amz-Target") != "AWSStepFunctions.DescribeExecution" {
				t.Errorf("asked %s %v, %v", r.Header.Get("X-Amz-Target"), in, err)
			}

			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(answer)
		}))
		t.Cleanup(server.Close)
		return awsport.ExecutionRuns{Client: sfn.NewFromConfig(awsConfig(server.URL))}.Runs(t.Context(), arn)
	}
	for status, want := range map[string]bool{
		"RUNNING":         true,
		"SUCCEEDED":       false,
		"FAILED":          false,
		"TIMED_OUT":       false,
		"ABORTED":         false,
		"PENDING_REDRIVE": false,
	} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			got, err := ask(t, 200, map[string]any{"executionArn": arn, "status": status})
			if got != want || err != nil {
				t.Fatalf("%v, %v; want %v", got, err, want)
			}
		})
	}

	t.Run("one that nobody knows does not run", func(t *testing.T) {
		t.Parallel()
		got, err := ask(t, 400, map[string]any{
			"__type":  "com.amazonaws.swf.service.v2.model#ExecutionDoesNotExist",
			"message": "Execution Does Not Exist",
		})
		if got || err != nil {
			t.Fatal(got, err)
		}
	})
	t.Run("what cannot be asked is not taken for an end", func(t *testing.T) {
		t.Parallel()
		_, err := ask(t, 400, map[string]any{"__type": "AccessDeniedException", "message": "no"})
		wantRefusal(t, err, fault.NotAllowed, "read execution "+arn, "states:DescribeExecution")
		_, err = ask(t, 400, map[string]any{"__type": "InvalidArn", "message": "no"})
		wantRefusal(t, err, fault.BadInput, "InvalidArn", "")
	})
}
