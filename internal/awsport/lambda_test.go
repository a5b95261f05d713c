package awsport_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workflow"
)

// reply is one answer of a script.
type reply struct {
	status int
	code   string // of an error
	body   string // JSON; of an error, its message
	header map[string]string
}

// script is a server that gives its replies in order, the last one for ever, and keeps what it was
// asked.
type script struct {
	url string

	mu      sync.Mutex
	replies []reply
	asked   []string // "GET /2015-03-31/functions/f"
	bodies  []string
}

func play(t *testing.T, replies ...reply) *script {
	t.Helper()
	s := &script{replies: replies}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
	s.bodies = append(s.bodies, string(body))
	p := s.replies[0]
	if len(s.replies) > 1 {
		s.replies = s.replies[1:]
	}

	if p.code != "" {
		refusal{p.status, p.code, p.body}.write(w)
		return
	}

	for k, v := range p.header {
		w.Header().Set(k, v)
	}

	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.body)
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *script) client() *lambda.Client { return lambda.NewFromConfig(awsConfig(s.url)) }

func (s *script) functions() awsport.Functions {
	return awsport.Functions{Client: s.client(), Poll: time.Millisecond, Pace: time.Microsecond}
}

var (
	throttled = reply{status: 429, code: "TooManyRequestsException", body: "Rate exceeded"}
	broken    = reply{
		status: 500,
		code:   "ServiceException",
		body:   "An error occurred and the request cannot be processed.",
	}
	updating = reply{
		status: 409,
		code:   "ResourceConflictException",
		body:   "The operation cannot be performed at this time. An update is in progress for resource: f",
	}
	denied = reply{
		status: 403,
		code:   "AccessDeniedException",
		body:   "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: lambda:GetFunction",
	}
	stale = reply{
		status: 412,
		code:   "PreconditionFailedException",
		body:   "The RevisionId provided does not match the latest RevisionId.",
	}
	ok = reply{
		status: 200,
		body: `{
			"FunctionName": "f", "FunctionArn": "arn:aws:lambda:us-east-1:1:function:f",
			"Version": "$LATEST", "RevisionId": "r2"
		}`,
	}
	inProgress = reply{
		status: 200,
		body:   `{"Configuration":{"FunctionName":"f","LastUpdateStatus":"InProgress","RevisionId":"r2"}}`,
	}
	done = reply{
		status: 200,
		body: `{"Configuration": {
			"FunctionName": "f", "FunctionArn": "arn:aws:lambda:us-east-1:1:function:f", "Version": "$LATEST",
			"State": "Active", "LastUpdateStatus": "Successful", "RevisionId": "r3"
		}}`,
	}
)

const (
	getFunction = "GET /2015-03-31/functions/f"
	putLayers   = "PUT /2015-03-31/functions/f/configuration"
)

// wantRefusal checks code, text and hint of an error; "" for any text or hint.
func wantRefusal(t *testing.T, err error, code fault.Code, text, hint string) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != code || !strings.Contains(err.Error(), text) ||
		!strings.Contains(fault.HintOf(err), hint) {
		t.Fatalf("%v (%s, hint %q), want %s with %q, hint %q", err, fault.CodeOf(err), fault.HintOf(err), code,
			text, hint)
	}
}

func wantRequests(t *testing.T, s *script, want ...string) {
	t.Helper()
	if got := s.requests(); !slices.Equal(got, want) {
		t.Fatalf("requests\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestErrorsOfLambdaBecomeFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replies  []reply
		code     fault.Code // "" for none
		text     string
		hint     string
		requests int
	}{
		"a throttled request is sent again": {[]reply{throttled, throttled, done}, "", "", "", 3},
		"one that stays throttled is Throttled": {
			[]reply{throttled},
			fault.Throttled,
			"read function f: TooManyRequestsException: Rate exceeded (Lambda GetFunction, status 429",
			"",
			3,
		},
		"a broken answer is asked for again": {[]reply{broken, done}, "", "", "", 2},
		"one that stays broken is Unreachable": {
			[]reply{broken},
			fault.Unreachable,
			"read function f: ServiceException",
			"",
			3,
		},
		"a denied request is NotAllowed and names the setting": {
			[]reply{denied},
			fault.NotAllowed,
			"read function f: AccessDeniedException",
			"`consumers` in cdk.json",
			1,
		},
		"an absent function is NotFound": {
			[]reply{{status: 404, code: "ResourceNotFoundException", body: "Function not found"}},
			fault.NotFound,
			"",
			"",
			1,
		},
		"a response without a configuration is Internal": {
			[]reply{{status: 200, body: `{}`}},
			fault.Internal,
			"without a configuration",
			"",
			1,
		},
		"a bad parameter is BadInput and is not sent again": {
			[]reply{{status: 400, code: "InvalidParameterValueException", body: "no"}},
			fault.BadInput,
			"",
			"",
			1,
		},
		"a gateway that has no JSON to say is Unreachable": {
			[]reply{{status: 503, body: "<html>busy</html>"}},
			fault.Unreachable,
			"",
			"",
			3,
		},
		"the state of credentials is NotAllowed with a sign-in": {
			[]reply{{status: 403, code: "ExpiredTokenException", body: "expired"}},
			fault.NotAllowed,
			"",
			"",
			1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, c.replies...)
			_, err := s.functions().Get(t.Context(), "f", "")
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				wantRefusal(t, err, c.code, c.text, c.hint)
			}

			if got := len(s.requests()); got != c.requests {
				t.Fatalf("%d requests, want %d", got, c.requests)
			}
		})
	}
}

func TestSetLayersWaitsUntilTheUpdateIsDone(t *testing.T) {
	t.Parallel()
	s := play(t, ok, inProgress, inProgress, done)
	f, err := s.functions().SetLayers(t.Context(), "f", nil, "r1")
	if err != nil || f.RevisionID != "r3" {
		t.Fatalf("%+v, %v; want the revision after the update", f, err)
	}

	wantRequests(t, s, putLayers, getFunction, getFunction, getFunction)
	var body struct {
		Layers     *[]string
		RevisionID string `json:"RevisionId"`
	}
	if err := json.Unmarshal([]byte(s.bodies[0]),
		&body); err != nil || body.RevisionID != "r1" || body.Layers == nil ||
		len(*body.Layers) != 0 {
		t.Fatalf("sent %s", s.bodies[0])
	}
}

func TestChangesOfABusyFunctionWait(t *testing.T) {
	t.Parallel()
	t.Run("until the other update is done, then the revision decides", func(t *testing.T) {
		t.Parallel()
		s := play(t, updating, inProgress, done, stale)
		_, err := s.functions().SetLayers(t.Context(), "f", nil, "r1")
		wantRefusal(t, err, fault.Changed, "set layers of f: PreconditionFailedException", "")
		wantRequests(t, s, putLayers, getFunction, getFunction, putLayers)
	})
	t.Run("also when the other update failed", func(t *testing.T) {
		t.Parallel()
		const reason = `"LastUpdateStatusReasonCode":"SubnetOutOfIPAddresses"`
		failed := reply{status: 200, body: `{"Configuration":{"LastUpdateStatus":"Failed",` + reason + `}}`}

		s := play(t, updating, failed, ok, done)
		if _, err := s.functions().SetLayers(t.Context(), "f", nil, "r1"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("three times", func(t *testing.T) {
		t.Parallel()
		s := play(t, updating, done, updating, done, updating)
		_, err := s.functions().SetLayers(t.Context(), "f", nil, "r1")
		wantRefusal(t, err, fault.Throttled, "set layers of f: still busy after 3 tries", "")
		wantRequests(t, s, putLayers, getFunction, putLayers, getFunction, putLayers)
	})
	t.Run("and so do versions", func(t *testing.T) {
		t.Parallel()
		s := play(t, updating, done, reply{status: 201, body: `{"Version":"7"}`},
			reply{status: 200, body: `{"State":"Active"}`})
		if v, err := s.functions().PublishVersion(t.Context(), "f", "", "r1"); v != "7" || err != nil {
			t.Fatal(v, err)
		}
	})
}

func TestAnUpdateThatDoesNotEndWell(t *testing.T) {
	t.Parallel()
	failed := func(code, reason string) reply {
		const fields = `"LastUpdateStatus":"Failed","LastUpdateStatusReasonCode":%q,"LastUpdateStatusReason":%q`
		return reply{status: 200, body: fmt.Sprintf(`{"Configuration":{`+fields+`}}`, code, reason)}
	}
	for name, c := range map[string]struct {
		last reply
		code fault.Code
		text string
	}{
		"failed for a reason of the function": {
			failed("InvalidSubnet", "The subnet is gone"),
			fault.BadInput,
			"set layers of f: InvalidSubnet: The subnet is gone",
		},
		"failed for a reason of Lambda's own": {
			failed("InternalError", "try again"),
			fault.Unreachable,
			"set layers of f: InternalError: try again",
		},
		"denied while waiting": {denied, fault.NotAllowed, "set layers of f: AccessDeniedException"},
		"deleted while waiting": {
			reply{status: 404, code: "ResourceNotFoundException", body: "gone"},
			fault.NotFound,
			"set layers of f",
		},
		"still throttled while waiting": {throttled, fault.Throttled, "set layers of f"},
		"done, but with layers of another one": {
			reply{status: 200, body: `{"Configuration":{"LastUpdateStatus":"Successful","Layers":[{"Arn":"arn:x"}]}}`},
			fault.Changed,
			"it has other layers right after the update",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := play(t, ok, inProgress, c.last).functions().SetLayers(t.Context(), "f", nil, "r1")
			wantRefusal(t, err, c.code, c.text, "")
		})
	}
}

func TestWaitersEndWithTheContext(t *testing.T) {
	t.Parallel()
	t.Run("a deadline is TimedOut", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		_, err := play(t, ok, inProgress).functions().SetLayers(ctx, "f", nil, "r1")
		wantRefusal(t, err, fault.TimedOut, "set layers of f", "")
	})
	t.Run("a deadline shorter than one delay is TimedOut at once", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		f := play(t, ok, inProgress).functions()
		f.Poll = time.Minute
		began := time.Now()
		_, err := f.SetLayers(ctx, "f", nil, "r1")
		wantRefusal(t, err, fault.TimedOut, "it did not finish in time", "")
		if took := time.Since(began); took > 3*time.Second {
			t.Fatalf("took %v", took)
		}
	})
	t.Run("Ctrl-C is Canceled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		s := play(t, ok, inProgress)
		f := s.functions()
		f.Poll = time.Minute
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err := f.SetLayers(ctx, "f", nil, "r1")
		wantRefusal(t, err, fault.Canceled, "", "")
	})
}

func TestPublishVersionWaitsForTheVersion(t *testing.T) {
	t.Parallel()
	version := reply{status: 201, body: `{"Version":"7","State":"Pending"}`}
	pending := reply{status: 200, body: `{"Version":"7","State":"Pending"}`}
	for name, c := range map[string]struct {
		replies []reply
		code    fault.Code
	}{
		"that is pending twice": {
			[]reply{version, pending, pending, {status: 200, body: `{"State":"Active"}`}},
			"",
		},
		"not for an old one that Lambda put to sleep": {
			[]reply{version, {status: 200, body: `{"State":"Inactive"}`}},
			"",
		},
		"that fails": {
			[]reply{version, pending, {status: 200, body: `{"State":"Failed","StateReasonCode":"InvalidRuntime"}`}},
			fault.BadInput,
		},
		"that one may not look at": {[]reply{version, denied}, fault.NotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, c.replies...)
			v, err := s.functions().PublishVersion(t.Context(), "f", "d", "r1")
			if c.code != "" {
				wantRefusal(t, err, c.code, "publish version of f:7", "")
			} else if err != nil {
				t.Fatal(err)
			}

			if v != "7" {
				t.Fatalf("version %q: it was published, so the cleanup must know it", v)
			}

			if got := s.requests()[1]; got != "GET /2015-03-31/functions/f/configuration?Qualifier=7" {
				t.Fatal(got)
			}

			if want := `{"Description":"d","RevisionId":"r1"}`; s.bodies[0] != want {
				t.Fatalf("sent %s, want %s", s.bodies[0], want)
			}
		})
	}
}

// A lost answer must not be asked for again where the question changes something: a second version
// would be published, or our own change taken for somebody else's.
func TestChangesAreSentOnceUnlessThrottled(t *testing.T) {
	t.Parallel()
	changes := map[string]func(context.Context, *lambda.Client) error{
		"PublishLayerVersion": func(ctx context.Context, c *lambda.Client) error {
			_, err := awsport.LayerVersions{Client: c, Bucket: bucket}.Publish(ctx, newLayerVersion(t))
			return err
		},
		"UpdateFunctionConfiguration": func(ctx context.Context, c *lambda.Client) error {
			_, err := awsport.Functions{Client: c, Poll: time.Millisecond}.SetLayers(ctx, "f", nil, "r1")
			return err
		},
		"PublishVersion": func(ctx context.Context, c *lambda.Client) error {
			_, err := awsport.Functions{Client: c, Poll: time.Millisecond}.PublishVersion(ctx, "f", "", "r1")
			return err
		},
		"UpdateAlias": func(ctx context.Context, c *lambda.Client) error {
			_, err := awsport.Functions{Client: c}.MoveAlias(ctx, "f", "live", "7", "r1")
			return err
		},
	}
	adaptive := func() aws.Retryer { return retry.NewAdaptiveMode() }
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, retryer := range []func() aws.Retryer{awsConfig("").Retryer, adaptive} {
				s := play(t, broken)
				cfg := awsConfig(s.url)
				cfg.Retryer = retryer
				wantRefusal(t, change(t.Context(), lambda.NewFromConfig(cfg)), fault.Unreachable, "ServiceException",
					"")
				if got := s.requests(); len(got) != 1 {
					t.Fatalf("requests %v, want one", got)
				}
			}

			s := play(t, throttled)
			wantRefusal(t, change(t.Context(), s.client()), fault.Throttled, "TooManyRequestsException", "")
			if got := s.requests(); len(got) != 3 {
				t.Fatalf("requests %v, want three", got)
			}
		})
	}
}

func newLayerVersion(t *testing.T) workflow.NewLayerVersion {
	t.Helper()
	target, err := pydist.ParseTarget("python3.12-arm64")
	if err != nil {
		t.Fatal(err)
	}

	ref, err := blob.New("pruned/x.zip", "version-1", digest.Of([]byte("x")), 1)
	if err != nil {
		t.Fatal(err)
	}

	return workflow.NewLayerVersion{
		LayerName:   "layersmith-data",
		Description: "d",
		License:     "MIT",
		Target:      target,
		Zip:         ref,
	}
}

func TestPublishNamesObjectVersionAndTarget(t *testing.T) {
	t.Parallel()
	answer := reply{
		status: 201,
		body: `{
			"LayerVersionArn": "arn:aws:lambda:us-east-1:1:layer:layersmith-data:3", "Version": 3,
			"CreatedDate": "2026-11-02T03:04:05.678+0000", "Content": {"CodeSha256": "sum"}
		}`,
	}
	s := play(t, answer)
	v, err := awsport.LayerVersions{Client: s.client(), Bucket: bucket}.Publish(t.Context(), newLayerVersion(t))
	want := workflow.LayerVersion{
		ARN:        "arn:aws:lambda:us-east-1:1:layer:layersmith-data:3",
		LayerName:  "layersmith-data",
		Version:    3,
		CodeSHA256: "sum",
		Created:    time.Date(2026, 11, 2, 3, 4, 5, 678e6, time.UTC),
	}
	if err != nil || v != want {
		t.Fatalf("%+v, %v; want %+v", v, err, want)
	}

	wantRequests(t, s, "POST /2018-10-31/layers/layersmith-data/versions")
	var got map[string]any
	if err := json.Unmarshal([]byte(s.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}

	text := "map[CompatibleArchitectures:[arm64] CompatibleRuntimes:[python3.12] " +
		"Content:map[S3Bucket:layersmith-store S3Key:pruned/x.zip S3ObjectVersion:version-1] " +
		"Description:d LicenseInfo:MIT]"
	if fmt.Sprint(got) != text {
		t.Fatalf("sent %v, want %s", got, text)
	}
}

func TestRefusalsOfLayers(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:lambda:us-east-1:123456789012:layer:layersmith-data:3"
	at := func(s *script) awsport.LayerVersions {
		return awsport.LayerVersions{Client: s.client(), Bucket: bucket}
	}
	t.Run("a full account is OverLimit", func(t *testing.T) {
		t.Parallel()
		_, err := at(
			play(t, reply{status: 400, code: "CodeStorageExceededException", body: "Code storage limit exceeded."}),
		).Publish(t.Context(), newLayerVersion(t))
		wantRefusal(t, err, fault.OverLimit,
			"publish layer version of layersmith-data: CodeStorageExceededException", "")
	})
	t.Run("a missing grant names the action", func(t *testing.T) {
		t.Parallel()
		_, err := at(play(t, denied)).Get(t.Context(), arn)
		wantRefusal(t, err, fault.NotAllowed, "read layer version "+arn, "allow the role lambda:GetLayerVersion")
	})
	t.Run("a layer that Lambda does not know has no versions", func(t *testing.T) {
		t.Parallel()
		all, err := at(
			play(t, reply{status: 404, code: "ResourceNotFoundException", body: "no"}),
		).List(t.Context(), "layersmith-data")
		if all != nil || err != nil {
			t.Fatal(all, err)
		}
	})
	t.Run("whatever order Lambda has, the newest version comes first", func(t *testing.T) {
		t.Parallel()
		version := func(n int) string {
			return fmt.Sprintf(`{"Version":%d,"CreatedDate":"2026-11-02T03:04:05.678+0000"}`, n)
		}
		all, err := at(
			play(t, reply{
				status: 200,
				body:   `{"LayerVersions":[` + version(9) + `,` + version(11) + `,` + version(10) + `]}`,
			}),
		).List(t.Context(), "layersmith-data")
		if err != nil || len(all) != 3 || all[0].Version != 11 || all[1].Version != 10 || all[2].Version != 9 {
			t.Fatal(all, err)
		}
	})
	t.Run("a page that fails fails the list", func(t *testing.T) {
		t.Parallel()
		first := reply{
			status: 200,
			body: `{"NextMarker":"n","LayerVersions":[{"LayerVersionArn":"` + arn +
				`","Version":3,"CreatedDate":"2026-11-02T03:04:05.678+0000"}]}`,
		}
		all, err := at(play(t, first, broken)).List(t.Context(), "layersmith-data")
		wantRefusal(t, err, fault.Unreachable, "list versions of layer layersmith-data", "")
		if all != nil {
			t.Fatalf("half a list: %v", all)
		}
	})
	t.Run("a version of another account is not taken for one's own of that number", func(t *testing.T) {
		t.Parallel()
		s := play(
			t,
			reply{
				status: 200,
				body: `{"LayerVersions":[{"LayerVersionArn":"` + arn +
					`","Version":3,"CreatedDate":"2026-11-02T03:04:05.678+0000"}]}`,
			},
			reply{status: 204},
		)
		const list = "GET /2018-10-31/layers/layersmith-data/versions?MaxItems=50"
		wantRefusal(t, at(s).Delete(t.Context(), strings.Replace(arn, "123456789012", "210987654321", 1)),
			fault.BadInput, "it is not a version of arn:aws:lambda:us-east-1:123456789012:layer:layersmith-data", "")
		wantRequests(t, s, list)
	})
	t.Run("a version that is not in the list is gone", func(t *testing.T) {
		t.Parallel()
		s := play(t, reply{status: 200, body: `{"LayerVersions":[]}`})
		if err := at(s).Delete(t.Context(), arn); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("nothing is shared with what is neither organization nor account", func(t *testing.T) {
		t.Parallel()
		s := play(t, reply{status: 201, body: `{}`})
		err := at(s).Share(t.Context(), workflow.LayerVersion{ARN: arn, LayerName: "layersmith-data", Version: 3}, "*")
		wantRefusal(t, err, fault.BadInput, "share layer version "+arn, "`share` in cdk.json")
		wantRequests(t, s)
	})
}

func TestLayersInUseAsksForAllVersions(t *testing.T) {
	t.Parallel()
	s := play(t, reply{status: 200, body: `{"NextMarker":"n","Functions":[{"Layers":[{"Arn":"a:1"}]}]}`}, throttled,
		reply{status: 200, body: `{"Functions":[{"Layers":[{"Arn":"a:1"},{"Arn":"b:2"}]},{}]}`})
	used, err := s.functions().LayersInUse(t.Context())
	if err != nil || len(used) != 2 || !used["a:1"] || !used["b:2"] {
		t.Fatal(used, err)
	}

	wantRequests(t, s, "GET /2015-03-31/functions?FunctionVersion=ALL&MaxItems=50",
		"GET /2015-03-31/functions?FunctionVersion=ALL&Marker=n&MaxItems=50",
		"GET /2015-03-31/functions?FunctionVersion=ALL&Marker=n&MaxItems=50")

	_, err = play(t, reply{status: 200, body: `{"NextMarker":"n"}`}, denied).functions().LayersInUse(t.Context())
	wantRefusal(t, err, fault.NotAllowed, "list functions: AccessDeniedException",
		"lambda:ListFunctions") // half a list would delete layers that are used
}

// Fields that Lambda reports differently for $LATEST and a new version of it do not change the
// hash. All other fields do.
func TestConfigHashComparesVersions(t *testing.T) {
	t.Parallel()
	hash := func(t *testing.T, more string) string {
		t.Helper()
		s := play(t, reply{
			status: 200,
			body: `{"Configuration": {
				"FunctionName": "f", "Runtime": "python3.13", "Handler": "a.b", "Role": "r",
				"MemorySize": 128, "Timeout": 3, "Architectures": ["x86_64"], ` + more + `}}`,
		})
		f, err := s.functions().Get(t.Context(), "f", "")
		if err != nil {
			t.Fatal(err)
		}

		return f.ConfigHash
	}
	base := hash(t, `"Version":"$LATEST"`)
	for _, same := range []string{
		`"Version":"7","Description":"released","RevisionId":"x","LastModified":"2026"`,
		`"SnapStart":{"ApplyOn":"","OptimizationStatus":"Off"}`,
		`"Layers":[{"Arn":"a"}],"CodeSha256":"x","CodeSize":7`,
		`"VpcConfig":{"SubnetIds":[],"SecurityGroupIds":[],"VpcId":""}`,
		`"State":"Inactive","PackageType":"Zip"`,
		`"RuntimeVersionConfig":{"RuntimeVersionArn":"patch"}`,
		`"Environment":{"Variables":{}}`,
	} {
		if hash(t, same) != base {
			t.Errorf("%s differs", same)
		}
	}

	seen := map[string]string{base: ""}
	for _, other := range []string{
		`"MemorySize":256`,
		`"Timeout":4`,
		`"Role":"s"`,
		`"Handler":"b.c"`,
		`"Runtime":"python3.12"`,
		`"Architectures":["arm64"]`,
		`"Environment":{"Variables":{"A":"1"}}`,
		`"EphemeralStorage":{"Size":1024}`,
		`"VpcConfig":{"SubnetIds":["s"],"SecurityGroupIds":["g"]}`,
		`"TracingConfig":{"Mode":"Active"}`,
		`"KMSKeyArn":"k"`,
		`"DeadLetterConfig":{"TargetArn":"q"}`,
		`"FileSystemConfigs":[{"Arn":"x","LocalMountPath":"/mnt/x"}]`,
		`"LoggingConfig":{"LogFormat":"JSON"}`,
		`"SnapStart":{"ApplyOn":"PublishedVersions"}`,
		`"PackageType":"Image"`,
		`"ImageConfigResponse":{"ImageConfig":{"Command":["x"]}}`,
		`"TenancyConfig":{"TenantIsolationMode":"PER_TENANT"}`,
		`"DurableConfig":{"ExecutionTimeout":9}`,
	} {
		h := hash(t, other)
		if was, ok := seen[h]; ok {
			t.Errorf("%s is the same as %q", other, was)
		}

		seen[h] = other
	}

	if hash(t, `"VpcConfig":{"SubnetIds":["a","b"],"SecurityGroupIds":["g"]}`) != hash(t,
		`"VpcConfig":{"SubnetIds":["b","a"],"SecurityGroupIds":["g"]}`) {
		t.Error("the order of subnets makes a difference")
	}
}

// located answers GetFunction with a location below an HTTP server that the test writes. stop waits
// until that server has nothing more to do.
func located(t *testing.T, serve http.HandlerFunc) (f awsport.Functions, stop func()) {
	t.Helper()
	files := httptest.NewServer(serve)
	t.Cleanup(files.Close)
	s := play(t, reply{
		status: 200,
		body: `{"Configuration":{"FunctionName":"f","PackageType":"Zip"},"Code":{"Location":"` + files.URL +
			`/f.zip?X-Amz-Signature=secret"}}`,
	})
	return s.functions(), files.Close
}

// zipOf is a stored zip of n entries of size bytes each.
func zipOf(t *testing.T, n, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range n {
		f, err := w.CreateHeader(
			&zip.FileHeader{Name: fmt.Sprintf("python/package/module%05d.py", i), Method: zip.Store},
		)
		if err == nil {
			_, err = f.Write(make([]byte, size))
		}

		if err != nil {
			t.Fatal(err)
		}
	}

	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

func TestPackagesAreWeighedByTheirDirectory(t *testing.T) {
	t.Parallel()
	weigh := func(t *testing.T, content []byte, ranges bool) (n, sent int64) {
		t.Helper()
		f, stop := located(t, func(w http.ResponseWriter, r *http.Request) {
			if !ranges {
				r.Header.Del("Range")
			}

			count := &counter{ResponseWriter: w}
			http.ServeContent(count, r, "", time.Time{}, bytes.NewReader(content))
			sent += count.n
		})
		got, err := f.CodeUnzipped(t.Context(), "f", "")
		stop()
		if err != nil {
			t.Fatal(err)
		}

		return int64(got), sent
	}
	t.Run("a small zip", func(t *testing.T) {
		t.Parallel()
		if n, _ := weigh(t, zipOf(t, 3, 10), true); n != 30 {
			t.Fatal(n)
		}
	})
	t.Run("the end of a large one", func(t *testing.T) {
		t.Parallel()
		content := zipOf(t, 4, 4<<20)
		if n, sent := weigh(t, content, true); n != 16<<20 || sent > 1<<20 {
			t.Fatalf("%d bytes, %d of %d read", n, sent, len(content))
		}
	})
	t.Run("a directory of more than a block", func(t *testing.T) {
		t.Parallel()
		content := zipOf(t, 40_000, 100)
		if n, sent := weigh(t, content, true); n != 4_000_000 || sent > 6<<20 {
			t.Fatalf("%d bytes, %d of %d read", n, sent, len(content))
		}
	})
	t.Run("all of it from a server without ranges", func(t *testing.T) {
		t.Parallel()
		content := zipOf(t, 3, 1<<20)
		if n, sent := weigh(t, content, false); n != 3<<20 || sent != int64(len(content)) {
			t.Fatalf("%d bytes, %d of %d read", n, sent, len(content))
		}
	})
}

type counter struct {
	http.ResponseWriter
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

func TestPackagesThatCannotBeWeighed(t *testing.T) {
	t.Parallel()
	good := zipOf(t, 3, 10)
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		code  fault.Code
		text  string
	}{
		"an address that expired": {
			func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) },
			fault.Unreachable,
			"its zip: 403 Forbidden",
		},
		"no zip": {func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat("x", 5000)))
		}, fault.BadInput, "its zip: zip: not a valid zip file"},
		"nothing": {
			func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(416) },
			fault.BadInput,
			"its zip is empty",
		},
		"an answer that breaks off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(good[:100])
		}, fault.Unreachable, "unexpected EOF"},
		"a part that is shorter than it says": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-999/1000")
			w.WriteHeader(206)
			_, _ = w.Write(good[:100])
		}, fault.Unreachable, "unexpected EOF"},
		"a part that makes no sense": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 900-1999/1000")
			w.WriteHeader(206)
		}, fault.Unreachable, `Content-Range "bytes 900-1999/1000"`},
		"a connection that is refused": {
			func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
			fault.Unreachable,
			"EOF",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := located(t, c.serve)
			_, err := f.CodeUnzipped(t.Context(), "f", "")
			wantRefusal(t, err, c.code, c.text, "")
			if strings.Contains(err.Error(), "Signature") {
				t.Fatalf("the address is in the error: %v", err)
			}
		})
	}

	t.Run("a deadline", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		f, _ := located(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		_, err := f.CodeUnzipped(ctx, "f", "")
		wantRefusal(t, err, fault.TimedOut, "measure the package of f", "")
	})
}

func TestDeleteVersionNeverSendsAFunctionAlone(t *testing.T) {
	t.Parallel()
	s := play(t, reply{status: 204})
	for _, version := range []string{"", "$LATEST", "live", "01"} {
		wantRefusal(t, s.functions().DeleteVersion(t.Context(), "f", version), fault.BadInput,
			"is not the number of a version", "")
	}

	if err := s.functions().DeleteVersion(t.Context(), "f", "7"); err != nil {
		t.Fatal(err)
	}

	wantRequests(t, s, "DELETE /2015-03-31/functions/f?Qualifier=7")
}

func TestInvokeReadsTheReport(t *testing.T) {
	t.Parallel()
	const text = "REPORT RequestId: 8f5\tDuration: 1.51 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory " +
		"Used: 99 MB\tInit Duration: 123.45 ms\t\n"
	for name, c := range map[string]struct {
		tail   string
		init   float64
		memory int64
	}{
		"as text": {
			"START RequestId: 8f5 Version: $LATEST\nhello\nEND RequestId: 8f5\n" + text,
			0.12345,
			99,
		},
		"as JSON": {
			`{"time":"2026-11-02T03:04:05Z","type":"platform.start","record":{}}` + "\n" +
				`{"time":"2026-11-02T03:04:05Z","type":"platform.report","record":{"requestId":"8f5","metrics":{` +
				`"durationMs":1.51,"billedDurationMs":2,"memorySizeMB":128,"maxMemoryUsedMB":99,` +
				`"initDurationMs":123.45},"status":"success"}}`,
			0.12345,
			99,
		},
		"of a warm start": {
			"REPORT RequestId: 8f5\tDuration: 1.51 ms\tMemory Size: 128 MB\tMax Memory Used: 34 MB\t\n",
			0,
			34,
		},
		"not of the program's own text": {
			text + "Init Duration: 9000 ms Max Memory Used: 1 MB\n{\"type\":\"other\"}\n{broken\n",
			0.12345,
			99,
		},
		"of which the beginning is cut": {"Used: 12 MB\tInit Duration: 1.00 ms\n" + text, 0.12345, 99},
		"that is not there":             {"START", 0, 0},
		"of nothing":                    {"", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, reply{
				status: 200,
				body:   `{"a":1}`,
				header: map[string]string{"X-Amz-Log-Result": base64.StdEncoding.EncodeToString([]byte(c.tail))},
			})
			i, err := awsport.Sandboxes{Client: s.client()}.Invoke(t.Context(), "f", []byte("{}"))
			if err != nil || i.InitSeconds != c.init || i.MaxMemoryMiB != c.memory || i.LogTail != c.tail ||
				string(i.Payload) != `{"a":1}` ||
				i.Error != "" {
				t.Fatalf("%+v, %v", i, err)
			}
		})
	}
}

func TestInvokeSendsNoPayloadThatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := play(t, reply{status: 200, body: "1"})
	sandboxes := awsport.Sandboxes{Client: s.client()}
	_, err := sandboxes.Invoke(t.Context(), "f", make([]byte, 6<<20+1))
	wantRefusal(t, err, fault.BadInput, "invoke function f: a payload of 6291457 bytes, limit 6291456", "")
	wantRequests(t, s)
	if _, err := sandboxes.Invoke(t.Context(), "f", make([]byte, 6<<20)); err != nil {
		t.Fatal(err)
	}
}

func TestInvokeNamesTheErrorOfAFunction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ payload, want string }{
		"by its type": {
			`{"errorMessage":"no","errorType":"ModuleNotFoundError"}`,
			"ModuleNotFoundError",
		},
		"that ran out of time": {
			`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 8f5 Error: Task timed out after 3.00 seconds"}`,
			"Sandbox.Timedout",
		},
		"by Lambda's word otherwise": {
			`{"errorMessage":"2026-11-02 8f5 Task timed out after 3.00 seconds"}`,
			"Unhandled",
		},
		"also without any payload": {``, "Unhandled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t,
				reply{status: 200, body: c.payload, header: map[string]string{"X-Amz-Function-Error": "Unhandled"}})
			i, err := awsport.Sandboxes{Client: s.client()}.Invoke(t.Context(), "f", nil)
			if err != nil || i.Error != c.want {
				t.Fatalf("%q, %v; want %q", i.Error, err, c.want)
			}
		})
	}
}

func TestASandboxThatCannotBeMade(t *testing.T) {
	t.Parallel()
	gone := reply{status: 404, code: "ResourceNotFoundException", body: "no"}
	exists := reply{status: 409, code: "ResourceConflictException", body: "Function already exist: f"}
	made := reply{status: 201, body: `{}`}
	const invalidRuntime = `{"State":"Failed","StateReasonCode":"InvalidRuntime","StateReason":"no"}`
	for name, c := range map[string]struct {
		replies []reply
		code    fault.Code
		text    string
	}{
		"whose name is taken again": {[]reply{gone, exists, {status: 204}, made, done}, "", ""},
		"whose name stays taken": {
			[]reply{gone, exists, gone, exists, gone, exists},
			fault.Throttled,
			"create function f: it still exists after 3 deletions",
		},
		"whose left-over cannot be deleted": {[]reply{denied}, fault.NotAllowed, "delete function f"},
		"whose role may not be passed":      {[]reply{gone, denied}, fault.NotAllowed, "create function f"},
		"that Lambda cannot start": {
			[]reply{gone, made, {status: 200, body: `{"Configuration":` + invalidRuntime + `}`}},
			fault.BadInput,
			"create function f: InvalidRuntime: no",
		},
		"that is pending twice, then active": {
			[]reply{
				gone,
				made,
				{status: 200, body: `{"Configuration":{"State":"Pending"}}`},
				{status: 200, body: `{"Configuration":{"State":"Pending"}}`},
				done,
			},
			"",
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, c.replies...)
			err := awsport.Sandboxes{
				Client: s.client(),
				Role:   probeRole,
				Poll:   time.Millisecond,
			}.Create(t.Context(), workflow.Sandbox{Name: "f", Timeout: 1500 * time.Millisecond, Memory: 512})
			if c.code != "" {
				wantRefusal(t, err, c.code, c.text, "")
			} else if err != nil {
				t.Fatal(err)
			}

			if got := s.requests(); c.code == "" && len(got) != len(c.replies) {
				t.Fatalf("requests %v", got)
			}

			if len(s.bodies) > 1 && !strings.Contains(s.bodies[1], `"Timeout":2`) {
				t.Fatalf("a part of a second is lost: %s", s.bodies[1])
			}
		})
	}
}
