package awsport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/layersmith/layersmith/internal/fault"
)

// answered is an error as the SDK returns it for an answer of a service.
func answered(service, operation string, status int, err error) error {
	return &smithy.OperationError{
		ServiceID:     service,
		OperationName: operation,
		Err: &awshttp.ResponseError{
			RequestID: "R1",
			ResponseError: &smithyhttp.ResponseError{
				Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
				Err:      err,
			},
		},
	}
}

// unanswered is one for a request that got no answer, or was never sent.
func unanswered(service, operation string, err error) error {
	return &smithy.OperationError{ServiceID: service, OperationName: operation, Err: err}
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "m"} }

// dialTimeout is a real one: errors.Is takes it for context.DeadlineExceeded.
func dialTimeout(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	_, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:1")
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("dial: %v", err)
	}

	return err
}

func TestErrorsOfAWSAreClassified(t *testing.T) {
	t.Parallel()
	var invalid smithy.InvalidParamsError
	invalid.Context = "PutObjectInput"
	invalid.Add(smithy.NewErrParamRequired("Bucket"))
	cases := map[string]struct {
		err  error
		code fault.Code
		text string // behind "move alias live: "
		hint string
	}{
		"throttled": {
			answered("Lambda", "UpdateAlias", 429,
				&lambdatypes.TooManyRequestsException{Message: aws.String("Rate exceeded")}),
			fault.Throttled,
			"TooManyRequestsException: Rate exceeded (Lambda UpdateAlias, status 429, request R1)",
			"",
		},
		"throttled until the SDK gave up": {
			unanswered("Lambda", "UpdateAlias", &retry.MaxAttemptsError{
				Attempt: 8,
				Err:     errors.Unwrap(answered("Lambda", "UpdateAlias", 429, coded("ThrottlingException"))),
			}),
			fault.Throttled,
			"ThrottlingException: m (Lambda UpdateAlias, status 429, request R1, 8 attempts)",
			"",
		},
		"a retry quota that is used up leaves the error": {
			unanswered(
				"S3",
				"GetObject",
				errors.Join(errors.Unwrap(answered("S3", "GetObject", 503, coded("SlowDown"))),
					errors.New("retry quota exceeded")),
			),
			fault.Throttled,
			"SlowDown: m (S3 GetObject, status 503, request R1)",
			"",
		},
		"429 with a code of its own": {
			answered("SNS", "Publish", 429, coded("Busy")),
			fault.Throttled,
			"Busy: m (SNS Publish, status 429, request R1)",
			"",
		},

		"denied names the action": {
			answered("Lambda", "UpdateFunctionConfiguration", 403, coded("AccessDeniedException")),
			fault.NotAllowed,
			"AccessDeniedException: m (Lambda UpdateFunctionConfiguration, status 403, request R1)",
			"allow the role lambda:UpdateFunctionConfiguration",
		},
		"an action has another name than its operation": {
			answered("Lambda", "Invoke", 403, coded("AccessDeniedException")),
			fault.NotAllowed,
			"AccessDeniedException: m (Lambda Invoke, status 403, request R1)",
			"allow the role lambda:InvokeFunction",
		},
		"a service has another prefix than its name": {
			answered("SFN", "DescribeExecution", 400, coded("AccessDeniedException")),
			fault.NotAllowed,
			"AccessDeniedException: m (SFN DescribeExecution, status 400, request R1)",
			"allow the role states:DescribeExecution",
		},
		"versions are listed by an action of their own": {
			answered("S3", "ListObjectVersions", 403, coded("AccessDenied")),
			fault.NotAllowed,
			"AccessDenied: m (S3 ListObjectVersions, status 403, request R1)",
			"allow the role s3:ListBucketVersions",
		},
		"a store that may need a key": {
			answered("S3", "PutObject", 403, coded("AccessDenied")),
			fault.NotAllowed,
			"AccessDenied: m (S3 PutObject, status 403, request R1)",
			"allow the role s3:PutObject; kms:GenerateDataKey if the bucket has its own key",
		},
		"a service that we do not know": {answered("Other", "Do", 403, coded("Whatever")), fault.NotAllowed,
			"Whatever: m (Other Do, status 403, request R1)", "give the role the permission that the message names"},
		"credentials that are too old": {
			answered("Lambda", "GetFunction", 403, coded("ExpiredTokenException")),
			fault.NotAllowed,
			"ExpiredTokenException: m (Lambda GetFunction, status 403, request R1)",
			credentialHint,
		},
		"no credentials at all": {
			unanswered(
				"S3",
				"GetObject",
				fmt.Errorf("get credentials: %w",
					unanswered("ec2imds", "GetMetadata", &smithy.CanceledError{Err: context.DeadlineExceeded})),
			),
			fault.NotAllowed,
			"operation error S3: GetObject, get credentials: operation error ec2imds: GetMetadata, canceled, context " +
				"deadline exceeded",
			credentialHint,
		},
		"a sign-in that ran out": {
			unanswered("S3", "GetObject",
				fmt.Errorf("get credentials: %w", &ssocreds.InvalidTokenError{Err: errors.New("old")})),
			fault.NotAllowed,
			"operation error S3: GetObject, get credentials: the SSO session has expired or is invalid: old",
			credentialHint,
		},
		"Ctrl-C while credentials are asked for": {
			unanswered("S3", "GetObject",
				unanswered("STS", "AssumeRole", &smithy.CanceledError{Err: context.Canceled})),
			fault.Canceled,
			"operation error S3: GetObject, operation error STS: AssumeRole, canceled, context canceled",
			"",
		},

		"not there": {
			answered("Lambda", "GetAlias", 404,
				&lambdatypes.ResourceNotFoundException{Message: aws.String("Function not found")}),
			fault.NotFound,
			"ResourceNotFoundException: Function not found (Lambda GetAlias, status 404, request R1)",
			"",
		},
		"not there with status 400": {
			answered("SFN", "DescribeExecution", 400, &sfntypes.ExecutionDoesNotExist{Message: aws.String("m")}),
			fault.NotFound,
			"ExecutionDoesNotExist: m (SFN DescribeExecution, status 400, request R1)",
			"",
		},
		"not there, and nothing said": {
			answered("S3", "HeadObject", 404, &s3types.NotFound{}),
			fault.NotFound,
			"NotFound (S3 HeadObject, status 404, request R1)",
			"",
		},
		"a bucket that is not there": {
			answered("S3", "GetObject", 404, &s3types.NoSuchBucket{}),
			fault.BadInput,
			"NoSuchBucket (S3 GetObject, status 404, request R1)",
			bucketHint,
		},

		"a stale revision": {
			answered("Lambda", "UpdateAlias", 412, &lambdatypes.PreconditionFailedException{}),
			fault.Changed,
			"PreconditionFailedException (Lambda UpdateAlias, status 412, request R1)",
			"",
		},
		"an update in progress": {
			answered("Lambda", "UpdateAlias", 409, &lambdatypes.ResourceConflictException{}),
			fault.Changed,
			"ResourceConflictException (Lambda UpdateAlias, status 409, request R1)",
			"",
		},
		"a condition in S3": {
			answered("S3", "PutObject", 412, coded("PreconditionFailed")),
			fault.Changed,
			"PreconditionFailed: m (S3 PutObject, status 412, request R1)",
			"",
		},
		"two conditions in S3": {
			answered("S3", "PutObject", 409, coded("ConditionalRequestConflict")),
			fault.Changed,
			"ConditionalRequestConflict: m (S3 PutObject, status 409, request R1)",
			"",
		},
		"an execution of the name": {
			answered("SFN", "StartExecution", 400, &sfntypes.ExecutionAlreadyExists{}),
			fault.Changed,
			"ExecutionAlreadyExists (SFN StartExecution, status 400, request R1)",
			"",
		},
		"code storage is full": {
			answered("Lambda", "PublishLayerVersion", 400, &lambdatypes.CodeStorageExceededException{}),
			fault.OverLimit,
			"CodeStorageExceededException (Lambda PublishLayerVersion, status 400, request R1)",
			"",
		},
		"too large for a gateway": {
			answered("Lambda", "Invoke", 413, coded("Whatever")),
			fault.OverLimit,
			"Whatever: m (Lambda Invoke, status 413, request R1)",
			"",
		},
		"an argument that is none": {
			answered("Lambda", "GetFunction", 400, &lambdatypes.InvalidParameterValueException{}),
			fault.BadInput,
			"InvalidParameterValueException (Lambda GetFunction, status 400, request R1)",
			"",
		},
		"5xx": {
			answered("Lambda", "GetFunction", 500, &lambdatypes.ServiceException{}),
			fault.Unreachable,
			"ServiceException (Lambda GetFunction, status 500, request R1)",
			"",
		},
		"5xx without a code": {
			answered("Lambda", "GetFunction", 504, errors.New("gateway")),
			fault.Unreachable,
			"",
			"",
		},
		"a server's fault, no status": {
			unanswered("SNS", "Publish", &smithy.GenericAPIError{Code: "Odd", Message: "m", Fault: smithy.FaultServer}),
			fault.Unreachable,
			"Odd: m (SNS Publish)",
			"",
		},
		"S3 waited for our bytes": {
			answered("S3", "PutObject", 400, coded("RequestTimeout")),
			fault.Unreachable,
			"RequestTimeout: m (S3 PutObject, status 400, request R1)",
			"",
		},
		"what came is no answer": {
			answered("S3", "ListObjectsV2", 200, &smithy.DeserializationError{Err: io.ErrUnexpectedEOF}),
			fault.Unreachable,
			"",
			networkHint,
		},
		"nobody answers": {
			unanswered("S3", "GetObject", &smithyhttp.RequestSendError{Err: errors.New("connection refused")}),
			fault.Unreachable,
			"connection refused (S3 GetObject)",
			networkHint,
		},
		"a dial that took too long": {
			unanswered("S3", "GetObject", &smithyhttp.RequestSendError{Err: dialTimeout(t)}),
			fault.Unreachable,
			"dial tcp 127.0.0.1:1: i/o timeout (S3 GetObject)",
			networkHint,
		},
		"a body that breaks off": {
			&interrupted{io.ErrUnexpectedEOF},
			fault.Unreachable,
			"the response ended early: unexpected EOF",
			networkHint,
		},
		"our deadline": {
			unanswered("S3", "GetObject", &smithy.CanceledError{Err: context.DeadlineExceeded}),
			fault.TimedOut,
			"canceled, context deadline exceeded (S3 GetObject)",
			"",
		},
		"our deadline between attempts": {
			unanswered("S3", "GetObject", &aws.RequestCanceledError{Err: context.DeadlineExceeded}),
			fault.TimedOut,
			"request canceled, context deadline exceeded (S3 GetObject)",
			"",
		},
		"Ctrl-C": {
			unanswered("S3", "GetObject", &smithy.CanceledError{Err: context.Canceled}),
			fault.Canceled,
			"canceled, context canceled (S3 GetObject)",
			"",
		},
		"a context's own error": {context.Canceled, fault.Canceled, "context canceled", ""},
		"a context's own deadline": {
			fmt.Errorf("wait: %w", context.DeadlineExceeded),
			fault.TimedOut,
			"wait: context deadline exceeded",
			"",
		},
		"a request that cannot be made": {unanswered("S3", "PutObject", invalid), fault.Internal, "", ""},
		"no region": {
			unanswered("S3", "PutObject", &aws.MissingRegionError{}),
			fault.BadInput,
			"an AWS region is required, but was not found (S3 PutObject)",
			regionHint,
		},
		"words do not decide": {
			errors.New("AccessDenied: ThrottlingException 404 timeout"),
			fault.Internal,
			"AccessDenied: ThrottlingException 404 timeout",
			"",
		},
		"words of a message do not, too": {
			answered("S3", "GetObject", 400, &smithy.GenericAPIError{Code: "Odd", Message: "AccessDenied"}),
			fault.BadInput,
			"Odd: AccessDenied (S3 GetObject, status 400, request R1)",
			"",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := classify("move alias", "live", c.err)
			if got := fault.CodeOf(err); got != c.code {
				t.Errorf("fault %s, want %s", got, c.code)
			}

			if want := "move alias live: " + c.text; c.text != "" && err.Error() != want {
				t.Errorf("error %q\nwant  %q", err, want)
			}

			if got := fault.HintOf(err); got != c.hint {
				t.Errorf("hint %q, want %q", got, c.hint)
			}

			var f *fault.Error
			if !errors.As(err, &f) || f.Op != "move alias" || f.Subject != "live" ||
				!errors.Is(err, c.err) && c.code != fault.Internal {
				t.Errorf("fault %+v", f)
			}
		})
	}
}

func TestClassifyKeepsFaultsAndSuccess(t *testing.T) {
	t.Parallel()
	if err := classify("op", "subject", nil); err != nil {
		t.Errorf("nil became %v", err)
	}

	known := fmt.Errorf("around: %w", fault.New(fault.LeaseLost, "renew", "", nil))
	if err := classify("op", "subject", known); err != known {
		t.Errorf("a fault became %v", err)
	}
}

func TestHintedReplacesTheHintOfOneCode(t *testing.T) {
	t.Parallel()
	denied := classify("update", "fn", answered("Lambda", "UpdateAlias", 403, coded("AccessDenied")))
	if got := fault.HintOf(hinted(denied, fault.NotAllowed, "add fn to consumers")); got != "add fn to consumers" {
		t.Errorf("hint %q", got)
	}

	if got := fault.HintOf(denied); got != "allow the role lambda:UpdateAlias" {
		t.Errorf("the first fault was changed: %q", got)
	}

	if got := hinted(denied, fault.Changed, "x"); got != denied {
		t.Errorf("another code became %v", got)
	}

	if hinted(nil, fault.Changed, "x") != nil {
		t.Error("nil became an error")
	}
}
