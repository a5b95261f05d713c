package main

import (
	"archive/zip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
)

// The built-in scripts pass on a pruned layer, and fail without their distribution's data files:
// otherwise they would prove nothing about data.
func TestScriptsNoticeMissingData(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	entries := map[string]entry{}
	for _, e := range entriesOf(t, today) {
		entries[e.Name] = e
	}

	locks, err := filepath.Abs("locks")
	if err != nil {
		t.Fatal(err)
	}

	b := builder(t)
	p := b.Python
	p.Temp = t.TempDir()
	for name, c := range map[string]struct{ data, says string }{
		"babel":             {"babel/global.dat", "data files are not available"},
		"certifi":           {"certifi/cacert.pem", "FileNotFoundError"},
		"django":            {"django/contrib/admin/templates", "TemplateDoesNotExist"},
		"docutils":          {"docutils/writers/html5_polyglot/*.css", "css"},
		"grpcio":            {"grpc/_cython/_credentials", "roots.pem"},
		"lxml":              {"lxml/isoschematron/resources", "isoschematron/resources"},
		"matplotlib":        {"matplotlib/mpl-data/fonts/ttf", "font"},
		"opentelemetry-sdk": {"opentelemetry_sdk-*.dist-info/entry_points.txt", "entry point"},
		"phonenumbers":      {"phonenumbers/data/region_CH.py", "CH"},
		"pycountry":         {"pycountry/databases/iso4217.json", "iso4217"},
		"pyproj":            {"pyproj/proj_dir/share/proj/proj.db", "PROJ data directory"},
		"pytz":              {"pytz/zoneinfo/Europe", "the list of zones is short"},
		"reportlab":         {"reportlab/fonts/Vera*.ttf", "Vera"},
		"tzdata":            {"tzdata/zoneinfo/Asia", "Asia"},
	} {
		t.Run(name, func(t *testing.T) {
			e, ok := entries[name]
			if !ok {
				t.Fatal("it is not in the list")
			}

			lock, err := os.ReadFile(filepath.Join(locks, name+".toml"))
			if err != nil {
				t.Fatal(err)
			}

			l, err := b.Build(t.Context(), t.TempDir(), e.layer("", lock), "--no-probe")
			if err != nil {
				t.Fatal(err)
			}

			mount := t.TempDir()
			unzip(t, l.Zip, mount)
			if failed := failures(t, p, mount, name); len(failed) > 0 {
				t.Fatalf("with all its data: %s says %s", failed[0].Name, failed[0].Detail)
			}

			removeAll(t, filepath.Join(mount, "python", filepath.FromSlash(c.data)))
			failed := failures(t, p, mount, name)
			if len(failed) == 0 {
				t.Fatalf("without %s nothing fails", c.data)
			}

			var said strings.Builder
			for _, f := range failed {
				said.WriteString(f.Detail + "\n")
			}

			if !strings.Contains(said.String(), c.says) {
				t.Errorf("without %s they say nothing of %q:\n%s", c.data, c.says, said.String())
			}
		})
	}
}

// failures runs the scripts of a distribution on a layer and returns those that fail.
func failures(t *testing.T, p localport.Python, mount, distribution string) (failed []probe.Result) {
	t.Helper()
	n, err := pydist.ParseName(distribution)
	if err != nil {
		t.Fatal(err)
	}

	results, err := p.Probe(context.Background(), mount, probe.Scripts(n, pydist.Version{}), func() {})
	if err != nil || len(results) == 0 {
		t.Fatalf("%d scripts ran: %v", len(results), err)
	}

	for _, r := range results {
		if !r.OK {
			failed = append(failed, r)
		}
	}

	return failed
}

// removeAll removes files and folders, of which there must be one.
func removeAll(t *testing.T, glob string) {
	t.Helper()
	found, err := filepath.Glob(glob)
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no %s: %v", glob, err)
	}

	for _, f := range found {
		if err := os.RemoveAll(f); err != nil {
			t.Fatal(err)
		}
	}
}

func unzip(t *testing.T, file, dir string) {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}

		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}

		in.Close()
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
