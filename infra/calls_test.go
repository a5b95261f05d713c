package main

import (
	"fmt"
	"go/types"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"
)

const (
	module = "github.com/layersmith/layersmith/"
	sdk    = "github.com/aws/aws-sdk-go-v2/service/"
)

// Every function is granted the actions that its program can call, and no others. What it can call
// is read off the program: from main through calls, closures and interfaces (by the types that the
// same program puts into them) to the methods of the SDK's clients.
func TestFunctionsAreGrantedWhatTheirProgramsCall(t *testing.T) {
	program := compiled(t)
	roles := plainStack(t).byType("AWS::IAM::Role")
	for _, f := range functionTable {
		pkg := program.ImportedPackage(module + "functions/" + f.name)
		if pkg == nil {
			t.Errorf("functions/%s is not there", f.name)
			continue
		}

		granted := map[string]bool{}
		for _, s := range statements(t, f.name, roles[title(f.name)+"Role"]) {
			for _, action := range s.Actions {
				granted[action] = true
			}
		}

		wantEqual(
			t,
			"actions of "+f.name+": called (-) and granted (+)",
			slices.Sorted(maps.Keys(granted)),
			slices.Sorted(maps.Keys(actions(reach(program,
				pkg.Func("main"))))),
		)
	}
}

// compiled is our own code as instructions; of the SDK only the names are needed.
func compiled(t *testing.T) *ssa.Program {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles the functions and the command line")
	}

	loaded, err := sources()
	if err != nil {
		t.Fatal(err)
	}

	if packages.PrintErrors(loaded) > 0 {
		t.Fatal("the programs do not compile")
	}

	return ssaOf()
}

var sources = sync.OnceValues(func() ([]*packages.Package, error) {
	return packages.Load(&packages.Config{
		Dir: "..",
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedExportFile | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedTypesSizes,
	}, "./functions/...",
		"./internal/...")
})

var ssaOf = sync.OnceValue(func() *ssa.Program {
	loaded, _ := sources()
	program, _ := ssautil.Packages(loaded, ssa.InstantiateGenerics)
	program.Build()
	return program
})

// The build's role can do what "layersmith build --plan" does, and each command of docs/iam.md
// needs the actions that stand there.
func TestCommandsNeedWhatTheDocumentationSays(t *testing.T) {
	program := compiled(t)
	app := program.ImportedPackage(module + "internal/cli").Type("app").Type()
	needs := func(constructor string) map[string]bool {
		f := program.LookupMethod(
			types.NewPointer(app),
			program.ImportedPackage(module+"internal/cli").Pkg,
			constructor,
		)
		if f == nil {
			t.Fatalf("internal/cli has no %s", constructor)
		}

		called := actions(reach(program, f))
		for _, action := range always {
			delete(called, action)
		}

		return called
	}
	built := needs("artifactsCommand")
	for _, action := range append(slices.Clone(always), "s3:GetBucketAcl",
		"s3:GetBucketLocation") { // CodeBuild's own: it fetches the source and writes the log
		built[action] = true
	}

	granted := map[string]bool{}
	for _, s := range statements(t, "build", plainStack(t).byType("AWS::IAM::Role")["BuildRole"]) {
		for _, action := range s.Actions {
			granted[action] = true
		}
	}

	wantEqual(
		t,
		"actions of the build: called (-) and granted (+)",
		slices.Sorted(maps.Keys(granted)),
		slices.Sorted(maps.Keys(built)),
	)
	documented := commandTable(t)
	for command, constructor := range map[string]string{
		"push":       "pushCommand",
		"start":      "startCommand",
		"rollback":   "rollbackCommand",
		"watch":      "watchCommand",
		"executions": "executionsCommand",
		"versions":   "versionsCommand",
	} {
		wantEqual(
			t,
			"actions of "+command+": called (-) and documented (+)",
			slices.Sorted(maps.Keys(documented[command])),
			slices.Sorted(maps.Keys(needs(constructor))),
		)
	}
}

// commandTable reads which actions docs/iam.md gives to a command: rows of "| commands | actions |
// resources |", where an empty first cell repeats the one above.
func commandTable(t *testing.T) map[string]map[string]bool {
	t.Helper()
	doc, err := os.ReadFile("../docs/iam.md")
	if err != nil {
		t.Fatal(err)
	}

	_, section, _ := strings.Cut(string(doc), "\n## Operating\n")
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := regexp.MustCompile("`([^`]+)`")
	table := map[string]map[string]bool{}
	var commands []string
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[2], ":") || strings.Contains(line, "---") {
			continue
		}

		if strings.TrimSpace(cells[1]) != "" {
			commands = nil
			for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
				commands = append(commands, m[1])
			}
		}

		for _, command := range commands {
			if table[command] == nil {
				table[command] = map[string]bool{}
			}

			for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
				if !strings.HasPrefix(m[1], "--") {
					table[command][m[1]] = true
				}
			}
		}
	}

	return table
}

// services are the prefixes of actions where they are not the SDK's package.
var services = map[string]string{"sfn": "states", "resourcegroupstaggingapi": "tag", "cloudwatchlogs": "logs"}

// operations are those whose action is not called like them.
var operations = map[string]string{
	"lambda:Invoke":               "lambda:InvokeFunction",
	"lambda:GetLayerVersionByArn": "lambda:GetLayerVersion",
	"s3:HeadObject":               "s3:GetObject",
	"s3:ListObjectsV2":            "s3:ListBucket",
	"s3:ListObjectVersions":       "s3:ListBucketVersions",
}

// besides are actions that AWS asks of who calls an operation.
var besides = map[string][]string{
	"s3:GetObject":                       {"s3:ListBucket"}, // to be told that there is none
	"lambda:CreateFunction":              {"iam:PassRole", "lambda:GetLayerVersion"},
	"lambda:UpdateFunctionConfiguration": {"lambda:GetLayerVersion"},
}

// always are what the door needs, or what an identifier decides: a blob is opened by version.
var always = []string{"logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObjectVersion"}

func actions(called map[string]bool) map[string]bool {
	needed := map[string]bool{}
	for _, a := range always {
		needed[a] = true
	}

	for op := range called {
		service, name, _ := strings.Cut(op, ":")
		if s := services[service]; s != "" {
			op = s + ":" + name
		}

		if o := operations[op]; o != "" {
			op = o
		}

		needed[op] = true
		for _, also := range besides[op] {
			needed[also] = true
		}
	}

	return needed
}

// waiters call one operation again and again.
var waiters = map[string]string{"FunctionUpdatedV2Waiter": "GetFunction", "FunctionActiveV2Waiter": "GetFunction",
	"PublishedVersionActiveWaiter": "GetFunctionConfiguration"}

// reach returns the operations of the SDK that a function can come to, as service:Operation.
func reach(program *ssa.Program, main *ssa.Function) map[string]bool {
	called := map[string]bool{}
	seen := map[*ssa.Function]bool{}
	var work []*ssa.Function
	var invoked []*ssa.CallCommon
	var boxed []types.Type
	known := map[types.Type]bool{}
	visit := func(f *ssa.Function) {
		if f == nil || seen[f] {
			return
		}

		seen[f] = true
		if op := operation(f); op != "" {
			called[op] = true
		}

		work = append(work, f)
	}
	meet := func(call *ssa.CallCommon, t types.Type) {
		if types.Implements(t, call.Value.Type().Underlying().(*types.Interface)) {
			visit(program.LookupMethod(t, call.Method.Pkg(), call.Method.Name()))
		}
	}
	visit(main) // and not what initializes packages: the checks "var _ workflow.Alarms = Alarms{}.Get" there call nothing
	for len(work) > 0 {
		f := work[len(work)-1]
		work = work[:len(work)-1]
		for _, block := range f.Blocks {
			for _, instruction := range block.Instrs {
				var buffer [16]*ssa.Value
				for _, operand := range instruction.Operands(buffer[:0]) {
					if g, ok := (*operand).(*ssa.Function); ok {
						visit(g)
					}
				}

				if m, ok := instruction.(*ssa.MakeInterface); ok && !known[m.X.Type()] {
					known[m.X.Type()] = true
					boxed = append(boxed, m.X.Type())
					for _, call := range invoked {
						meet(call, m.X.Type())
					}
				}

				if call, ok := instruction.(ssa.CallInstruction); ok && call.Common().IsInvoke() {
					invoked = append(invoked, call.Common())
					for _, t := range boxed {
						meet(call.Common(), t)
					}
				}
			}
		}
	}

	return called
}

// operation is what a function of the SDK does, "" for all others: a client's method, or what makes
// a paginator or a waiter.
func operation(f *ssa.Function) string {
	object, _ := f.Object().(*types.Func)
	if object == nil || object.Pkg() == nil {
		return ""
	}

	service, ours := strings.CutPrefix(object.Pkg().Path(), sdk)
	if !ours || strings.Contains(service, "/") {
		return ""
	}

	if receiver := object.Signature().Recv(); receiver != nil {
		if strings.HasSuffix(receiver.Type().String(), ".Client") && object.Exported() && object.Name() != "Options" {
			return service + ":" + object.Name()
		}

		return ""
	}

	name, made := strings.CutPrefix(object.Name(), "New")
	if op, ok := strings.CutSuffix(name, "Paginator"); ok && made {
		return service + ":" + op
	}

	if strings.HasSuffix(name, "Waiter") && made {
		if waiters[name] == "" {
			panic(fmt.Sprintf("what does %s call?", name))
		}

		return service + ":" + waiters[name]
	}

	return ""
}
