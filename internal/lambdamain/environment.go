package lambdamain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// The variables that the stack sets for its functions.
const (
	Store       = "LAYERSMITH_STORE"
	Workspace   = "LAYERSMITH_WORKSPACE"
	Prefix      = "LAYERSMITH_PREFIX"
	Share       = "LAYERSMITH_SHARE"
	Keep        = "LAYERSMITH_KEEP"
	Topic       = "LAYERSMITH_TOPIC"
	ProbeRole   = "LAYERSMITH_PROBE_ROLE"
	ProbePrefix = "LAYERSMITH_PROBE_PREFIX"
	Console     = "LAYERSMITH_CONSOLE"
	Stack       = "LAYERSMITH_STACK"
)

var variables = []string{Store, Workspace, Prefix, Share, Keep, Topic, ProbeRole, ProbePrefix, Console, Stack}

// The defaults of Prefix and Keep. They are those of cdk.json.
const (
	DefaultPrefix = "layersmith-"
	DefaultKeep   = 3
)

// Environment is the configuration that the stack passes to a function. A variable that is not set
// is "", except for the prefix and the number of versions to keep, which have defaults.
type Environment struct {
	Store       string // bucket of artifacts, documents and state
	Workspace   string // bucket that people push layers/ to
	Topic       string // ARN of the SNS topic
	ProbeRole   string // ARN of the role of temporary functions
	ProbePrefix string // prefix of the names of temporary functions
	Account     workflow.Account
}

// The patterns of variables that are text, and what an error says is allowed.
var (
	buckets  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	stacks   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
	prefixes = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

const (
	allowedBucket = "the name of a bucket"
	allowedStack  = "the name of a stack"
	allowedPrefix = "1 to 64 letters, digits, hyphens and underscores"
)

// Env reads the environment. Call it during an invocation, not before. LAYERSMITH_STORE must be
// set, and so must the variables that the caller names: Env(lambdamain.Topic). The error is one
// fault BadInput that lists all mistakes.
func Env(needs ...string) (Environment, error) { return readEnv(os.Getenv, needs...) }

func readEnv(get func(string) string, needs ...string) (Environment, error) {
	for _, name := range needs {
		if !slices.Contains(variables, name) {
			return Environment{}, fault.New(fault.Internal, "read", "the environment",
				fmt.Errorf("unknown variable %s", name))
		}
	}

	r := envReader{get: get}
	r.require(needs)
	e := Environment{
		Store:     r.match(Store, buckets, allowedBucket),
		Workspace: r.match(Workspace, buckets, allowedBucket),
		Account: workflow.Account{
			Prefix:  cmp.Or(r.match(Prefix, prefixes, allowedPrefix), DefaultPrefix),
			Share:   r.share(),
			Keep:    r.keep(),
			Console: r.console(),
			Stack:   r.match(Stack, stacks, allowedStack),
		},
		Topic:       r.arn(Topic, "sns"),
		ProbeRole:   r.arn(ProbeRole, "iam"),
		ProbePrefix: r.match(ProbePrefix, prefixes, allowedPrefix),
	}

	if len(r.mistakes) > 0 {
		return Environment{}, fault.New(fault.BadInput, "read", "the environment",
			errors.New(strings.Join(r.mistakes, "; "))).
			WithHint("deploy the stack again, which sets these variables from cdk.json")
	}

	return e, nil
}

// envReader reads variables and collects what is wrong with them.
type envReader struct {
	get      func(string) string
	mistakes []string
}

func (r *envReader) wrong(name, value, allowed string) {
	r.mistakes = append(r.mistakes, fmt.Sprintf("%s is %q; allowed: %s", name, value, allowed))
}

// require checks that Store and the named variables are set.
func (r *envReader) require(needs []string) {
	for _, name := range variables {
		needed := name == Store || slices.Contains(needs, name)
		if needed && r.get(name) == "" {
			r.mistakes = append(r.mistakes, name+" is not set")
		}
	}
}

// match reads text that matches a pattern, or "".
func (r *envReader) match(name string, pattern *regexp.Regexp, allowed string) string {
	value := r.get(name)
	if value != "" && !pattern.MatchString(value) {
		r.wrong(name, value, allowed)
	}

	return value
}

// arn reads the ARN of a resource of the service, or "".
func (r *envReader) arn(name, service string) string {
	value := r.get(name)
	if value == "" {
		return ""
	}

	a, err := arn.Parse(value)
	if err != nil || a.Service != service || a.Resource == "" {
		r.wrong(name, value, "an ARN of "+service)
	}

	return value
}

// share reads a list of grantees with commas between them, or nil.
func (r *envReader) share() []string {
	list := r.get(Share)
	if list == "" {
		return nil
	}

	var share []string
	for with := range strings.SplitSeq(list, ",") {
		with = strings.TrimSpace(with)
		if _, err := release.ParseGrantee(with); err != nil {
			r.wrong(Share, with, "organizations (o-...) and accounts (12 digits), separated by commas")
		}

		share = append(share, with)
	}

	return share
}

// keep reads the number of versions to keep.
func (r *envReader) keep() int {
	value := r.get(Keep)
	if value == "" {
		return DefaultKeep
	}

	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 100 {
		r.wrong(Keep, value, "1 to 100")
	}

	return n
}

// console reads a URL that an execution's ARN is appended to, or "". An emulator's begins with
// http:.
func (r *envReader) console() string {
	value := r.get(Console)
	if value == "" {
		return ""
	}

	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		r.wrong(Console, value, "the URL of executions in the console, https://...")
	}

	return value
}

// AWS returns the configuration of all clients. The first call reads it: call it during an
// invocation, not before. If the configuration cannot be read, AWS panics, and Start reports the
// fault of awsport.Config.
func AWS() aws.Config {
	cfg, err := loadAWS()
	if err != nil {
		panic(unusable{err})
	}

	return cfg
}

var loadAWS = sync.OnceValues(
	func() (aws.Config, error) { return awsport.Config(context.Background(), awsport.Options{}) },
)
