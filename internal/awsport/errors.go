package awsport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/layersmith/layersmith/internal/fault"
)

// codes maps error codes of AWS to faults. Other codes are classified by the type of the error and
// its HTTP status. Throttling codes are not here but in the SDK's own list,
// retry.DefaultThrottleErrorCodes, so that Throttled means exactly what the SDK retried.
var codes = map[string]fault.Code{
	// a grant, a key or a setting is missing
	"AccessDenied":                fault.NotAllowed,
	"AccessDeniedException":       fault.NotAllowed,
	"AccessDeniedFault":           fault.NotAllowed,
	"AllAccessDisabled":           fault.NotAllowed,
	"AuthorizationError":          fault.NotAllowed,
	"AuthorizationErrorException": fault.NotAllowed,
	"Forbidden":                   fault.NotAllowed,
	"NotAuthorized":               fault.NotAllowed,
	"OptInRequired":               fault.NotAllowed,
	"UnauthorizedOperation":       fault.NotAllowed,
	"KMSAccessDenied":             fault.NotAllowed,
	"KMSAccessDeniedException":    fault.NotAllowed,
	"KMS.AccessDeniedException":   fault.NotAllowed,
	"KMSDisabledException":        fault.NotAllowed,
	"KMS.DisabledException":       fault.NotAllowed,
	// it does not exist
	"NotFound":                  fault.NotFound,
	"NotFoundException":         fault.NotFound,
	"NoSuchKey":                 fault.NotFound,
	"NoSuchVersion":             fault.NotFound,
	"NoSuchEntity":              fault.NotFound,
	"ResourceNotFound":          fault.NotFound,
	"ResourceNotFoundException": fault.NotFound,
	"ExecutionDoesNotExist":     fault.NotFound,
	"StateMachineDoesNotExist":  fault.NotFound,
	"StackNotFoundException":    fault.NotFound,
	// A missing bucket is a wrong setting. NotFound would mean that the document does not exist,
	// and a run would start with an empty history.
	"NoSuchBucket": fault.BadInput,
	// another writer was first
	"PreconditionFailed":              fault.Changed,
	"PreconditionFailedException":     fault.Changed,
	"ConditionalRequestConflict":      fault.Changed,
	"OperationAborted":                fault.Changed,
	"ResourceConflictException":       fault.Changed,
	"ConflictException":               fault.Changed,
	"ConcurrentModificationException": fault.Changed,
	"ExecutionAlreadyExists":          fault.Changed,
	// it is too large
	"CodeStorageExceededException":   fault.OverLimit,
	"RequestTooLargeException":       fault.OverLimit,
	"RequestEntityTooLargeException": fault.OverLimit,
	"EntityTooLarge":                 fault.OverLimit,
	"KeyTooLongError":                fault.OverLimit,
	"ServiceQuotaExceededException":  fault.OverLimit,
	// the upload was damaged: S3 stored nothing, and a retry may help
	"BadDigest":                   fault.Unreachable,
	"XAmzContentChecksumMismatch": fault.Unreachable,
	"XAmzContentSHA256Mismatch":   fault.Unreachable,
	// the upload stalled: S3 answers 400, but the cause is the network
	"RequestTimeout":              fault.Unreachable,
	"RequestTimeoutException":     fault.Unreachable,
	"InternalError":               fault.Unreachable,
	"InternalFailure":             fault.Unreachable,
	"InternalServerError":         fault.Unreachable,
	"ServiceException":            fault.Unreachable,
	"ServiceUnavailable":          fault.Unreachable,
	"ServiceUnavailableException": fault.Unreachable,
}

// credentialCodes are the error codes for wrong or expired credentials. A grant does not help.
var credentialCodes = map[string]bool{
	"ExpiredToken":                        true,
	"ExpiredTokenException":               true,
	"InvalidAccessKeyId":                  true,
	"InvalidClientTokenId":                true,
	"InvalidSignatureException":           true,
	"InvalidToken":                        true,
	"MissingAuthenticationToken":          true,
	"MissingAuthenticationTokenException": true,
	"RequestExpired":                      true,
	"RequestTimeTooSkewed":                true,
	"SignatureDoesNotMatch":               true,
	"UnrecognizedClientException":         true,
	"TokenRefreshRequired":                true,
}

// regionCodes are the error codes of S3 for a bucket in another region.
var regionCodes = map[string]bool{
	"PermanentRedirect":                  true,
	"AuthorizationHeaderMalformed":       true,
	"IllegalLocationConstraintException": true,
}

const (
	credentialHint = "sign in to AWS (`aws sso login`, `aws configure`), name a profile, and check this machine's clock"
	regionHint     = "name the region of the stack: --region, AWS_REGION, or the profile's region"
	networkHint    = "check the network and try again"
	bucketHint     = "compare the bucket's name with the outputs of the stack"
)

// iamServices maps the SDK's service IDs to the prefixes of IAM actions.
var iamServices = map[string]string{
	"S3":                          "s3",
	"Lambda":                      "lambda",
	"SFN":                         "states",
	"CloudWatch":                  "cloudwatch",
	"CloudWatch Logs":             "logs",
	"SNS":                         "sns",
	"SQS":                         "sqs",
	"STS":                         "sts",
	"CloudFormation":              "cloudformation",
	"CodeBuild":                   "codebuild",
	"Scheduler":                   "scheduler",
	"Resource Groups Tagging API": "tag",
}

// iamActions maps the operations whose IAM action has another name (source: Service Authorization
// Reference, S3 and Lambda).
var iamActions = map[string]string{
	"s3:HeadObject":               "s3:GetObject",
	"s3:HeadBucket":               "s3:ListBucket",
	"s3:ListObjectsV2":            "s3:ListBucket",
	"s3:ListObjectVersions":       "s3:ListBucketVersions",
	"lambda:Invoke":               "lambda:InvokeFunction",
	"lambda:GetLayerVersionByArn": "lambda:GetLayerVersion",
}

// loginServices are the services from which the SDK gets credentials.
var loginServices = map[string]bool{"ec2imds": true, "STS": true, "SSO": true, "SSO OIDC": true, "Signin": true}

// classify converts an error of the SDK, or of reading a response body, to a fault. The code
// depends on the error's type, code and status, never on its text. op and subject are those of
// fault.Error. An error that has a fault in its chain is returned unchanged, and so is nil.
//
// All errors of AWS pass through classify once, so that the same answer has the same code
// everywhere.
func classify(op, subject string, err error) error {
	if err == nil {
		return nil
	}

	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}

	code, hint := judge(err)
	return fault.New(code, op, subject, &answer{text: text(err), err: err}).WithHint(hint)
}

// hinted replaces the hint of err if it is a fault with this code.
func hinted(err error, code fault.Code, hint string) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code {
		return err
	}

	c := *f
	c.Hint = hint
	return &c
}

func judge(err error) (code fault.Code, hint string) {
	if login(err) && !errors.Is(err, context.Canceled) {
		return fault.NotAllowed, credentialHint
	}

	var (
		api      smithy.APIError
		send     *smithyhttp.RequestSendError
		canceled interface{ CanceledError() bool }
		param    smithy.InvalidParamsError
		serial   *smithy.SerializationError
		deserial *smithy.DeserializationError
		netErr   net.Error
		broken   *interrupted
	)
	switch {
	case errors.As(err, &canceled) && canceled.CanceledError():
		return ended(err), ""
	case errors.As(err, &api):
		return judgeAPI(err, api)
	case errors.As(err, &broken):
		return fault.Unreachable, networkHint
	// before the context's errors: a dial that timed out is context.DeadlineExceeded for errors.Is,
	// although no context ended
	case errors.As(err, &send):
		return fault.Unreachable, networkHint
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ended(err), ""
	case errors.As(err, &param), errors.As(err, &serial):
		return fault.Internal, "" // our request was invalid
	case isMissingRegion(err):
		return fault.BadInput, regionHint
	}

	if s := status(err); s >= 300 {
		return judgeStatus(s), ""
	}

	switch {
	case errors.As(err, &netErr),
		errors.As(err, &deserial),
		errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed):
		return fault.Unreachable, networkHint
	}

	return fault.Internal, ""
}

func ended(err error) fault.Code {
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.TimedOut
	}

	return fault.Canceled
}

func judgeAPI(err error, api smithy.APIError) (fault.Code, string) {
	code := api.ErrorCode()
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch {
	case throttled:
		return fault.Throttled, ""
	case credentialCodes[code]:
		return fault.NotAllowed, credentialHint
	case regionCodes[code]:
		return fault.BadInput, regionHint
	}

	verdict, ok := codes[code]
	if !ok {
		verdict = judgeStatus(status(err))
	}

	if verdict == fault.Internal && api.ErrorFault() == smithy.FaultServer {
		verdict = fault.Unreachable
	}

	switch {
	case code == "NoSuchBucket":
		return verdict, bucketHint
	case verdict == fault.NotAllowed:
		return verdict, grantHint(err)
	}

	return verdict, ""
}

func judgeStatus(status int) fault.Code {
	switch {
	case status == http.StatusTooManyRequests:
		return fault.Throttled
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault.NotAllowed
	case status == http.StatusNotFound, status == http.StatusGone:
		return fault.NotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return fault.Changed
	case status == http.StatusRequestEntityTooLarge:
		return fault.OverLimit
	case status == http.StatusRequestTimeout, status >= 500:
		return fault.Unreachable
	case status >= 400:
		return fault.BadInput
	}

	return fault.Internal
}

// grantHint names the IAM action that a denied operation needs.
func grantHint(err error) string {
	action := action(err)
	switch {
	case action == "":
		return "give the role the permission that the message names"
	case action == "s3:GetObject":
		return "allow the role s3:GetObject (s3:GetObjectVersion for a version) and s3:ListBucket, without which S3 " +
			"answers 403, not 404; kms:Decrypt if the bucket has its own key"
	case strings.HasPrefix(action, "s3:Put"):
		return "allow the role " + action + "; kms:GenerateDataKey if the bucket has its own key"
	}

	return "allow the role " + action
}

// action returns the IAM action of the failed operation, or "" if it is unknown.
func action(err error) string {
	var o *smithy.OperationError
	if !errors.As(err, &o) || iamServices[o.ServiceID] == "" {
		return ""
	}

	a := iamServices[o.ServiceID] + ":" + o.OperationName
	if other, ok := iamActions[a]; ok {
		return other
	}

	return a
}

// login reports whether the request was not sent because the SDK could not get credentials from
// another service.
func login(err error) bool {
	var outer, inner *smithy.OperationError
	if !errors.As(err, &outer) {
		return false
	}

	var token *ssocreds.InvalidTokenError
	if errors.As(outer.Err, &token) {
		return true
	}

	return errors.As(outer.Err, &inner) && loginServices[inner.ServiceID]
}

func isMissingRegion(err error) bool {
	var m *aws.MissingRegionError
	return errors.As(err, &m)
}

// status returns the HTTP status of the response, or 0 without a response.
func status(err error) int {
	var r *smithyhttp.ResponseError
	if errors.As(err, &r) && r.Response != nil {
		return r.HTTPStatusCode()
	}

	return 0
}

// interrupted is a response body that ended early. The SDK does not wrap such errors.
type interrupted struct{ err error }

func (i *interrupted) Error() string { return "the response ended early: " + i.err.Error() }
func (i *interrupted) Unwrap() error { return i.err }

// answer is an error of the SDK with a text that fits after "verb subject: ".
type answer struct {
	text string
	err  error
}

func (a *answer) Error() string { return a.text }
func (a *answer) Unwrap() error { return a.err }

// text is the error in one line: code, message, operation, status and the request ID, which AWS
// support asks for. Without a response it is the cause.
func text(err error) string {
	var (
		op       *smithy.OperationError
		api      smithy.APIError
		request  interface{ ServiceRequestID() string }
		attempts *retry.MaxAttemptsError
		send     *smithyhttp.RequestSendError
		facts    []string
	)
	if !errors.As(err, &op) || login(err) {
		return err.Error()
	}

	what := op.Err.Error()
	switch {
	case errors.As(err, &api):
		what = api.ErrorCode()
		if m := api.ErrorMessage(); m != "" && m != what {
			what += ": " + m
		}
	case errors.As(err, &send):
		what = send.Err.Error()
	}

	facts = append(facts, op.ServiceID+" "+op.OperationName)
	if s := status(err); s != 0 {
		facts = append(facts, fmt.Sprintf("status %d", s))
	}

	if errors.As(err, &request) && request.ServiceRequestID() != "" {
		facts = append(facts, "request "+request.ServiceRequestID())
	}

	if errors.As(err, &attempts) && attempts.Attempt > 1 {
		facts = append(facts, fmt.Sprintf("%d attempts", attempts.Attempt))
	}

	return what + " (" + strings.Join(facts, ", ") + ")"
}
