// Package awsport is the ports of internal/stage on AWS: one file per service, the SDK behind them
// and nowhere else.
//
// # Errors
//
// classify (errors.go) is the only place that reads errors of AWS. It decides by error code, error
// type and HTTP status, and returns a fault.Error: Unreachable and Throttled are worth another try,
// NotAllowed names the IAM action, Changed means that a condition did not hold. The message ends
// with operation, status and request ID.
//
// # Requests
//
// Config makes the one aws.Config: standard credentials, adaptive retries (Lambda's control plane
// takes 15 requests a second for the whole account, and cannot be raised), no request before the
// first use.
//
// # Objects in S3
//
// Blobs are immutable and named by their SHA-256: an object that is there already is not sent
// again. S3 checks the digest of what it receives; who reads checks size and digest of what comes
// back, against the reference. Registers are small documents written with If-Match and
// If-None-Match, by ETag: two writers never both succeed. The bucket keeps versions: a reference
// means one of them.
//
// What S3 answers for an object that is absent depends on the grants: 404 with s3:ListBucket, 403
// without. Blobs.Put lives with both; Registers.Load and Sources need s3:ListBucket,
// ListObjectVersions needs s3:ListBucketVersions.
package awsport
