package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Environ is the environment of a child process that needs nothing of the user: the system's
// programs, a home folder of its own, and the given variables.
func Environ(home string, variables ...string) []string {
	return append([]string{
		"PATH=/usr/bin:/bin",
		"HOME=" + home,
		"TMPDIR=" + os.TempDir(),
		"LANG=C.UTF-8",
	}, variables...)
}

// Main runs the tests of a package that installs from the real package index, for its TestMain. It
// removes settings that could change a result from the environment of this process, and puts the
// folders of UV and Python 3.13 first on PATH. These variables stay:
//
//   - which index, with which credentials, and how to reach it: see indexVariables;
//   - LAYERSMITH_CACHE, so that wheels are downloaded once;
//   - all that do not belong to uv, pip, Python or Layersmith, for example HOME (which has netrc,
//     uv.toml and pip.conf), HTTPS_PROXY, SSL_CERT_FILE and the variables of Go.
func Main(m *testing.M) int {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

	return m.Run()
}

func prepare() error {
	uv, err := UV()
	if err != nil {
		return err
	}

	python, err := PythonOf(preferred[0])
	if err != nil {
		return err
	}

	if err := isolate(); err != nil {
		return err
	}

	path := []string{filepath.Dir(uv), filepath.Dir(python.Path), os.Getenv("PATH")}
	return os.Setenv("PATH", strings.Join(path, string(os.PathListSeparator)))
}

func isolate() error {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if keeps(name) {
			continue
		}

		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}

	return nil
}

// changing are prefixes of the variables that change what uv, pip, Python and Layersmith do.
var changing = []string{
	"UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_", "LAYERSMITH_",
	"SOURCE_DATE_EPOCH", "NO_COLOR", "CLICOLOR", "FORCE_COLOR",
}

// indexVariables are those of uv and pip that name a package index, or that a request to it needs.
var indexVariables = []string{
	"UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY", "UV_INDEX_URL", "UV_NO_INDEX",
	"UV_CACHE_DIR", "UV_CONFIG_FILE", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_CONCURRENT_DOWNLOADS",
	"UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS",
	"UV_PYTHON_INSTALL_DIR", // not of an index: where interpreters are found

	"PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_NO_INDEX",
	"PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CONFIG_FILE", "PIP_DEFAULT_TIMEOUT", "PIP_KEYRING_PROVIDER",
	"PIP_PROXY", "PIP_RETRIES", "PIP_TIMEOUT", "PIP_TRUSTED_HOST",

	"LAYERSMITH_CACHE",
}

func keeps(name string) bool {
	isChanging := slices.ContainsFunc(changing, func(prefix string) bool { return strings.HasPrefix(name, prefix) })

	// UV_INDEX itself, and UV_INDEX_<NAME>_USERNAME and _PASSWORD.
	return !isChanging || slices.Contains(indexVariables, name) || strings.HasPrefix(name, "UV_INDEX")
}
