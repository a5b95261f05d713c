package scripts

import (
	"flag"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/layersmith/layersmith/internal/testenv/binaries"
)

// binary [-soname NAME] [-needed NAME,...] [-text TEXT] [-interp PATH] [-symbols BYTES] [-section
// NAME] [-append TEXT] KIND FILE...: writes programs or libraries. Kinds: x86_64, arm64 (libraries;
// with -interp programs, which are executable), and those of binaries.Foreign.
func makeBinary(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	flags := flag.NewFlagSet("binary", flag.ContinueOnError)
	var e binaries.ELF
	flags.StringVar(&e.Soname, "soname", "", "")
	flags.StringVar(&e.Interp, "interp", "", "")
	flags.StringVar(&e.Text, "text", "", "")
	flags.StringVar(&e.Section, "section", "", "")
	flags.IntVar(&e.Symbols, "symbols", 0, "")
	needed := flags.String("needed", "", "")
	after := flags.String("append", "", "")
	ts.Check(flags.Parse(args))
	if flags.NArg() < 2 {
		ts.Fatalf("usage: binary [options] kind file...")
	}

	if *needed != "" {
		e.Needed = strings.Split(*needed, ",")
	}

	var b []byte
	switch e.Machine = flags.Arg(0); e.Machine {
	case "x86_64", "arm64":
		b = e.Bytes()
	default:
		var err error
		b, err = binaries.Foreign(e.Machine)
		ts.Check(err)
	}

	mode := os.FileMode(0o644)
	if e.Interp != "" {
		mode = 0o755
	}

	for _, file := range flags.Args()[1:] {
		ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(file)), 0o755))
		ts.Check(os.WriteFile(ts.MkAbs(file), append(b, *after...), mode))
	}
}
