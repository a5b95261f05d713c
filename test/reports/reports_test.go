// Package reports repeats what users of this and of other tools have reported, each as a script
// with the smallest input that shows it and the right answer. A script is named by its number and
// what was wrong.
package reports

import (
	"testing"

	"github.com/layersmith/layersmith/internal/testenv/scripts"
)

func TestMain(m *testing.M) { scripts.Main(m) }

func TestReports(t *testing.T) { scripts.Run(t, ".") }
