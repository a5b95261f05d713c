package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Config is every setting of the stack. Its keys are those of "layersmith" in the context of
// cdk.json; a single one is given for one synthesis with -c layersmith.<key>=<value>, lists with
// commas.
type Config struct {
	// StackName names the stack and is the beginning of every fixed name: functions, state machine,
	// dashboard, alarms.
	StackName string `json:"stackName"`
	// Runtime of our own functions: provided.al2 or provided.al2023.
	Runtime string `json:"runtime"`
	// Architecture of our own functions and of the builds: x86_64 or arm64. The binaries must be
	// built for it.
	Architecture string `json:"architecture"`
	// Prefix of layers' names in Lambda. The workflow may publish and delete layers below it and no
	// others.
	Prefix string `json:"prefix"`
	// Schedule of the refresh, as EventBridge Scheduler writes it, in UTC; "" for none.
	Schedule string `json:"schedule"`
	// Notify is the address that gets the messages of the topic; "" for none.
	Notify string `json:"notify"`
	// Share lists the organizations (o-...) and accounts (12 digits) that may use the layers.
	Share []string `json:"share"`
	// Consumers lists names of functions that the workflow may update; * and ? stand for any
	// characters and one character.
	Consumers []string `json:"consumers"`
	// KeepVersions is how many versions of a layer stay when a newer one is promoted.
	KeepVersions int `json:"keepVersions"`
	// PackageSizeAlarmMegabytes is the size of a layer, unzipped, above which the alarm rises.
	// Megabytes are MiB here, as in Lambda's limits.
	PackageSizeAlarmMegabytes float64 `json:"packageSizeAlarmMegabytes"`
	// Retain keeps buckets and key when the stack is deleted. Without it, a bucket must be emptied
	// before that.
	Retain bool `json:"retain"`
	// NoncurrentDays is how long overwritten and deleted objects stay.
	NoncurrentDays int `json:"noncurrentDays"`
	// KMS is "" for keys of the services, "create" for a key of the stack, or a key's ARN.
	KMS string `json:"kms"`
	// Boundary is the permissions boundary of all roles: a policy's name in this account, or its
	// ARN; "" for none.
	Boundary string `json:"boundary"`
	// LogRetentionDays is one of the numbers that CloudWatch Logs knows.
	LogRetentionDays int `json:"logRetentionDays"`
	// CodeBuildLambda builds on Lambda compute: it starts in seconds, has 15 minutes, no cache and
	// no root, so it serves workspaces of wheels.
	CodeBuildLambda bool `json:"codeBuildLambda"`
	// ComputeType of the builds, as CodeBuild writes it; "" for the smallest.
	ComputeType string `json:"computeType"`
	// IndexSecret is the ARN of a secret whose value is the address of a package index with
	// credentials; "" for none.
	IndexSecret string `json:"indexSecret"`
	// Assets is the folder with functions/<name>/bootstrap and cli/layersmith.
	Assets string `json:"assets"`
	// Definition is the file of the state machine.
	Definition string `json:"definition"`
}

// defaults are the settings that cdk.json need not name.
func defaults() Config {
	return Config{
		StackName:                 "layersmith",
		Runtime:                   "provided.al2",
		Architecture:              "x86_64",
		Prefix:                    "layersmith-",
		Schedule:                  "cron(0 3 1 * ? *)",
		KeepVersions:              3,
		PackageSizeAlarmMegabytes: 200,
		Retain:                    true,
		NoncurrentDays:            30,
		LogRetentionDays:          30,
		Assets:                    "build",
		Definition:                "statemachine/pipeline.asl.json",
	}
}

// The legal values of settings that are one of a list.
var (
	runtimes      = []string{"provided.al2", "provided.al2023"}
	architectures = []string{"x86_64", "arm64"}
	computeTypes  = []string{"BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE"}
	lambdaTypes   = []string{
		"BUILD_LAMBDA_1GB",
		"BUILD_LAMBDA_2GB",
		"BUILD_LAMBDA_4GB",
		"BUILD_LAMBDA_8GB",
		"BUILD_LAMBDA_10GB",
	}
	logDays = []int{
		1,
		3,
		5,
		7,
		14,
		30,
		60,
		90,
		120,
		150,
		180,
		365,
		400,
		545,
		731,
		1096,
		1827,
		2192,
		2557,
		2922,
		3288,
		3653,
	}
)

// The form of settings that are text. Wildcards are legal in Consumers only: every other name goes
// into an ARN as it is.
var (
	stackNames = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,31}$`)
	prefixes   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	schedules  = regexp.MustCompile(`^(cron\(\S+( \S+){5}\)|rate\([1-9][0-9]* (minute|hour|day)s?\))$`)
	addresses  = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	shares     = regexp.MustCompile(`^(o-[a-z0-9]{10,32}|[0-9]{12})$`)
	patterns   = regexp.MustCompile(`^[A-Za-z0-9_*?-]{1,64}$`)
	keys       = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	boundaries = regexp.MustCompile(`^(arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/\S+|[A-Za-z0-9+=,.@_-]{1,128})$`)
	secrets    = regexp.MustCompile(
		`^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$`,
	)
)

// mistakes collects what is wrong, so that a person corrects cdk.json once.
type mistakes []string

func (m *mistakes) add(key, format string, args ...any) {
	*m = append(*m, "layersmith."+key+": "+fmt.Sprintf(format, args...))
}

// Error lists all mistakes, one a line, each with its key below context in cdk.json.
func (m mistakes) Error() string {
	return fmt.Sprintf("read cdk.json: %d wrong under \"context\":\n  %s", len(m), strings.Join(m, "\n  "))
}

// configFrom reads the settings out of the CDK's context.
func configFrom(context map[string]any) (Config, error) {
	cfg := defaults()
	wrong := mistakes{}
	settings := map[string]any{}
	switch given := context["layersmith"].(type) {
	case nil:
	case map[string]any:
		settings = given
	default:
		wrong = append(wrong, "layersmith: must be an object with settings")
	}

	fields := cfg.fields()
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		field, known := fields[key]
		if !known {
			wrong.add(key, "unknown; known: %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			continue
		}

		doc, err := json.Marshal(settings[key])
		if err == nil {
			err = json.Unmarshal(doc, field)
		}

		if err != nil {
			wrong.add(key, "%s is not %s", doc, kind(field))
		}
	}

	for _, full := range slices.Sorted(maps.Keys(context)) {
		key, ours := strings.CutPrefix(full, "layersmith.")
		if !ours {
			continue
		}

		field, known := fields[key]
		if !known {
			wrong.add(key, "unknown; known: %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			continue
		}

		if text := fmt.Sprint(context[full]); !set(field, text) {
			wrong.add(key, "%q is not %s", text, kind(field))
		}
	}

	cfg.check(&wrong)
	if len(wrong) > 0 {
		return Config{}, wrong
	}

	return cfg, nil
}

// fields are where the settings go, by key.
func (c *Config) fields() map[string]any {
	return map[string]any{
		"stackName":                 &c.StackName,
		"runtime":                   &c.Runtime,
		"architecture":              &c.Architecture,
		"prefix":                    &c.Prefix,
		"schedule":                  &c.Schedule,
		"notify":                    &c.Notify,
		"share":                     &c.Share,
		"consumers":                 &c.Consumers,
		"keepVersions":              &c.KeepVersions,
		"packageSizeAlarmMegabytes": &c.PackageSizeAlarmMegabytes,
		"retain":                    &c.Retain,
		"noncurrentDays":            &c.NoncurrentDays,
		"kms":                       &c.KMS,
		"boundary":                  &c.Boundary,
		"logRetentionDays":          &c.LogRetentionDays,
		"codeBuildLambda":           &c.CodeBuildLambda,
		"computeType":               &c.ComputeType,
		"indexSecret":               &c.IndexSecret,
		"assets":                    &c.Assets,
		"definition":                &c.Definition,
	}
}

// set reads one value as -c gives it.
func set(field any, text string) bool {
	var err error
	switch f := field.(type) {
	case *string:
		*f = text
	case *[]string:
		*f = nil
		for _, item := range strings.Split(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*f = append(*f, item)
			}
		}
	case *bool:
		*f, err = strconv.ParseBool(text)
	case *int:
		*f, err = strconv.Atoi(text)
	case *float64:
		*f, err = strconv.ParseFloat(text, 64)
	}

	return err == nil
}

// kind says in a message what a field holds.
func kind(field any) string {
	switch field.(type) {
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *float64:
		return "a number"
	case *[]string:
		return "a list of texts"
	}

	return "a text"
}

// check adds every mistake in the values.
func (c Config) check(wrong *mistakes) {
	match := func(key, value string, form *regexp.Regexp, legal string) {
		if !form.MatchString(value) {
			wrong.add(key, "%q; legal: %s", value, legal)
		}
	}
	optional := func(key, value string, form *regexp.Regexp, legal string) {
		if value != "" {
			match(key, value, form, legal+`, or ""`)
		}
	}
	oneOf := func(key, value string, legal []string) {
		if !slices.Contains(legal, value) {
			wrong.add(key, "%q; legal: %s", value, strings.Join(legal, ", "))
		}
	}
	between := func(key string, value, least, most float64) {
		if !(value >= least && value <= most) { // so that NaN is wrong too
			wrong.add(key, "%v; legal: %v to %v", value, least, most)
		}
	}
	match("stackName", c.StackName, stackNames, "a letter, then letters, digits and hyphens, 32 in all")
	oneOf("runtime", c.Runtime, runtimes)
	oneOf("architecture", c.Architecture, architectures)
	match("prefix", c.Prefix, prefixes, "1 to 64 letters, digits, hyphens and underscores")
	optional("schedule", c.Schedule, schedules, "cron(six fields) or rate(number unit)")
	optional("notify", c.Notify, addresses, "an e-mail address")
	for _, with := range c.Share {
		match("share", with, shares, "an organization (o-...) or an account (12 digits)")
	}

	for _, pattern := range c.Consumers {
		match("consumers", pattern, patterns, "names of functions, with * and ?")
	}

	between("keepVersions", float64(c.KeepVersions), 1, 100)
	between("packageSizeAlarmMegabytes", c.PackageSizeAlarmMegabytes, 1, 250)
	between("noncurrentDays", float64(c.NoncurrentDays), 1, math.MaxInt32)
	if c.KMS != "create" {
		optional("kms", c.KMS, keys, `"create", a key's ARN`)
	}

	optional("boundary", c.Boundary, boundaries, "a policy's name or ARN")
	if !slices.Contains(logDays, c.LogRetentionDays) {
		wrong.add(
			"logRetentionDays",
			"%d; legal: %s",
			c.LogRetentionDays,
			strings.Trim(strings.ReplaceAll(fmt.Sprint(logDays), " ", ", "), "[]"),
		)
	}

	if c.ComputeType != "" {
		legal := computeTypes
		if c.CodeBuildLambda {
			legal = lambdaTypes
		}

		oneOf("computeType", c.ComputeType, legal)
	}

	optional("indexSecret", c.IndexSecret, secrets, "the full ARN of a secret")
	for _, file := range c.binaries() {
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			wrong.add("assets", "%s is no program; make build makes it", file)
		}
	}

	if doc, err := os.ReadFile(c.Definition); err != nil {
		wrong.add("definition", "%v", err)
	} else if !json.Valid(doc) {
		wrong.add("definition", "%s is not JSON", c.Definition)
	}
}

// binaries are the programs that are deployed.
func (c Config) binaries() []string {
	files := []string{filepath.Join(c.cli(), "layersmith")}
	for _, f := range functionTable {
		files = append(files, filepath.Join(c.code(f.name), "bootstrap"))
	}

	return files
}

func (c Config) cli() string                 { return filepath.Join(c.Assets, "cli") }
func (c Config) code(function string) string { return filepath.Join(c.Assets, "functions", function) }
