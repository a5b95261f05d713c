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

	"github.com/layersmith/layersmith/internal/release"
)

// Config is every setting of the stack. Its keys are those of "layersmith" in the context of
// cdk.json. The option -c layersmith.<key>=<value> sets one of them for one synthesis; lists are
// separated by commas.
type Config struct {
	// StackName names the stack and begins every fixed name: functions, state machine, dashboard,
	// alarms.
	StackName string `json:"stackName"`
	// Runtime of the stack's functions: provided.al2 or provided.al2023.
	Runtime string `json:"runtime"`
	// Architecture of the stack's functions and of the builds: x86_64 or arm64. The binaries in
	// Assets must be built for it.
	Architecture string `json:"architecture"`
	// Prefix of the layers' names in Lambda. The workflow may publish and delete only layers whose
	// names begin with it.
	Prefix string `json:"prefix"`
	// Schedule of the refresh, as an expression of EventBridge Scheduler, in UTC; "" for none.
	Schedule string `json:"schedule"`
	// Notify is the e-mail address that is subscribed to the topic; "" for none.
	Notify string `json:"notify"`
	// Share lists the organizations (o-...) and accounts (12 digits) that may use the layers.
	Share []string `json:"share"`
	// Consumers lists the names of functions that the workflow may update. * stands for any
	// characters, ? for one.
	Consumers []string `json:"consumers"`
	// KeepVersions is how many versions of a layer are kept when a newer one is promoted.
	KeepVersions int `json:"keepVersions"`
	// PackageSizeAlarmMegabytes is the unzipped size of a layer, in MiB, above which the alarm is
	// raised.
	PackageSizeAlarmMegabytes float64 `json:"packageSizeAlarmMegabytes"`
	// Retain keeps buckets and key when the stack is deleted. If it is false, the buckets must be
	// emptied before that.
	Retain bool `json:"retain"`
	// NoncurrentDays is how many days overwritten and deleted objects are kept.
	NoncurrentDays int `json:"noncurrentDays"`
	// KMS is "" for the services' own keys, "create" for a key of the stack, or a key's ARN.
	KMS string `json:"kms"`
	// Boundary is the permissions boundary of all roles: a policy's name in this account, or its
	// ARN; "" for none.
	Boundary string `json:"boundary"`
	// LogRetentionDays is one of the numbers that CloudWatch Logs allows.
	LogRetentionDays int `json:"logRetentionDays"`
	// CodeBuildLambda builds on Lambda compute. It starts in seconds, but has no cache, no root and
	// only 15 minutes: enough for requirements that are all available as wheels.
	CodeBuildLambda bool `json:"codeBuildLambda"`
	// ComputeType is CodeBuild's compute type for the builds; "" for the smallest.
	ComputeType string `json:"computeType"`
	// IndexSecret is the ARN of a secret whose value is the URL of a package index with
	// credentials; "" for none.
	IndexSecret string `json:"indexSecret"`
	// Assets is the folder with functions/<name>/bootstrap and cli/layersmith.
	Assets string `json:"assets"`
}

// defaults are the values of settings that are not in cdk.json.
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
	}
}

// The allowed values of settings that are one of a list.
var (
	runtimes      = []string{"provided.al2", "provided.al2023"}
	architectures = []string{"x86_64", "arm64"}
	computeTypes  = []string{"BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE"}
	lambdaTypes   = []string{
		"BUILD_LAMBDA_1GB", "BUILD_LAMBDA_2GB", "BUILD_LAMBDA_4GB", "BUILD_LAMBDA_8GB", "BUILD_LAMBDA_10GB",
	}
	logDays = []int{
		1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
	}
)

// The patterns of settings that are text. Only Consumers may have wildcards: all other names become
// part of ARNs unchanged.
var (
	stackNames = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,31}$`)
	prefixes   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	schedules  = regexp.MustCompile(`^(cron\(\S+( \S+){5}\)|rate\([1-9][0-9]* (minute|hour|day)s?\))$`)
	addresses  = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	patterns   = regexp.MustCompile(`^[A-Za-z0-9_*?-]{1,64}$`)
	keys       = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	boundaries = regexp.MustCompile(`^(arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/\S+|[A-Za-z0-9+=,.@_-]{1,128})$`)
	secrets    = regexp.MustCompile(
		`^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$`,
	)
)

// mistakes collects everything that is wrong with the settings, so that the user can correct
// cdk.json in one go.
type mistakes []string

func (m *mistakes) add(key, format string, args ...any) {
	*m = append(*m, "layersmith."+key+": "+fmt.Sprintf(format, args...))
}

// Error lists all mistakes, one a line, each with its key under context in cdk.json.
func (m mistakes) Error() string {
	return fmt.Sprintf("read cdk.json: invalid settings under \"context\" (%d):\n  %s", len(m), strings.Join(m, "\n  "))
}

// configFrom reads the settings from the CDK's context. Its error is of type mistakes.
func configFrom(context map[string]any) (Config, error) {
	cfg := defaults()
	wrong := mistakes{}

	switch given := context["layersmith"].(type) {
	case nil:
	case map[string]any:
		cfg.setAll(given, &wrong)
	default:
		wrong = append(wrong, "layersmith: must be an object with settings")
	}

	cfg.override(context, &wrong)
	cfg.check(&wrong)
	if len(wrong) > 0 {
		return Config{}, wrong
	}

	return cfg, nil
}

// setAll takes over the settings of cdk.json.
func (c *Config) setAll(settings map[string]any, wrong *mistakes) {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		field, known := c.field(key, wrong)
		if !known {
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
}

// override takes over the single settings that were given with -c.
func (c *Config) override(context map[string]any, wrong *mistakes) {
	for _, full := range slices.Sorted(maps.Keys(context)) {
		key, ours := strings.CutPrefix(full, "layersmith.")
		if !ours {
			continue
		}

		field, known := c.field(key, wrong)
		if !known {
			continue
		}

		if text := fmt.Sprint(context[full]); !set(field, text) {
			wrong.add(key, "%q is not %s", text, kind(field))
		}
	}
}

// field returns a pointer to the field of a setting. An unknown key is a mistake.
func (c *Config) field(key string, wrong *mistakes) (field any, known bool) {
	fields := c.fields()
	if field, known = fields[key]; !known {
		wrong.add(key, "unknown; the settings are: %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
	}

	return field, known
}

// fields returns pointers to all fields, by key.
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
	}
}

// set parses a value of -c into a field.
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

// kind names the type of a field for error messages.
func kind(field any) string {
	switch field.(type) {
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *float64:
		return "a number"
	case *[]string:
		return "a list of strings"
	}

	return "a string"
}

// match adds a mistake for text that does not match a pattern.
func (m *mistakes) match(key, value string, pattern *regexp.Regexp, allowed string) {
	if !pattern.MatchString(value) {
		m.add(key, "%q; allowed: %s", value, allowed)
	}
}

// optional is match for settings that may be empty.
func (m *mistakes) optional(key, value string, pattern *regexp.Regexp, allowed string) {
	if value != "" {
		m.match(key, value, pattern, allowed+`, or ""`)
	}
}

func (m *mistakes) oneOf(key, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		m.add(key, "%q; allowed: %s", value, strings.Join(allowed, ", "))
	}
}

func (m *mistakes) between(key string, value, least, most float64) {
	if !(value >= least && value <= most) { // false for NaN
		m.add(key, "%v; allowed: %v to %v", value, least, most)
	}
}

// check adds a mistake for every value that is not allowed.
func (c Config) check(wrong *mistakes) {
	wrong.match("stackName", c.StackName, stackNames, "a letter, then letters, digits and hyphens, 32 in all")
	wrong.oneOf("runtime", c.Runtime, runtimes)
	wrong.oneOf("architecture", c.Architecture, architectures)
	wrong.match("prefix", c.Prefix, prefixes, "1 to 64 letters, digits, hyphens and underscores")
	wrong.optional("schedule", c.Schedule, schedules, "cron(six fields) or rate(number unit)")
	wrong.optional("notify", c.Notify, addresses, "an e-mail address")
	for _, with := range c.Share {
		if _, err := release.ParseGrantee(with); err != nil {
			wrong.add("share", "%q; allowed: an organization (o-...) or an account (12 digits)", with)
		}
	}

	for _, pattern := range c.Consumers {
		wrong.match("consumers", pattern, patterns, "names of functions, with * and ?")
	}

	wrong.between("keepVersions", float64(c.KeepVersions), 1, 100)
	wrong.between("packageSizeAlarmMegabytes", c.PackageSizeAlarmMegabytes, 1, limitMegabytes)
	wrong.between("noncurrentDays", float64(c.NoncurrentDays), 1, math.MaxInt32)
	if c.KMS != "create" {
		wrong.optional("kms", c.KMS, keys, `"create", a key's ARN`)
	}

	wrong.optional("boundary", c.Boundary, boundaries, "a policy's name or ARN")
	if !slices.Contains(logDays, c.LogRetentionDays) {
		allowed := strings.ReplaceAll(strings.Trim(fmt.Sprint(logDays), "[]"), " ", ", ")
		wrong.add("logRetentionDays", "%d; allowed: %s", c.LogRetentionDays, allowed)
	}

	if c.ComputeType != "" {
		wrong.oneOf("computeType", c.ComputeType, c.computeTypes())
	}

	wrong.optional("indexSecret", c.IndexSecret, secrets, "the full ARN of a secret")
	for _, file := range c.binaries() {
		if !isProgram(file) {
			wrong.add("assets", "%s is not a program; to build it, run: make functions", file)
		}
	}
}

// computeTypes are the allowed values of ComputeType, which depend on where builds run.
func (c Config) computeTypes() []string {
	if c.CodeBuildLambda {
		return lambdaTypes
	}

	return computeTypes
}

func isProgram(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// binaries are the files of the programs that are deployed.
func (c Config) binaries() []string {
	files := []string{filepath.Join(c.cli(), "layersmith")}
	for _, f := range functionTable {
		files = append(files, filepath.Join(c.code(f.name), "bootstrap"))
	}

	return files
}

func (c Config) cli() string                 { return filepath.Join(c.Assets, "cli") }
func (c Config) code(function string) string { return filepath.Join(c.Assets, "functions", function) }
