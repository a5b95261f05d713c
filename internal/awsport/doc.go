// Package awsport implements the ports of internal/workflow and internal/operator with the AWS SDK,
// in one file a port or service. Only this package sends requests to AWS.
//
// # Errors
//
// classify (errors.go) converts all errors of AWS to faults. It decides by error code, error type
// and HTTP status. Unreachable and Throttled are worth a retry, NotAllowed names the IAM action,
// Changed means that a condition did not hold. The message ends with operation, status and request
// ID.
//
// # Requests
//
// Config makes the aws.Config of a process: standard credentials and adaptive retries. Lambda's
// control plane accepts 15 requests a second for the whole account; this quota cannot be raised.
// Nothing is sent before a client is used.
//
// # Objects in S3
//
// Blobs are immutable objects named by their SHA-256. An object that exists is not uploaded again.
// S3 checks the digest of an upload; a reader checks size and digest against the reference.
// Registers are small documents that are written with If-Match and If-None-Match, by ETag: of two
// concurrent writers, only one succeeds. The buckets keep versions, and a reference names one of
// them.
//
// Without s3:ListBucket, S3 answers 403, not 404, for an object that does not exist. Blobs.Put
// accepts both answers; Registers.Load and Sources need s3:ListBucket. ListObjectVersions needs
// s3:ListBucketVersions.
package awsport
