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

// roleNames are all roles of a stack: those of the functions, and the others.
func roleNames() []string {
	var names []string
	for _, f := range functionTable {
		names = append(names, f.name)
	}

	return append(names, "probe", "build", "pipeline", "upload", "schedule")
}

// Each role has exactly the grants in testdata/iam/<role>.json, for a stack whose setting consumers
// is orders-*. The flag -update rewrites the files.
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
			if err := os.WriteFile(golden, doc.Bytes(), 0o644); err != nil {
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
			t.Errorf("%s is a %s: all grants must be in permissions.go and inline in roles", id, r.Type)
		}
	}
}

// Actions that have no resource type in the Service Authorization Reference. DescribeAlarms has
// one, but returns no composite alarms when it is limited.
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

func TestWildcardsAreGrantedOnlyWhereNecessary(t *testing.T) {
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

// Without consumers in cdk.json the workflow can change only its own temporary functions.
func TestNoConsumerCanBeChangedByDefault(t *testing.T) {
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

// A version of a consumer can be deleted, a consumer cannot.
func TestNoConsumerCanBeDeleted(t *testing.T) {
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

func TestStartingABuildCannotOverrideTheProject(t *testing.T) {
	var denied []string
	for _, s := range statements(t, "PipelineRole", plainStack(t).byType("AWS::IAM::Role")["PipelineRole"]) {
		if s.Effect == "Deny" {
			wantEqual(t, s.Sid, s.Actions, []string{"codebuild:StartBuild"})
			for key, null := range at(s.Condition, "Null").(map[string]any) {
				denied = append(denied, fmt.Sprintf("%s %v", key, null))
			}
		}
	}

	// One statement each: a statement with several keys denies only when all of them match.
	wantEqual(t, "denied", denied, []string{
		"codebuild:source.buildspec false",
		"codebuild:environment.image false",
		"codebuild:environment.privilegedMode false",
	})
}

func TestTemporaryFunctionsHaveNoPermissions(t *testing.T) {
	role := plainStack(t).byType("AWS::IAM::Role")["ProbeRole"]
	wantEqual(t, "grants", statements(t, "ProbeRole", role), []statement{})
}

// docs/iam.md has the grants of the golden files as tables, with the reasons of the template. The
// flag -update rewrites them.
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

// tables are the grants of every role, with a table of its own for those that all functions share.
func tables(t *testing.T) string {
	t.Helper()
	roles := plainStack(t).byType("AWS::IAM::Role")
	rows := map[string][]string{} // by role
	count := map[string]int{}     // of functions that have a row
	for _, name := range roleNames() {
		role := roles[title(name)+"Role"]
		for _, s := range statements(t, name, role) {
			row := tableRow(s, reason(role, s))
			rows[name] = append(rows[name], row)
			if isFunction(name) {
				count[row]++
			}
		}
	}

	shared := func(row string) bool { return count[row] == len(functionTable) }
	own := func(row string) bool { return !shared(row) }

	var b strings.Builder
	writeTable(&b, "every function", filtered(rows[functionTable[0].name], shared))
	for _, name := range roleNames() {
		if isFunction(name) {
			rows[name] = filtered(rows[name], own)
		}

		writeTable(&b, name, rows[name])
	}

	b.WriteString("\n")
	return b.String()
}

func filtered(rows []string, keep func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(rows), func(row string) bool { return !keep(row) })
}

func writeTable(b *strings.Builder, title string, rows []string) {
	b.WriteString("\n### " + title + "\n\n")
	if len(rows) == 0 {
		b.WriteString("Nothing.\n")
		return
	}

	b.WriteString("| grant | actions | resources | condition | reason |\n|---|---|---|---|---|\n")
	b.WriteString(strings.Join(rows, ""))
}

// shorter leaves the partition, region and account out of ARNs.
var shorter = strings.NewReplacer(
	"arn:<AWS::Partition>:", "", "<AWS::Region>:<AWS::AccountId>:", "", "<AWS::Region>:", "",
	"<", "", ">", "", ".Arn", "")

func tableRow(s statement, reason string) string {
	var resources []string
	for _, r := range s.Resources {
		resources = append(resources, "`"+shorter.Replace(r)+"`")
	}

	switch s.Sid { // ARNs that would differ in each row, or be too many
	case "Log":
		resources = []string{"its log group"}
	case "Functions":
		resources = []string{"the twelve functions"}
	}

	sid := s.Sid
	if s.Effect == "Deny" {
		sid += " (deny)"
	}

	condition := ""
	if s.Condition != nil {
		c, _ := json.Marshal(s.Condition)
		condition = "`" + string(c) + "`"
	}

	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n",
		sid, strings.Join(s.Actions, ", "), strings.Join(resources, ", "), condition, reason)
}

func isFunction(name string) bool {
	return slices.ContainsFunc(functionTable, func(f functionRow) bool { return f.name == name })
}

// reason is the reason of the suppression for the statement's resources, "" for none.
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
