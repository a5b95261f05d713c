package ziptree

import (
	"archive/zip"
	"bytes"
	"testing"
	"testing/fstest"
)

// Lambda's user is not the owner of the files. Zips that were not made on Unix have no modes.
func TestFilesThatOnlyTheirOwnerReads(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	const unix = 3 << 8
	for name, h := range map[string]zip.FileHeader{
		"open":    {CreatorVersion: unix, ExternalAttrs: 0o100644 << 16},
		"private": {CreatorVersion: unix, ExternalAttrs: 0o100600 << 16},
		"nobody":  {CreatorVersion: unix},
		"dos":     {},
	} {
		h.Name = name
		if _, err := z.CreateHeader(&h); err != nil {
			t.Fatal(err)
		}
	}

	if err := z.Close(); err != nil {
		t.Fatal(err)
	}

	zipped, err := Read(bytes.NewReader(b.Bytes()), int64(b.Len()), "test")
	if err != nil {
		t.Fatal(err)
	}

	folder, err := ReadFolder(fstest.MapFS{
		"open": {Mode: 0o644}, "private": {Mode: 0o600}, "nobody": {}, "dos": {Mode: 0o666},
	}, "test")
	if err != nil {
		t.Fatal(err)
	}

	for _, tree := range []Tree{zipped, folder} {
		for _, e := range tree.Entries() {
			if want := e.Name == "private" || e.Name == "nobody"; e.Closed != want {
				t.Errorf("%s: %v", e.Name, e.Closed)
			}
		}
	}
}
