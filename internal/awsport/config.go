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

// MaxAttempts is the default limit of attempts of a request. After a throttled attempt, the SDK
// waits for a random part of 1, 2, 4, ... 20 seconds: 35 s in total on average, which is longer
// than a burst against Lambda's 15 requests a second. After other failures, it waits for a random
// part of 0.05, 0.1, 0.2, ... seconds: 3 s in total.
const MaxAttempts = 8

// Options select the account and the region. Functions use the zero value.
type Options struct {
	Region   string // "" for the region of the environment or the profile
	Profile  string // "" for AWS_PROFILE
	Version  string // version of this program, for the user agent; "" for "dev"
	Attempts int    // limit of attempts of a request; 0 for MaxAttempts
}

// Config reads the environment and the shared files. Call it once in a process, so that clients
// share credentials. It sends no request: the first request of a client fetches the credentials.
// Fault BadInput for an unknown profile or a missing region.
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
