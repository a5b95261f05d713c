package awsport

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/middleware"

	"github.com/layersmith/layersmith/internal/fault"
)

// MaxAttempts is how often a request is sent at most. The SDK waits a random part of 1, 2, 4, ...
// 20 seconds after a throttled attempt: 35 s altogether on average, longer than a burst on Lambda's
// 15 requests a second; and of 0.05, 0.1, 0.2, ... seconds, 3 s altogether, after other failures.
const MaxAttempts = 8

// Options are what a user of the command line, or nobody, says about the account.
type Options struct {
	Region  string // "" for what environment and profile say
	Profile string // "" for AWS_PROFILE
	Version string // of this program, for the user agent; "" for none

	// Attempts is how often a request is sent at most; 0 for MaxAttempts. A person who waits
	// prefers fewer.
	Attempts int
}

// Config reads environment and shared files, once: call it once in a process and hand the result
// on, so that clients share credentials. It sends nothing: credentials are fetched with the first
// request, so that a function's init does not pay for what an invocation may not need. Fault
// BadInput for a profile that is not there or no region.
func Config(ctx context.Context, o Options) (aws.Config, error) {
	version := o.Version
	if version == "" {
		version = "dev"
	}

	attempts := o.Attempts
	if attempts <= 0 {
		attempts = MaxAttempts
	}

	load := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer {
			return retry.NewAdaptiveMode(func(a *retry.AdaptiveModeOptions) {
				a.StandardOptions = append(a.StandardOptions,
					func(s *retry.StandardOptions) { s.MaxAttempts = attempts })
			})
		}),
		config.WithAPIOptions(
			[]func(*middleware.Stack) error{awsmiddleware.AddUserAgentKeyValue("layersmith", version)},
		),
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}

	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}

	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, fault.New(fault.BadInput, "read", "the AWS configuration", err).
			WithHint("name a profile of ~/.aws/config, or set AWS_REGION and credentials in the environment")
	}

	if cfg.Region == "" {
		return aws.Config{}, fault.New(fault.BadInput, "read", "the AWS configuration", errors.New("no region")).
			WithHint(regionHint)
	}

	return cfg, nil
}
