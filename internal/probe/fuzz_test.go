package probe

import (
	"testing"
)

// For any response the loop of requests ends, and each job has one result.
func FuzzOpenResponse(f *testing.F) {
	jobs := []Job{{Kind: Module, Name: "a"}, {Kind: Metadata, Name: "b"}, {Kind: Script, Name: "c", Source: "import a"}}
	q := NewRequest(jobs, []string{"a"})
	for _, s := range []string{
		`{
			"interpreter": "cpython-3.13.7",
			"results": [
				{"kind": "module", "name": "a", "ok": true},
				{"kind": "metadata", "name": "b", "ok": true},
				{"kind": "script", "name": "c", "ok": false, "detail": "x"}
			],
			"remaining": 0,
			"import": {"modules": ["a"], "seconds": 0.1, "peakBytes": 5}
		}`,
		`{
			"interpreter": "cpython-3.13.7",
			"results": [{"kind": "module", "name": "a", "ok": true}],
			"remaining": 2,
			"import": null
		}`,
		`{"interpreter": "x", "results": [], "remaining": 3, "import": null}`,
		`{"interpreter": "x", "results": null, "remaining": -1}`,
		`{"results": []}`,
		`{} {}`,
		`null`,
		``,
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, doc []byte) {
		left := q
		results := 0
		for n := 0; ; n++ {
			if n > len(q.Jobs)+1 {
				t.Fatal("the requests do not end")
			}

			a, err := OpenResponse(doc, left)
			if err != nil {
				if err.Error() == "" {
					t.Error("the error has no text")
				}

				return
			}

			for i, r := range a.Results {
				if want := left.Jobs[i]; r.Kind != want.Kind || r.Name != want.Name || r.Source != want.Source {
					t.Fatalf("result %d is of %v, want %v", i, r.Job, want)
				}
			}

			results += len(a.Results)

			var more bool
			if left, more = left.After(a); !more {
				break
			}
		}

		if results != len(q.Jobs) {
			t.Errorf("%d results for %d jobs", results, len(q.Jobs))
		}
	})
}
