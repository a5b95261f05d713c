// Package functions runs the product's functions as they are deployed, for tests and benchmarks:
// zipped bootstraps on Lambda's Runtime API. Their AWS account is on this machine, with S3 in memory
// and a test's own handlers for other services.
package functions

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"time"

	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/testenv/runtimeapi"
	"github.com/layersmith/layersmith/internal/testenv/s3server"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Programs are the programs of a deployed stack, in a folder.
type Programs struct {
	Names []string // of the functions, sorted
	dir   string
}

// Build builds the programs of the repository at root as functions/build does, and zips each
// bootstrap as it is uploaded.
func Build(ctx context.Context, root, dir string) (Programs, error) {
	p := Programs{dir: dir}
	command, err := buildCommand(root)
	if err != nil {
		return p, err
	}

	mains, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	if err != nil || len(mains) == 0 {
		return p, errors.Join(fmt.Errorf("no functions in %s", root), err)
	}

	build := func(pkg, file string) error {
		c := exec.CommandContext(ctx, "sh", "-euc", command, "functions/build", pkg, file, runtime.GOARCH)
		c.Dir = root
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}

		return nil
	}
	for _, main := range mains { // sorted by Glob
		name := filepath.Base(filepath.Dir(main))
		if err := build("./functions/"+name, p.bootstrap(name)); err != nil {
			return p, err
		}

		if err := pack(p.bootstrap(name), p.Zip(name)); err != nil {
			return p, fmt.Errorf("zip %s: %w", name, err)
		}

		p.Names = append(p.Names, name)
	}

	return p, build(".", p.CLI())
}

// buildCommand is the line of functions/build that builds a program, so that tests run the same one.
// $1 is the package, $2 the file, $3 the architecture.
func buildCommand(root string) (string, error) {
	script, err := os.ReadFile(filepath.Join(root, "functions", "build"))
	if err != nil {
		return "", err
	}

	lines := regexp.MustCompile(`(?m)^.*\bgo build .*"\$2" "\$1"$`).FindAllString(string(script), -1)
	if len(lines) != 1 {
		return "", fmt.Errorf("functions/build has %d lines that build, want 1", len(lines))
	}

	return lines[0], nil
}

func (p Programs) bootstrap(function string) string {
	return filepath.Join(p.dir, function, "bootstrap")
}

// Zip is a function's code.
func (p Programs) Zip(function string) string { return filepath.Join(p.dir, function+".zip") }

// CLI is the command-line program that CodeBuild runs.
func (p Programs) CLI() string { return filepath.Join(p.dir, "cli", "layersmith") }

// Sizes are those of a function's program and of its zip, in bytes.
func (p Programs) Sizes(function string) (program, zipped int64, err error) {
	a, err := os.Stat(p.bootstrap(function))
	if err != nil {
		return 0, 0, err
	}

	b, err := os.Stat(p.Zip(function))
	if err != nil {
		return 0, 0, err
	}

	return a.Size(), b.Size(), nil
}

func pack(bootstrap, file string) error {
	program, err := os.ReadFile(bootstrap)
	if err != nil {
		return err
	}

	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(program)
	}

	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}

	return os.WriteFile(file, b.Bytes(), 0o644)
}

// The buckets of an account.
const (
	Store     = "store"
	Workspace = "workspace"
)

// Account is an AWS account on this machine: one address for all services. A request's signature
// names its service.
type Account struct {
	S3     *s3server.Server
	server *httptest.Server

	mu       sync.Mutex
	services map[string]http.Handler
}

// NewAccount starts an account with two empty buckets. Other services deny everything.
func NewAccount() (*Account, error) {
	s3, err := s3server.New(Store, Workspace)
	if err != nil {
		return nil, err
	}

	a := &Account{S3: s3, services: map[string]http.Handler{"s3": s3}}
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(a.serve))
	a.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of functions that were killed
	a.server.Start()
	return a, nil
}

// Close stops the account, with requests that still run.
func (a *Account) Close() {
	a.server.CloseClientConnections()
	a.server.Close()
}

// Answer sets the handler of a service, which has the name that requests are signed for: s3, lambda,
// states, sns, tagging, monitoring (CloudWatch).
func (a *Account) Answer(service string, h http.Handler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.services[service] = h
}

// signedFor finds the service in the credential's scope (IAM user guide, "Elements of an AWS API
// request signature").
var signedFor = regexp.MustCompile(`Credential=[^/]+/\d{8}/[a-z0-9-]+/([a-z0-9-]+)/aws4_request`)

func (a *Account) serve(w http.ResponseWriter, r *http.Request) {
	m := signedFor.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		s3server.Refuse(w, http.StatusForbidden, "MissingAuthenticationToken", "the request is not signed")
		return
	}

	a.mu.Lock()
	h := a.services[m[1]]
	a.mu.Unlock()
	if h == nil {
		h = Deny(m[1])
	}

	h.ServeHTTP(w, r)
}

// Deny answers that access is denied, in the service's protocol.
func Deny(service string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const message = "User: arn:aws:sts::000000000000:assumed-role/x/x is not authorized to perform this"
		switch service {
		case "s3":
			s3server.Refuse(w, http.StatusForbidden, "AccessDenied", message)
		case "sns":
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code>`+
				`<Message>%s</Message></Error><RequestId>REQ1</RequestId></ErrorResponse>`, message)
		case "monitoring":
			cborAnswer(w, http.StatusForbidden, cborError("AccessDenied", message))
		default:
			Fail(w, http.StatusForbidden, "AccessDeniedException", message)
		}
	})
}

// Fail answers with an error, as the services with a JSON protocol do.
func Fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-ErrorType", code)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

// Push stores a workspace in its bucket.
func (a *Account) Push(files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}

		return a.S3.Put(Workspace, "layers/"+name, b)
	})
}

// Topic is the account's topic.
const Topic = "arn:aws:sns:us-east-1:000000000000:layersmith"

// Env are the variables of the stack's functions, and the address of the account.
func (a *Account) Env() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL":        a.server.URL,
		"LAYERSMITH_STORE":        Store,
		"LAYERSMITH_WORKSPACE":    Workspace,
		"LAYERSMITH_PREFIX":       "layersmith-",
		"LAYERSMITH_TOPIC":        Topic,
		"LAYERSMITH_STACK":        "Layersmith",
		"LAYERSMITH_PROBE_ROLE":   "arn:aws:iam::000000000000:role/probe",
		"LAYERSMITH_PROBE_PREFIX": "Layersmith-probe-",
	}
}

// Execution is the ARN of the execution of a run.
func Execution(run string) string {
	return "arn:aws:states:us-east-1:000000000000:execution:Layersmith:" + run
}

// Stack is a deployed stack without its state machine.
type Stack struct {
	Programs
	*Account
}

// Start starts a function. env replaces variables of the stack; "" removes one.
func (s Stack) Start(
	ctx context.Context,
	function string,
	timeout time.Duration,
	env map[string]string,
) (*runtimeapi.Function, error) {
	all := s.Env()
	maps.Copy(all, env)
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return runtimeapi.Start(ctx, s.Zip(function),
		runtimeapi.Options{Name: function, Timeout: timeout, MemoryMB: 512, Env: all})
}

// Invoke invokes a function with JSON and decodes its output. A function error is an error.
func Invoke[Out any](f *runtimeapi.Function, in any) (out Out, r runtimeapi.Response, err error) {
	payload, err := json.Marshal(in)
	if err != nil {
		return out, r, err
	}

	if r, err = f.Invoke(payload); err != nil {
		return out, r, err
	}

	if r.ErrorType != "" {
		return out, r, fmt.Errorf("%s: %s\n%s", r.ErrorType, r.ErrorMessage, r.Log())
	}

	d := json.NewDecoder(bytes.NewReader(r.Payload))
	d.DisallowUnknownFields()
	return out, r, d.Decode(&out)
}

// Artifacts runs `layersmith artifacts` as CodeBuild does. cache is its folder of wheels and packs.
func (s Stack) Artifacts(ctx context.Context, run, cache string) error {
	c := exec.CommandContext(ctx, s.CLI(), "artifacts", "s3://"+Store+"/runs/"+run, "--cache", cache)
	c.Dir = s.dir
	c.Env = append(
		os.Environ(),
		"AWS_ACCESS_KEY_ID=test",
		"AWS_SECRET_ACCESS_KEY=test",
		"AWS_SESSION_TOKEN=test",
		"AWS_REGION=us-east-1",
		"AWS_PROFILE=",
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	)
	for k, v := range s.Env() {
		c.Env = append(c.Env, k+"="+v)
	}

	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("layersmith artifacts: %w\n%s", err, out)
	}

	return nil
}

// timeout is that of an invocation here. Deployed functions have more.
const timeout = 5 * time.Minute

// Begin runs the first state, Intake, with the input {}.
func (s Stack) Begin(ctx context.Context, run string) error {
	f, err := s.Start(ctx, "intake", timeout, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	out, _, err := Invoke[workflow.IntakeOutput](f, workflow.IntakeInput{
		Run:       run,
		Execution: Execution(run),
		StartedAt: time.Now().UTC().Truncate(time.Millisecond),
		Input:     json.RawMessage("{}"),
	})
	if err == nil && out.Next != workflow.NextBuild {
		err = fmt.Errorf("intake says %s (%s), want %s", out.Next, out.Summary, workflow.NextBuild)
	}

	return err
}

// Select runs the state after the build.
func (s Stack) Select(ctx context.Context, run string) (workflow.SelectOutput, error) {
	f, err := s.Start(ctx, "select", timeout, nil)
	if err != nil {
		return workflow.SelectOutput{}, err
	}
	defer f.Close()
	out, _, err := Invoke[workflow.SelectOutput](f, workflow.RunInput{Run: run})
	return out, err
}

// Built reads the document of a selected layer, and the size of its artifact in bytes.
func (s Stack) Built(item workflow.Item) (doc release.BuiltLayer, size int64, err error) {
	b, err := s.S3.Get(Store, item.Doc.Key)
	if err == nil {
		err = release.Decode(b, &doc)
	}

	return doc, doc.Artifact.Size, err
}

// Pruned reads the document and the zip that Prune made of a layer.
func (s Stack) Pruned(item workflow.Item) (doc release.PrunedLayer, zipped []byte, err error) {
	b, err := s.S3.Get(Store, item.Doc.Key)
	if err != nil {
		return doc, nil, err
	}

	if err := release.Decode(b, &doc); err != nil {
		return doc, nil, err
	}

	zipped, err = s.S3.Get(Store, doc.Zip.Key)
	return doc, zipped, err
}
