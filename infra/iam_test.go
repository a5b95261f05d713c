package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// roleNames are all roles of a stack: the functions', by name, and the others.
func roleNames() []string {
	var names []string
	for _, f := range functionTable {
		names = append(names, f.name)
	}

	return append(names, "probe", "build", "pipeline", "upload", "schedule")
}

// Each role has exactly the grants in testdata/iam/<role>.json, for a stack whose consumers are
// orders-*. Rewrite them with -update and read the diff.
func TestRolesHaveTheGrantsOfTheGoldenFiles(t *testing.T) {
	a := plainStack(t)
	roles := a.byType("AWS::IAM::Role")
	for _, name := range roleNames() {
		role, ok := roles[title(name)+"Role"]
		if !ok {
			t.Errorf("no role for %s", name)
			continue
		}

		delete(roles, title(name)+"Role")
		var doc bytes.Buffer
		enc := json.NewEncoder(&doc)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(statements(t, name, role)); err != nil {
			t.Fatal(err)
		}

		golden := filepath.Join("testdata", "iam", name+".json")
		if *update {
			if err := errorsOf(
				os.MkdirAll(filepath.Dir(golden), 0o755),
				os.WriteFile(golden, doc.Bytes(), 0o644),
			); err != nil {
				t.Fatal(err)
			}
		}

		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}

		wantEqual(t, golden, doc.String(), string(want))
	}

	if len(roles) > 0 {
		t.Errorf("roles without a golden file: %v", slices.Sorted(maps.Keys(roles)))
	}

	for id, r := range a.resources {
		if strings.HasPrefix(r.Type, "AWS::IAM::") && r.Type != "AWS::IAM::Role" {
			t.Errorf("%s is a %s: grants stand in permissions.go and in roles", id, r.Type)
		}
	}
}

// Actions without a resource type in the Service Authorization Reference, or, for DescribeAlarms,
// that answer less when they are given one.
var anywhere = []string{
	"cloudwatch:DescribeAlarms",
	"cloudwatch:PutMetricData",
	"lambda:ListFunctions",
	"lambda:ListLayerVersions",
	"logs:CreateLogDelivery",
	"logs:DeleteLogDelivery",
	"logs:DescribeLogGroups",
	"logs:DescribeResourcePolicies",
	"logs:GetLogDelivery",
	"logs:ListLogDeliveries",
	"logs:PutResourcePolicy",
	"logs:UpdateLogDelivery",
	"tag:GetResources",
}

func TestNothingIsGrantedWithAStarButWhatMustBe(t *testing.T) {
	var starred []string
	for _, a := range []*assembly{plainStack(t), allStack(t)} {
		for name, role := range a.byType("AWS::IAM::Role") {
			for _, s := range statements(t, name, role) {
				for _, action := range s.Actions {
					if strings.Contains(action, "*") {
						t.Errorf("%s %s: action %s", name, s.Sid, action)
					}
				}

				if slices.Contains(s.Resources, "*") {
					starred = append(starred, s.Actions...)
				}

				if slices.Contains(s.Actions, "cloudwatch:PutMetricData") &&
					fmt.Sprint(s.Condition) != "map[StringEquals:map[cloudwatch:namespace:Lambda/Optimization]]" {
					t.Errorf("%s %s: condition %v", name, s.Sid, s.Condition)
				}

				if slices.Contains(s.Actions, "iam:PassRole") &&
					fmt.Sprint(s.Condition) != "map[StringEquals:map[iam:PassedToService:lambda.amazonaws.com]]" {
					t.Errorf("%s %s: condition %v", name, s.Sid, s.Condition)
				}
			}
		}
	}

	slices.Sort(starred)
	wantEqual(t, "actions on *", slices.Compact(starred), anywhere)
}

// Without consumers in cdk.json the workflow can change no function but its own throw-away ones.
func TestNoConsumerCanBeTouchedByDefault(t *testing.T) {
	a := synthesized(t, "default", nil)
	changes := []string{
		"lambda:UpdateFunctionConfiguration",
		"lambda:PublishVersion",
		"lambda:UpdateAlias",
		"lambda:CreateFunction",
		"lambda:DeleteFunction",
		"lambda:InvokeFunction",
	}
	for name, role := range a.byType("AWS::IAM::Role") {
		for _, s := range statements(t, name, role) {
			for _, action := range s.Actions {
				ours := name == "PipelineRole" && s.Sid == "Functions"
				for _, r := range s.Resources {
					ours = ours || strings.HasSuffix(r, ":function:layersmith-probe-*")
				}

				if slices.Contains(changes, action) && !ours {
					t.Errorf("%s %s: %s on %v", name, s.Sid, action, s.Resources)
				}
			}
		}
	}
}

// A consumer's version can be deleted, a consumer cannot.
func TestNoFunctionOfOthersCanBeDeleted(t *testing.T) {
	for name, role := range allStack(t).byType("AWS::IAM::Role") {
		for _, s := range statements(t, name, role) {
			for _, r := range s.Resources {
				if slices.Contains(s.Actions, "lambda:DeleteFunction") &&
					!strings.Contains(r, ":function:tools-probe-") &&
					!strings.HasSuffix(r, ":*") {
					t.Errorf("%s %s: lambda:DeleteFunction on %s", name, s.Sid, r)
				}
			}
		}
	}
}

func TestTheBuildCannotBeChangedByWhoStartsIt(t *testing.T) {
	var denied []string
	for _, s := range statements(t, "PipelineRole", plainStack(t).byType("AWS::IAM::Role")["PipelineRole"]) {
		if s.Effect == "Deny" {
			wantEqual(t, s.Sid, s.Actions, []string{"codebuild:StartBuild"})
			for key, null := range at(s.Condition, "Null").(map[string]any) {
				denied = append(denied, fmt.Sprintf("%s %v", key, null))
			}
		}
	}

	// One statement each: several keys of one condition must all be there to deny.
	wantEqual(t, "denied", denied, []string{"codebuild:source.buildspec false", "codebuild:environment.image false",
		"codebuild:environment.privilegedMode false"})
}

func TestThrowAwayFunctionsMayDoNothing(t *testing.T) {
	wantEqual(
		t,
		"grants",
		statements(t, "ProbeRole", plainStack(t).byType("AWS::IAM::Role")["ProbeRole"]),
		[]statement{},
	)
}

// docs/iam.md repeats the golden files as tables, with the reasons that stand in the template.
// Rewrite it with -update.
func TestDocumentationHasTheGrants(t *testing.T) {
	const file, begin, end = "../docs/iam.md", "<!-- grants -->\n", "<!-- /grants -->"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	before, rest, ok := strings.Cut(string(doc), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks %q or %q", file, begin, end)
	}

	want := before + begin + tables(t) + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}

		return
	}

	wantEqual(t, file, string(doc), want)
}

// tables are the grants of every role. What all functions have is said once.
func tables(t *testing.T) string {
	t.Helper()
	a := plainStack(t)
	roles := a.byType("AWS::IAM::Role")
	common := map[string]int{}
	all := map[string][]statement{}
	row := func(name string, s statement) string {
		var resources []string
		for _, r := range s.Resources {
			resources = append(
				resources,
				"`"+strings.NewReplacer("arn:<AWS::Partition>:", "", "<AWS::Region>:<AWS::AccountId>:", "",
					"<AWS::Region>:", "",
					"<", "", ">", "", ".Arn", "").
					Replace(r)+
					"`",
			)
		}

		var condition string
		if s.Condition != nil {
			c, _ := json.Marshal(s.Condition)
			condition = "`" + string(c) + "`"
		}

		effect := s.Sid
		if s.Effect == "Deny" {
			effect += " (deny)"
		}

		if s.Sid == "Log" {
			resources = []string{"its log group"}
		}

		if s.Sid == "Functions" {
			resources = []string{"the twelve functions"}
		}

		return fmt.Sprintf(
			"| %s | %s | %s | %s | %s |\n",
			effect,
			strings.Join(s.Actions, ", "),
			strings.Join(resources, ", "),
			condition,
			reason(roles[title(name)+"Role"], s),
		)
	}
	for _, name := range roleNames() {
		all[name] = statements(t, name, roles[title(name)+"Role"])
		if isFunction(name) {
			for _, s := range all[name] {
				common[row(name, s)]++
			}
		}
	}

	const head = "| grant | actions | resources | condition | reason |\n|---|---|---|---|---|\n"
	var b strings.Builder
	b.WriteString("\n### every function\n\n" + head)
	for _, s := range all[functionTable[0].name] {
		if r := row(functionTable[0].name, s); common[r] == len(functionTable) {
			b.WriteString(r)
		}
	}

	for _, name := range roleNames() {
		b.WriteString("\n### " + name + "\n\n")
		var rows string
		for _, s := range all[name] {
			if r := row(name, s); !isFunction(name) || common[r] != len(functionTable) {
				rows += r
			}
		}

		if rows == "" {
			b.WriteString("Nothing.\n")
			continue
		}

		b.WriteString(head + rows)
	}

	b.WriteString("\n")
	return b.String()
}

func isFunction(name string) bool {
	return slices.ContainsFunc(functionTable, func(f functionRow) bool { return f.name == name })
}

// reason is what the role's suppressions say of the statement's resources.
func reason(role resource, s statement) string {
	rules, _ := at(role.Metadata, "cdk_nag", "rules_to_suppress").([]any)
	for _, rule := range rules {
		applies, _ := at(rule, "applies_to").([]any)
		for _, id := range applies {
			if r, _ := strings.CutPrefix(readable(fmt.Sprint(id)), "Resource::"); slices.Contains(s.Resources, r) {
				text := fmt.Sprint(at(rule, "reason"))
				if r != "*" || strings.Contains(text, strings.SplitN(s.Actions[0], ":", 2)[1]) ||
					s.Sid == "LogDelivery" {
					return text
				}
			}
		}
	}

	return ""
}
