package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestConfigReadsCdkJSON(t *testing.T) {
	t.Parallel()
	cfg, err := configFrom(settings(t, nil))
	if err != nil {
		t.Fatal(err)
	}

	want := defaults()
	want.Assets = assets
	want.Share = []string{}
	want.Consumers = []string{}
	wantEqual(t, "cdk.json", cfg, want)
}

func TestConfigTakesOneSettingFromTheCommandLine(t *testing.T) {
	t.Parallel()
	context := settings(t, map[string]any{"consumers": []any{"orders-*"}})
	context["layersmith.architecture"] = "arm64"
	context["layersmith.consumers"] = "a, b-*"
	context["layersmith.keepVersions"] = "7"
	context["layersmith.retain"] = "false"
	context["layersmith.packageSizeAlarmMegabytes"] = "120.5"
	cfg, err := configFrom(context)
	if err != nil {
		t.Fatal(err)
	}

	got := fmt.Sprint(cfg.Architecture, cfg.Consumers, cfg.KeepVersions, cfg.Retain, cfg.PackageSizeAlarmMegabytes)
	wantEqual(t, "settings", got, fmt.Sprint("arm64", []string{"a", "b-*"}, 7, false, 120.5))
}

func TestConfigMistakesAreReportedTogether(t *testing.T) {
	t.Parallel()
	context := settings(t, map[string]any{
		"stackName":    "1st",
		"runtime":      "go1.x",
		"prefix":       "*",
		"keepVersions": "three",
		"share":        []any{"me"},
		"consumers":    []any{"orders:1"},
		"color":        "blue",
	})
	context["layersmith.retain"] = "perhaps"
	_, err := configFrom(context)
	wantEqual(t, "error", fmt.Sprint(err), strings.Join([]string{
		`read cdk.json: invalid settings under "context" (8):`,
		`  layersmith.color: unknown; the settings are: architecture, assets, boundary, codeBuildLambda, ` +
			`computeType, consumers, indexSecret, keepVersions, kms, logRetentionDays, noncurrentDays, notify, ` +
			`packageSizeAlarmMegabytes, prefix, retain, runtime, schedule, share, stackName`,
		`  layersmith.keepVersions: "three" is not a whole number`,
		`  layersmith.retain: "perhaps" is not true or false`,
		`  layersmith.stackName: "1st"; allowed: a letter, then letters, digits and hyphens, 32 in all`,
		`  layersmith.runtime: "go1.x"; allowed: provided.al2, provided.al2023`,
		`  layersmith.prefix: "*"; allowed: 1 to 64 letters, digits, hyphens and underscores`,
		`  layersmith.share: "me"; allowed: an organization (o-...) or an account (12 digits)`,
		`  layersmith.consumers: "orders:1"; allowed: names of functions, with * and ?`,
	}, "\n"))
}

// oneInvalid is the error with one mistake, up to the mistake.
const oneInvalid = "read cdk.json: invalid settings under \"context\" (1):\n  "

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	for sentence, test := range map[string]struct {
		changed map[string]any // settings of cdk.json
		wrong   string
	}{
		"an architecture that Lambda does not have": {
			map[string]any{"architecture": "mips"},
			`layersmith.architecture: "mips"; allowed: x86_64, arm64`,
		},
		"a schedule of five fields": {
			map[string]any{"schedule": "cron(0 3 1 * *)"},
			`layersmith.schedule: "cron(0 3 1 * *)"; allowed: cron(six fields) or rate(number unit), or ""`,
		},
		"an address without a domain": {
			map[string]any{"notify": "me"},
			`layersmith.notify: "me"; allowed: an e-mail address, or ""`,
		},
		"an alarm above the limit": {
			map[string]any{"packageSizeAlarmMegabytes": 300.0},
			`layersmith.packageSizeAlarmMegabytes: 300; allowed: 1 to 250`,
		},
		"no version to keep": {
			map[string]any{"keepVersions": 0.0},
			`layersmith.keepVersions: 0; allowed: 1 to 100`,
		},
		"half a version to keep": {
			map[string]any{"keepVersions": 1.5},
			`layersmith.keepVersions: 1.5 is not a whole number`,
		},
		"a key's alias": {
			map[string]any{"kms": "alias/mine"},
			`layersmith.kms: "alias/mine"; allowed: "create", a key's ARN, or ""`,
		},
		"a retention that CloudWatch does not have": {
			map[string]any{"logRetentionDays": 31.0},
			`layersmith.logRetentionDays: 31; allowed: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, ` +
				`731, 1096, 1827, 2192, 2557, 2922, 3288, 3653`,
		},
		"a size of Lambda compute for a container": {
			map[string]any{"computeType": "BUILD_LAMBDA_2GB"},
			`layersmith.computeType: "BUILD_LAMBDA_2GB"; allowed: BUILD_GENERAL1_SMALL, BUILD_GENERAL1_MEDIUM, ` +
				`BUILD_GENERAL1_LARGE`,
		},
		"a size of a container for Lambda compute": {
			map[string]any{"computeType": "BUILD_GENERAL1_SMALL", "codeBuildLambda": true},
			`layersmith.computeType: "BUILD_GENERAL1_SMALL"; allowed: BUILD_LAMBDA_1GB, BUILD_LAMBDA_2GB, ` +
				`BUILD_LAMBDA_4GB, BUILD_LAMBDA_8GB, BUILD_LAMBDA_10GB`,
		},
		"a secret's name instead of its ARN": {
			map[string]any{"indexSecret": "index"},
			`layersmith.indexSecret: "index"; allowed: the full ARN of a secret, or ""`,
		},
		"a boundary that cannot be a policy": {
			map[string]any{"boundary": "a b"},
			`layersmith.boundary: "a b"; allowed: a policy's name or ARN, or ""`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := configFrom(settings(t, test.changed))
			wantEqual(t, "error", fmt.Sprint(err), oneInvalid+test.wrong)
		})
	}
}

func TestConfigRefusesSettingsThatAreNotAnObject(t *testing.T) {
	t.Parallel()
	_, err := configFrom(map[string]any{"layersmith": "yes", "layersmith.assets": assets})
	wantEqual(t, "error", fmt.Sprint(err), oneInvalid+"layersmith: must be an object with settings")
}

func TestConfigNamesEveryMissingProgram(t *testing.T) {
	t.Parallel()
	_, err := configFrom(settings(t, map[string]any{"assets": "nowhere"}))

	programs := []string{"cli/layersmith"}
	for _, f := range functionTable {
		programs = append(programs, "functions/"+f.name+"/bootstrap")
	}

	for _, program := range programs {
		want := "layersmith.assets: nowhere/" + program + " is not a program; to build it, run: make functions"
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
}

// Every allowed number of days has a constant of the CDK.
func TestRetentionsAreComplete(t *testing.T) {
	t.Parallel()
	for _, days := range logDays {
		if retentions[days] == "" {
			t.Errorf("no retention of %d days", days)
		}
	}

	wantEqual(t, "number of retentions", len(retentions), len(logDays))
}
