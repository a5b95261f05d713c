package cli_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/testenv/scripts"
)

func TestMain(m *testing.M) { scripts.Main(m) }

// TestScript runs the real main on synthetic wheels.
func TestScript(t *testing.T) { scripts.Run(t, "testdata/script") }
