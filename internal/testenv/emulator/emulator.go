// Package emulator runs an emulator of AWS for the end-to-end tests: MiniStack, started by
// ministack.py, which makes it stricter and runs CodeBuild's builds. Everything listens on
// 127.0.0.1, keys are dummies, and files are in the test's own temporary folder.
//
// README.md lists what is faithful and what is not.
package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/layersmith/layersmith/internal/testenv/host"
)

// The account and region of every stack.
const (
	Account = "000000000000"
	Region  = "us-east-1"
)

// pythons are the versions of which a function gets this machine's interpreter, if there is one. The
// error of a function of another runtime says what is missing.
var pythons = []string{"3.11", "3.12", "3.13", "3.14"}

const (
	startAttempts = 3                // a free port may be taken before it is used
	startTimeout  = 60 * time.Second // 0.5 s on an idle machine
	logTailBytes  = 64 << 10         // printed of each log when a test has failed
)

// Stack is a running emulator: an empty AWS account.
type Stack struct {
	dir, root, endpoint string
	log                 *os.File
	end                 func()

	bootstrap    sync.Once
	bootstrapErr error
}

// Start starts an emulator. It ends with all its processes when the test ends, or when the process of
// the test ends or is killed. If the test failed, its logs and those of its builds are printed.
func Start(t testing.TB) *Stack {
	t.Helper()
	root, err := host.Root()
	if err != nil {
		t.Fatal(err)
	}

	if _, err := exec.LookPath("bwrap"); err != nil {
		t.Fatalf("start the emulator: %v\nhint: run: make tools", err)
	}

	s := &Stack{dir: t.TempDir(), root: root}
	python, err := s.tool("LAYERSMITH_MINISTACK_PYTHON", ".tools/ministack/bin/python")
	if err != nil {
		t.Fatal(err)
	}

	if s.log, err = os.Create(filepath.Join(s.dir, "ministack.log")); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if s.end != nil {
			s.end()
		}

		s.log.Close()
		if t.Failed() {
			t.Log(s.Logs())
		}
	})
	for attempt := 1; ; attempt++ {
		if err = s.start(python); err == nil {
			return s
		}

		if attempt == startAttempts {
			t.Fatalf("start the emulator: %v", err)
		}
	}
}

func (s *Stack) start(python string) error {
	port, err := freePort()
	if err != nil {
		return err
	}

	s.endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
	temp := filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return err
	}

	// -I: the script's own folder and the user's packages stay out of Python's path.
	cmd := exec.Command(python, "-I", filepath.Join(s.root, "internal", "testenv", "emulator", "ministack.py"))
	cmd.Dir = s.dir
	cmd.Stdout = s.log
	cmd.Stderr = s.log
	cmd.Env = append(
		os.Environ(),
		"GATEWAY_PORT="+strconv.Itoa(port),
		"BIND_HOST=127.0.0.1",
		"MINISTACK_HOST=127.0.0.1",
		"AWS_ENDPOINT_URL="+s.endpoint,
		"MINISTACK_ACCOUNT_ID="+Account,
		"MINISTACK_REGION="+Region,
		"AWS_ACCESS_KEY_ID="+Account,
		"AWS_SECRET_ACCESS_KEY=test",
		"AWS_SESSION_TOKEN=",
		"IOT_MTLS_ENABLED=0",
		"SFTP_ENABLED=0",
		"PERSIST_STATE=0",
		"LAMBDA_EXECUTOR=local",
		"TMPDIR="+temp,
	)
	cmd.Env = append(cmd.Env, interpreters()...)
	input, err := cmd.StdinPipe() // the emulator ends with it
	if err != nil {
		return err
	}

	if err := cmd.Start(); err != nil {
		return err
	}

	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := s.awaitHealth(ended); err != nil {
		input.Close()
		return err
	}

	s.end = func() {
		input.Close()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	}
	return nil
}

func (s *Stack) awaitHealth(ended chan error) error {
	timeout := time.After(startTimeout)
	for {
		response, err := http.Get(s.endpoint + "/_ministack/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}

		select {
		case err := <-ended:
			return fmt.Errorf("it ended: %w\n%s", err, s.Logs())
		case <-timeout:
			return fmt.Errorf("it does not answer after %v\n%s", startTimeout, s.Logs())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Endpoint is the URL of every AWS service.
func (s *Stack) Endpoint() string { return s.endpoint }

// AWSConfig is for clients of the SDK.
func (s *Stack) AWSConfig() aws.Config {
	return aws.Config{
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider(Account, "test", ""),
		BaseEndpoint: aws.String(s.endpoint),
	}
}

// Env is the process's environment with variables for the emulator. Profiles and roles of this
// machine are not read.
func (s *Stack) Env() []string {
	return append(
		os.Environ(),
		"AWS_ENDPOINT_URL="+s.endpoint,
		"AWS_ENDPOINT_URL_S3="+s.endpoint,
		"AWS_REGION="+Region,
		"AWS_DEFAULT_REGION="+Region,
		"AWS_ACCESS_KEY_ID="+Account,
		"AWS_SECRET_ACCESS_KEY=test",
		"AWS_SESSION_TOKEN=",
		"AWS_PROFILE=",
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	)
}

// Logs are the last parts of the logs of the emulator and of each build.
func (s *Stack) Logs() string {
	var b strings.Builder
	builds, _ := filepath.Glob(filepath.Join(s.dir, "builds", "*.log"))
	for _, path := range append([]string{s.log.Name()}, builds...) {
		content, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(&b, err)
			continue
		}

		fmt.Fprintf(&b, "== %s\n%s\n", filepath.Base(path), content[max(0, len(content)-logTailBytes):])
	}

	return b.String()
}

// Outputs are those of the stacks of an app, by stack and name.
type Outputs map[string]map[string]string

// Deploy deploys a synthesized app (the folder cdk.out) with the CDK's real command line, after
// `cdk bootstrap` the first time. args are further ones of `cdk deploy`.
func (s *Stack) Deploy(ctx context.Context, cdkOut string, args ...string) (Outputs, error) {
	cdkOut, err := filepath.Abs(cdkOut)
	if err != nil {
		return nil, err
	}

	s.bootstrap.Do(func() {
		s.bootstrapErr = s.cdk(ctx, "bootstrap", "aws://"+Account+"/"+Region)
	})
	if s.bootstrapErr != nil {
		return nil, s.bootstrapErr
	}

	path := filepath.Join(s.dir, "outputs.json")
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}

	deploy := []string{"deploy", "--all", "--app", cdkOut, "--require-approval", "never", "--outputs-file", path}
	if err := s.cdk(ctx, append(deploy, args...)...); err != nil {
		return nil, err
	}

	outputs := Outputs{}
	document, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return outputs, nil
	}

	if err != nil {
		return nil, err
	}

	return outputs, json.Unmarshal(document, &outputs)
}

// Destroy destroys the app's stacks.
func (s *Stack) Destroy(ctx context.Context, cdkOut string) error {
	cdkOut, err := filepath.Abs(cdkOut)
	if err != nil {
		return err
	}

	return s.cdk(ctx, "destroy", "--all", "--app", cdkOut, "--force")
}

func (s *Stack) cdk(ctx context.Context, args ...string) error {
	program, err := s.tool("LAYERSMITH_CDK", ".tools/node/node_modules/.bin/cdk")
	if err != nil {
		return err
	}

	empty, err := os.MkdirTemp(s.dir, "cdk") // elsewhere the CDK would synthesize the app that it finds
	if err != nil {
		return err
	}

	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append([]string{"--no-notices", "--ci"}, args...)...)
	cmd.Dir = empty
	cmd.Env = append(
		s.Env(),
		"HOME="+empty,
		"CDK_DISABLE_CLI_TELEMETRY=1",
		"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20",
		"NO_COLOR=1",
	)
	cmd.Stdout = &output
	cmd.Stderr = &output
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	fmt.Fprintf(s.log, "cdk %s\n", strings.Join(args, " "))
	if _, err := io.Copy(s.log, bytes.NewReader(output.Bytes())); err != nil {
		return err
	}

	if err != nil {
		return fmt.Errorf("cdk %s: %w\n%s", args[0], err, output.String())
	}

	return nil
}

// tool is a program that `make tools` installs, or the one that the variable names.
func (s *Stack) tool(variable, path string) (string, error) {
	if named := os.Getenv(variable); named != "" {
		return named, nil
	}

	path = filepath.Join(s.root, filepath.FromSlash(path))
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find a tool of the tests: %w\nhint: run: make tools", err)
	}

	return path, nil
}

// freePort is a port of 127.0.0.1 that nobody listens on.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}

	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// interpreters are variables with this machine's interpreter of each runtime, for example
// LAYERSMITH_PYTHON_3_13 for python3.13. Those that are set already are left out.
func interpreters() []string {
	findPythons.Do(func() {
		for _, version := range pythons {
			variable := "LAYERSMITH_PYTHON_" + strings.ReplaceAll(version, ".", "_")
			if os.Getenv(variable) != "" {
				continue
			}

			if python, err := host.PythonOf(version); err == nil {
				foundPythons = append(foundPythons, variable+"="+python.Path)
			}
		}
	})
	return foundPythons
}

var (
	findPythons  sync.Once
	foundPythons []string
)
