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
	want.Definition = "../statemachine/pipeline.asl.json"
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

	wantEqual(
		t,
		"settings",
		fmt.Sprintln(cfg.Architecture, cfg.Consumers, cfg.KeepVersions, cfg.Retain, cfg.PackageSizeAlarmMegabytes),
		"arm64 [a b-*] 7 false 120.5\n",
	)
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
		"colour":       "blue",
	})
	context["layersmith.retain"] = "perhaps"
	_, err := configFrom(context)
	wantEqual(t, "error", fmt.Sprint(err), strings.Join([]string{
		`read cdk.json: 8 wrong under "context":`,
		`  layersmith.colour: unknown; known: architecture, assets, boundary, codeBuildLambda, computeType, consumers, definition, indexSecret, keepVersions, kms, logRetentionDays, noncurrentDays, notify, packageSizeAlarmMegabytes, prefix, retain, runtime, schedule, share, stackName`,
		`  layersmith.keepVersions: "three" is not a whole number`,
		`  layersmith.retain: "perhaps" is not true or false`,
		`  layersmith.stackName: "1st"; legal: a letter, then letters, digits and hyphens, 32 in all`,
		`  layersmith.runtime: "go1.x"; legal: provided.al2, provided.al2023`,
		`  layersmith.prefix: "*"; legal: 1 to 64 letters, digits, hyphens and underscores`,
		`  layersmith.share: "me"; legal: an organization (o-...) or an account (12 digits)`,
		`  layersmith.consumers: "orders:1"; legal: names of functions, with * and ?`,
	}, "\n"))
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	for sentence, test := range map[string]struct {
		changed map[string]any
		wrong   string
	}{
		"an architecture that Lambda does not have": {
			map[string]any{"architecture": "mips"},
			`layersmith.architecture: "mips"; legal: x86_64, arm64`,
		},
		"a schedule of five fields": {map[string]any{"schedule": "cron(0 3 1 * *)"},
			`layersmith.schedule: "cron(0 3 1 * *)"; legal: cron(six fields) or rate(number unit), or ""`},
		"an address without a domain": {
			map[string]any{"notify": "me"},
			`layersmith.notify: "me"; legal: an e-mail address, or ""`,
		},
		"an alarm above the limit": {map[string]any{"packageSizeAlarmMegabytes": 300.0},
			`layersmith.packageSizeAlarmMegabytes: 300; legal: 1 to 250`},
		"no version to keep": {map[string]any{"keepVersions": 0.0}, `layersmith.keepVersions: 0; legal: 1 to 100`},
		"half a version to keep": {
			map[string]any{"keepVersions": 1.5},
			`layersmith.keepVersions: 1.5 is not a whole number`,
		},
		"a key's alias": {
			map[string]any{"kms": "alias/mine"},
			`layersmith.kms: "alias/mine"; legal: "create", a key's ARN, or ""`,
		},
		"a retention that CloudWatch does not know": {map[string]any{"logRetentionDays": 31.0},
			`layersmith.logRetentionDays: 31; legal: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653`},
		"a size of the other kind of compute": {map[string]any{"computeType": "BUILD_LAMBDA_2GB"},
			`layersmith.computeType: "BUILD_LAMBDA_2GB"; legal: BUILD_GENERAL1_SMALL, BUILD_GENERAL1_MEDIUM, BUILD_GENERAL1_LARGE`},
		"a size of the other kind, the other way": {
			map[string]any{"computeType": "BUILD_GENERAL1_SMALL", "codeBuildLambda": true},
			`layersmith.computeType: "BUILD_GENERAL1_SMALL"; legal: BUILD_LAMBDA_1GB, BUILD_LAMBDA_2GB, BUILD_LAMBDA_4GB, BUILD_LAMBDA_8GB, BUILD_LAMBDA_10GB`,
		},
		"a secret's name instead of its ARN": {map[string]any{"indexSecret": "index"},
			`layersmith.indexSecret: "index"; legal: the full ARN of a secret, or ""`},
		"a boundary that cannot be a policy": {
			map[string]any{"boundary": "a b"},
			`layersmith.boundary: "a b"; legal: a policy's name or ARN, or ""`,
		},
		"a definition that is not there": {map[string]any{"definition": "nowhere.json"},
			`layersmith.definition: open nowhere.json: no such file or directory`},
		"a definition that is not JSON": {
			map[string]any{"definition": "config.go"},
			`layersmith.definition: config.go is not JSON`,
		},
		"settings that are no object, with values": {nil, `layersmith: must be an object with settings`},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			context := settings(t, test.changed)
			if test.changed == nil {
				context = map[string]any{
					"layersmith":            "yes",
					"layersmith.assets":     assets,
					"layersmith.definition": "../statemachine/pipeline.asl.json",
				}
			}

			_, err := configFrom(context)
			wantEqual(t, "error", fmt.Sprint(err), "read cdk.json: 1 wrong under \"context\":\n  "+test.wrong)
		})
	}
}

func TestConfigNamesEveryProgramThatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := configFrom(settings(t, map[string]any{"assets": "nowhere"}))
	for _, f := range functionTable {
		if want := "layersmith.assets: nowhere/functions/" + f.name + "/bootstrap is no program"; !strings.Contains(
			fmt.Sprint(err),
			want,
		) {
			t.Errorf("%v does not say %q", err, want)
		}
	}

	if !strings.Contains(fmt.Sprint(err), "layersmith.assets: nowhere/cli/layersmith is no program") {
		t.Errorf("%v does not name the command line", err)
	}
}

// Every number that is legal has the CDK's word.
func TestRetentionsAreComplete(t *testing.T) {
	t.Parallel()
	for _, days := range logDays {
		if retentions[days] == "" {
			t.Errorf("no retention of %d days", days)
		}
	}

	wantEqual(t, "number of retentions", len(retentions), len(logDays))
}
