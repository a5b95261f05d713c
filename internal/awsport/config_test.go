package awsport_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/testenv/s3server"
)

// account points the SDK's environment at files of the test and nothing of the machine.
func account(t *testing.T, config string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}

	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
}

const profiles = `
[default]
region = eu-central-1
aws_access_key_id = id
aws_secret_access_key = secret
[profile other]
region = eu-west-3
`

func TestConfigTakesRegionAndProfile(t *testing.T) {
	for name, c := range map[string]struct {
		options awsport.Options
		region  string
		code    fault.Code
		hint    string
	}{
		"the default profile":     {awsport.Options{}, "eu-central-1", "", ""},
		"a profile that is named": {awsport.Options{Profile: "other"}, "eu-west-3", "", ""},
		"a region that is named, over the profile": {
			awsport.Options{Profile: "other", Region: "us-east-1"},
			"us-east-1",
			"",
			"",
		},
		"a profile that is not there": {
			awsport.Options{Profile: "none"},
			"",
			fault.BadInput,
			"name a profile of ~/.aws/config",
		},
	} {
		t.Run(name, func(t *testing.T) {
			account(t, profiles)
			cfg, err := awsport.Config(t.Context(), c.options)
			if c.code != "" {
				wantFault(t, err, c.code)
				if !strings.Contains(fault.HintOf(err), c.hint) {
					t.Errorf("hint %q", fault.HintOf(err))
				}

				return
			}

			if err != nil || cfg.Region != c.region {
				t.Errorf("region %q, %v; want %q", cfg.Region, err, c.region)
			}
		})
	}

	t.Run("no region anywhere", func(t *testing.T) {
		account(t, "")
		_, err := awsport.Config(t.Context(), awsport.Options{})
		wantFault(t, err, fault.BadInput)
		if !strings.Contains(fault.HintOf(err), "AWS_REGION") {
			t.Errorf("hint %q", fault.HintOf(err))
		}
	})
}

func TestConfigSendsNothingBeforeItIsUsed(t *testing.T) {
	account(t, profiles)
	var requests atomic.Int32
	var agent atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		agent.Store(r.UserAgent())
		s3server.Refuse(w, 500, "InternalError", "no")
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
	cfg, err := awsport.Config(t.Context(), awsport.Options{Version: "1.2.3", Attempts: 3})
	if err != nil {
		t.Fatal(err)
	}

	c := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if n := requests.Load(); n != 0 {
		t.Fatalf("%d requests", n)
	}

	_, _, err = awsport.Registers{Client: c, Bucket: testBucket}.Load(t.Context(), "state/lease.json")
	wantFault(t, err, fault.Unreachable)
	if n := requests.Load(); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}

	if a, _ := agent.Load().(string); !strings.Contains(a, " layersmith/1.2.3") ||
		!strings.Contains(a, "aws-sdk-go-v2") {
		t.Errorf("user agent %q", a)
	}
}

func TestConfigRetriesAdaptively(t *testing.T) {
	account(t, profiles)
	cfg, err := awsport.Config(t.Context(), awsport.Options{})
	if err != nil {
		t.Fatal(err)
	}

	if got := cfg.Retryer().MaxAttempts(); got != awsport.MaxAttempts {
		t.Errorf("%d attempts, want %d", got, awsport.MaxAttempts)
	}

	if _, ok := cfg.Retryer().(*retry.AdaptiveMode); !ok {
		t.Errorf("retries by %T", cfg.Retryer())
	}
}
