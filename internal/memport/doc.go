// Package memport is an account in memory that passes the same suites as the adapters for AWS. It
// is the third set of adapters, beside awsport and localport; the tests of engine and workflow run
// on it.
//
// Account is Lambda: layer versions, functions and sandboxes. Blobs, Registers and Sources are the
// bucket. Alarms, Metrics and Notices are CloudWatch and SNS. Cache, Wheels and Outputs are the
// ports of engine. All of them are safe for concurrent use, and the zero value of each is empty.
//
// Each port refuses what AWS refuses. What other people do in the account has methods that are no
// part of a port: those in others.go, Sources.Put and Delete, and Set.
package memport
