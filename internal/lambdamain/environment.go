package lambdamain

import (
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

// The variables that the stack gives to its functions.
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

// What holds where a variable is not set, as in cdk.json.
const (
	DefaultPrefix = "layersmith-"
	DefaultKeep   = 3
)

// Environment is what the stack tells a function of itself. What is not set is "", but for prefix
// and keep.
type Environment struct {
	Store       string // bucket of artifacts, documents and state
	Workspace   string // bucket that people push layers/ to
	Topic       string // ARN of the SNS topic
	ProbeRole   string // ARN of the role of throw-away functions
	ProbePrefix string // of the names of throw-away functions
	Account     workflow.Account
}

var (
	buckets   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	stacks    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
	prefixes  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	consoleOf = []string{"https", "http"} // http: an emulator's
)

// Env reads the environment: to be called in an invocation, not before. All mistakes are one fault
// BadInput. LAYERSMITH_STORE must be set, and what the caller names besides: Env(lambdamain.Topic).
func Env(needs ...string) (Environment, error) { return readEnv(os.Getenv, needs...) }

func readEnv(get func(string) string, needs ...string) (Environment, error) {
	var mistakes []string
	wrong := func(name, value, legal string) {
		mistakes = append(mistakes, fmt.Sprintf("%s is %q; legal: %s", name, value, legal))
	}
	known := []string{Store, Workspace, Prefix, Share, Keep, Topic, ProbeRole, ProbePrefix, Console, Stack}
	for _, name := range known {
		if (name == Store || slices.Contains(needs, name)) && get(name) == "" {
			mistakes = append(mistakes, fmt.Sprintf("%s is not set", name))
		}
	}

	for _, name := range needs {
		if !slices.Contains(known, name) {
			return Environment{}, fault.New(fault.Internal, "read", "the environment",
				fmt.Errorf("no variable is called %s", name))
		}
	}

	match := func(name string, legal *regexp.Regexp, said string) string {
		v := get(name)
		if v != "" && !legal.MatchString(v) {
			wrong(name, v, said)
		}

		return v
	}
	resource := func(name, service string) string {
		v := get(name)
		if a, err := arn.Parse(v); v != "" && (err != nil || a.Service != service || a.Resource == "") {
			wrong(name, v, "an ARN of "+service)
		}

		return v
	}
	const bucket, prefix = "a bucket's name", "1 to 64 letters, digits, hyphens and underscores"
	e := Environment{
		Store:     match(Store, buckets, bucket),
		Workspace: match(Workspace, buckets, bucket),
		Account:   workflow.Account{Prefix: match(Prefix, prefixes, prefix), Keep: DefaultKeep},
	}
	if e.Account.Prefix == "" {
		e.Account.Prefix = DefaultPrefix
	}

	if list := get(Share); list != "" {
		for with := range strings.SplitSeq(list, ",") {
			with = strings.TrimSpace(with)
			if _, err := release.ParseGrantee(with); err != nil {
				wrong(Share, with, "organizations (o-...) and accounts (12 digits) with commas between them")
			}

			e.Account.Share = append(e.Account.Share, with)
		}
	}

	if v := get(Keep); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 100 {
			wrong(Keep, v, "1 to 100")
		}

		e.Account.Keep = n
	}

	e.Topic = resource(Topic, "sns")
	e.ProbeRole = resource(ProbeRole, "iam")
	e.ProbePrefix = match(ProbePrefix, prefixes, prefix)
	e.Account.Console = get(Console)
	e.Account.Stack = match(Stack, stacks, "the name of a stack")
	if u, err := url.Parse(e.Account.Console); e.Account.Console != "" &&
		(err != nil || !slices.Contains(consoleOf, u.Scheme) || u.Host == "") {
		wrong(Console, e.Account.Console, "the address of executions in the console, https://...")
	}

	if len(mistakes) > 0 {
		return Environment{}, fault.New(fault.BadInput, "read", "the environment",
			errors.New(strings.Join(mistakes, "; "))).
			WithHint("deploy the stack again, which sets these variables from cdk.json")
	}

	return e, nil
}

// AWS is the configuration of all clients, read when it is first asked for: to be called in an
// invocation, not before. It panics when there is none, which the door reports as the fault that it
// is.
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
