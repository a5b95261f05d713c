package porttest

import (
	"context"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// LayerVersions is the suite of workflow.LayerVersions.
func LayerVersions(t *testing.T, open func(t *testing.T) Account) {
	ctx := context.Background()
	const name = "layersmith-data-python3_13-x86_64"
	numbers := func(t *testing.T, a Account) (got []int64) {
		t.Helper()
		for _, v := range must(a.LayerVersions.List(ctx, name))(t) {
			got = append(got, v.Version)
		}

		return got
	}
	expect := func(t *testing.T, a Account, want ...int64) {
		t.Helper()
		got := numbers(t, a)
		if len(got) != len(want) {
			t.Fatalf("versions %v, want %v", got, want)
		}

		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("versions %v, want %v", got, want)
			}
		}
	}

	t.Run("a layer that nobody published has no versions", func(t *testing.T) {
		if got := numbers(t, open(t)); len(got) != 0 {
			t.Fatalf("versions %v", got)
		}
	})

	t.Run("what was published is read back, with the digest of its zip", func(t *testing.T) {
		a := open(t)
		zip := zipped(t, "python/a.py=1")
		made := must(
			a.LayerVersions.Publish(ctx, workflow.NewLayerVersion{
				LayerName:   name,
				Description: "lock 1a2b",
				Target:      suiteTarget(t),
				License:     "MIT",
				Zip:         a.upload(t, zip),
			}),
		)(t)
		if made.Version != 1 || made.LayerName != name || made.Description != "lock 1a2b" ||
			made.CodeSHA256 != codeSHA256(zip) ||
			made.Created.IsZero() ||
			!strings.HasSuffix(made.ARN, ":layer:"+name+":1") {
			t.Fatalf("published %+v", made)
		}

		if got := must(a.LayerVersions.Get(ctx, made.ARN))(t); got != made {
			t.Fatalf("read %+v, published %+v", got, made)
		}

		listed := made
		listed.CodeSHA256 = ""
		if all := must(a.LayerVersions.List(ctx, name))(t); len(all) != 1 || all[0] != listed {
			t.Fatalf("listed %+v, want %+v", all, listed)
		}
	})

	t.Run("versions are listed newest first, of one layer only", func(t *testing.T) {
		a := open(t)
		for _, file := range []string{"a=1", "a=2", "a=3"} {
			addLayer(t, a, name, file)
		}

		addLayer(t, a, name+"-other", "a=1")
		expect(t, a, 3, 2, 1)
	})

	t.Run("the same zip again is another version", func(t *testing.T) {
		a := open(t)
		addLayer(t, a, name, "a=1")
		addLayer(t, a, name, "a=1")
		expect(t, a, 2, 1)
	})

	t.Run("an object that is not there publishes nothing", func(t *testing.T) {
		a := open(t)
		ref := a.upload(t, zipped(t, "a=1"))
		ref.Key += ".other"
		_, err := a.LayerVersions.Publish(ctx, workflow.NewLayerVersion{LayerName: name, Target: suiteTarget(t), Zip: ref})
		fails(t, "publish", err, fault.BadInput)
		expect(t, a)
	})

	t.Run("another version of the object publishes nothing", func(t *testing.T) {
		a := open(t)
		ref := a.upload(t, zipped(t, "a=1"))
		ref.VersionID = "0123456789abcdef"
		_, err := a.LayerVersions.Publish(ctx, workflow.NewLayerVersion{LayerName: name, Target: suiteTarget(t), Zip: ref})
		fails(t, "publish", err, fault.BadInput)
		expect(t, a)
	})

	t.Run("bytes that are no zip publish nothing", func(t *testing.T) {
		a := open(t)
		_, err := a.LayerVersions.Publish(ctx,
			workflow.NewLayerVersion{LayerName: name, Target: suiteTarget(t), Zip: a.upload(t, pattern(100))})
		fails(t, "publish", err, fault.BadInput)
		expect(t, a)
	})

	t.Run("a description of 256 characters fits, one more does not", func(t *testing.T) {
		a := open(t)
		v := workflow.NewLayerVersion{
			LayerName:   name,
			Target:      suiteTarget(t),
			Zip:         a.upload(t, zipped(t, "a=1")),
			Description: string(pattern(256)),
		}
		if got := must(a.LayerVersions.Publish(ctx, v))(t); got.Description != v.Description {
			t.Fatalf("description %q", got.Description)
		}

		v.Description += "x"
		_, err := a.LayerVersions.Publish(ctx, v)
		fails(t, "publish", err, fault.BadInput)
		expect(t, a, 1)
	})

	t.Run("a version that is not there is NotFound", func(t *testing.T) {
		a := open(t)
		v := addLayer(t, a, name, "a=1")
		_, err := a.LayerVersions.Get(ctx, strings.TrimSuffix(v.ARN, "1")+"7")
		fails(t, "get", err, fault.NotFound)
	})

	t.Run("what is no ARN of a version is BadInput", func(t *testing.T) {
		a := open(t)
		_, err := a.LayerVersions.Get(ctx, "arn:aws:lambda:us-east-1:123456789012:layer:x")
		fails(t, "get", err, fault.BadInput)
		fails(t, "delete", a.LayerVersions.Delete(ctx, name), fault.BadInput)
	})

	t.Run("a version is weighed unzipped", func(t *testing.T) {
		a := open(t)
		v := addLayer(t, a, name, "python/a.py="+strings.Repeat("0", 100_000))
		if got := must(a.LayerVersions.Unzipped(ctx, v.ARN))(t); got != 100_000 {
			t.Fatalf("%d bytes, want 100000", got)
		}

		_, err := a.LayerVersions.Unzipped(ctx, strings.TrimSuffix(v.ARN, "1")+"7")
		fails(t, "version 7", err, fault.NotFound)
		_, err = a.LayerVersions.Unzipped(ctx, name)
		fails(t, "a name", err, fault.BadInput)
	})

	t.Run("a version can be shared with an organization and an account, also again", func(t *testing.T) {
		a := open(t)
		v := addLayer(t, a, name, "a=1")
		for _, with := range []string{"o-abcde12345", "210987654321", "o-abcde12345"} {
			if err := a.LayerVersions.Share(ctx, v, with); err != nil {
				t.Fatalf("share with %s: %v", with, err)
			}
		}

		for _, with := range []string{"", "*", "o-x", "12345", "arn:aws:iam::210987654321:root"} {
			fails(t, "share with "+with, a.LayerVersions.Share(ctx, v, with), fault.BadInput)
		}
	})

	t.Run("a version that is not there cannot be shared", func(t *testing.T) {
		a := open(t)
		v := addLayer(t, a, name, "a=1")
		if err := a.LayerVersions.Delete(ctx, v.ARN); err != nil {
			t.Fatal(err)
		}

		fails(t, "share", a.LayerVersions.Share(ctx, v, "210987654321"), fault.NotFound)
	})

	t.Run(
		"a deleted version is gone, its number is not used again, and deleting it again is no error",
		func(t *testing.T) {
			a := open(t)
			addLayer(t, a, name, "a=1")
			v := addLayer(t, a, name, "a=2")
			for range 2 {
				if err := a.LayerVersions.Delete(ctx, v.ARN); err != nil {
					t.Fatal(err)
				}
			}

			expect(t, a, 1)
			_, err := a.LayerVersions.Get(ctx, v.ARN)
			fails(t, "get", err, fault.NotFound)
			if again := addLayer(t, a, name, "a=3"); again.Version != 3 {
				t.Fatalf("version %d, want 3", again.Version)
			}
		},
	)

	t.Run("a version of another account is never taken for one's own", func(t *testing.T) {
		a := open(t)
		arn, err := release.ParseARN(addLayer(t, a, name, "a=1").ARN)
		if err != nil {
			t.Fatal(err)
		}

		arn.Account = "999999999999"
		fails(t, "delete", a.LayerVersions.Delete(ctx, arn.String()), fault.BadInput)
		expect(t, a, 1)
	})

	t.Run("a canceled call does nothing", func(t *testing.T) {
		a := open(t)
		v := addLayer(t, a, name, "a=1")
		stop, cancel := context.WithCancel(ctx)
		cancel()
		fails(t, "delete", a.LayerVersions.Delete(stop, v.ARN), fault.Canceled)
		expect(t, a, 1)
	})
}
