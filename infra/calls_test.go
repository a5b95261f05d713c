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

// Every function is granted exactly the actions that its program can call. The test finds them in
// the program: from main through calls, closures and interfaces to the methods of the SDK's
// clients.
func TestFunctionsAreGrantedWhatTheirProgramsCall(t *testing.T) {
	program := compiled(t)
	roles := plainStack(t).byType("AWS::IAM::Role")
	for _, f := range functionTable {
		pkg := program.ImportedPackage(module + "functions/" + f.name)
		if pkg == nil {
			t.Errorf("the folder functions/%s is missing", f.name)
			continue
		}

		granted := map[string]bool{}
		for _, s := range statements(t, f.name, roles[title(f.name)+"Role"]) {
			for _, action := range s.Actions {
				granted[action] = true
			}
		}

		called := actions(reach(program, pkg.Func("main")))
		wantEqual(t, "actions of "+f.name+": called (-) and granted (+)", sorted(granted), sorted(called))
	}
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// compiled returns the code of this module in SSA form. Of the SDK only the names are loaded.
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
	const files = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles |
		packages.NeedImports | packages.NeedDeps | packages.NeedExportFile
	const syntax = packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedTypesSizes

	return packages.Load(&packages.Config{Dir: "..", Mode: files | syntax}, "./functions/...", "./internal/...")
})

var ssaOf = sync.OnceValue(func() *ssa.Program {
	loaded, _ := sources()
	program, _ := ssautil.Packages(loaded, ssa.InstantiateGenerics)
	program.Build()
	return program
})

// The build's role is granted exactly what "layersmith artifacts" calls, and docs/iam.md lists
// exactly the actions that each command calls.
func TestCommandsNeedWhatTheDocumentationSays(t *testing.T) {
	program := compiled(t)
	commands := program.ImportedPackage(module + "internal/cli")
	app := types.NewPointer(commands.Type("app").Type())
	needs := func(constructor string) map[string]bool {
		f := program.LookupMethod(app, commands.Pkg, constructor)
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
	ofCodeBuild := []string{"s3:GetBucketAcl", "s3:GetBucketLocation"} // to fetch the project's source
	for _, action := range append(ofCodeBuild, always...) {
		built[action] = true
	}

	granted := map[string]bool{}
	for _, s := range statements(t, "build", plainStack(t).byType("AWS::IAM::Role")["BuildRole"]) {
		for _, action := range s.Actions {
			granted[action] = true
		}
	}

	wantEqual(t, "actions of the build: called (-) and granted (+)", sorted(granted), sorted(built))

	documented := commandTable(t)
	for command, constructor := range map[string]string{
		"push":       "pushCommand",
		"start":      "startCommand",
		"rollback":   "rollbackCommand",
		"watch":      "watchCommand",
		"executions": "executionsCommand",
		"versions":   "versionsCommand",
	} {
		wantEqual(t, "actions of "+command+": called (-) and documented (+)",
			sorted(documented[command]), sorted(needs(constructor)))
	}
}

// commandTable reads the actions of each command from docs/iam.md. Its rows are "| commands |
// actions | resources |"; an empty first cell repeats the one above.
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

// services are the prefixes of actions that differ from the name of the SDK's package.
var services = map[string]string{"sfn": "states", "resourcegroupstaggingapi": "tag", "cloudwatchlogs": "logs"}

// operations are those whose action has another name.
var operations = map[string]string{
	"lambda:Invoke":               "lambda:InvokeFunction",
	"lambda:GetLayerVersionByArn": "lambda:GetLayerVersion",
	"s3:HeadObject":               "s3:GetObject",
	"s3:ListObjectsV2":            "s3:ListBucket",
	"s3:ListObjectVersions":       "s3:ListBucketVersions",
}

// besides are further actions that AWS requires from the caller of an operation.
var besides = map[string][]string{
	"s3:GetObject":                       {"s3:ListBucket"}, // without it, a missing object is 403
	"lambda:CreateFunction":              {"iam:PassRole", "lambda:GetLayerVersion"},
	"lambda:UpdateFunctionConfiguration": {"lambda:GetLayerVersion"},
}

// always are actions that the calls do not show: Lambda writes the logs, and GetObject of a version
// is an action of its own.
var always = []string{"logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObjectVersion"}

// actions are the actions that a set of operations requires.
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

// waiters are the operations that the SDK's waiters poll.
var waiters = map[string]string{
	"FunctionUpdatedV2Waiter":      "GetFunction",
	"FunctionActiveV2Waiter":       "GetFunction",
	"PublishedVersionActiveWaiter": "GetFunctionConfiguration",
}

// reach returns the operations of the SDK that a function can call, as service:Operation. It does
// not follow the initialization of packages: checks there, such as "var _ workflow.Alarms =
// Alarms{}.Get", refer to methods but call nothing.
func reach(program *ssa.Program, main *ssa.Function) map[string]bool {
	r := reacher{
		program: program,
		called:  map[string]bool{},
		seen:    map[*ssa.Function]bool{},
		boxed:   map[types.Type]bool{},
	}
	r.visit(main)
	for len(r.work) > 0 {
		f := r.work[len(r.work)-1]
		r.work = r.work[:len(r.work)-1]
		for _, block := range f.Blocks {
			for _, instruction := range block.Instrs {
				r.instruction(instruction)
			}
		}
	}

	return r.called
}

// reacher follows calls by rapid type analysis: a call of an interface's method can reach that
// method of every type that the program converts to an interface.
type reacher struct {
	program *ssa.Program
	called  map[string]bool
	seen    map[*ssa.Function]bool
	work    []*ssa.Function
	invoked []*ssa.CallCommon   // calls of methods of interfaces
	boxed   map[types.Type]bool // types that were converted to an interface
}

func (r *reacher) visit(f *ssa.Function) {
	if f == nil || r.seen[f] {
		return
	}

	r.seen[f] = true
	r.work = append(r.work, f)
	if op := operation(f); op != "" {
		r.called[op] = true
	}
}

func (r *reacher) instruction(instruction ssa.Instruction) {
	var buffer [16]*ssa.Value
	for _, operand := range instruction.Operands(buffer[:0]) {
		if g, ok := (*operand).(*ssa.Function); ok {
			r.visit(g)
		}
	}

	if m, ok := instruction.(*ssa.MakeInterface); ok && !r.boxed[m.X.Type()] {
		r.boxed[m.X.Type()] = true
		for _, call := range r.invoked {
			r.meet(call, m.X.Type())
		}
	}

	if call, ok := instruction.(ssa.CallInstruction); ok && call.Common().IsInvoke() {
		r.invoked = append(r.invoked, call.Common())
		for t := range r.boxed {
			r.meet(call.Common(), t)
		}
	}
}

// meet visits the method of a type that a call reaches if the type implements the interface.
func (r *reacher) meet(call *ssa.CallCommon, t types.Type) {
	if types.Implements(t, call.Value.Type().Underlying().(*types.Interface)) {
		r.visit(r.program.LookupMethod(t, call.Method.Pkg(), call.Method.Name()))
	}
}

// operation is the operation of a function of the SDK, "" for all other functions. It is a method
// of a client, or the constructor of a paginator or a waiter.
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
			panic(fmt.Sprintf("add %s to waiters", name))
		}

		return service + ":" + waiters[name]
	}

	return ""
}
