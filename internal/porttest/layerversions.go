package porttest

import (
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// LayerVersions is the suite of workflow.LayerVersions.
func LayerVersions(t *testing.T, open func(t *testing.T) Account) {
	start := func(t *testing.T) layerVersionsTest { return layerVersionsTest{accountTest{t, open(t)}} }
	runTests(t, start, []namedTest[layerVersionsTest]{
		{"a layer that was never published has no versions", layerVersionsTest.noVersions},
		{"a published version is read back with the digest of its zip", layerVersionsTest.readBack},
		{"versions of one layer are listed newest first", layerVersionsTest.newestFirst},
		{"the same zip again is another version", layerVersionsTest.sameZip},
		{"an absent object is not published", layerVersionsTest.absentObject},
		{"an absent version of the object is not published", layerVersionsTest.absentObjectVersion},
		{"bytes that are not a zip are not published", layerVersionsTest.notZip},
		{"a description has at most 256 characters", layerVersionsTest.longDescription},
		{"an absent version is NotFound", layerVersionsTest.absentVersion},
		{"text that is not the ARN of a version is BadInput", layerVersionsTest.notARN},
		{"Unzipped returns the size of the files", layerVersionsTest.unzippedSize},
		{"a version is shared with an organization and an account, also again", layerVersionsTest.share},
		{"an absent version cannot be shared", layerVersionsTest.shareAbsent},
		{"a deleted version is gone and its number is not used again", layerVersionsTest.deleteVersion},
		{"a version of another account is not deleted", layerVersionsTest.deleteInOtherAccount},
		{"a canceled call changes nothing", layerVersionsTest.canceled},
	})
}

// layerName is the layer that the suite publishes.
const layerName = "layersmith-data-python3_13-x86_64"

type layerVersionsTest struct{ accountTest }

// add publishes a version of layerName.
func (l layerVersionsTest) add(file string) workflow.LayerVersion {
	l.Helper()
	return l.addLayer(layerName, file)
}

// fails expects that a version cannot be published.
func (l layerVersionsTest) fails(v workflow.NewLayerVersion) {
	l.Helper()
	v.LayerName = layerName
	v.Target = l.target()
	_, err := l.LayerVersions.Publish(l.Context(), v)
	wantFault(l, "publish", err, fault.BadInput)
}

// wantVersions compares the numbers of the listed versions.
func (l layerVersionsTest) wantVersions(want ...int64) {
	l.Helper()
	var got []int64
	for _, v := range must(l.LayerVersions.List(l.Context(), layerName))(l) {
		got = append(got, v.Version)
	}

	if !slices.Equal(got, want) {
		l.Fatalf("versions %v, want %v", got, want)
	}
}

func (l layerVersionsTest) noVersions() { l.wantVersions() }

func (l layerVersionsTest) readBack() {
	zip := zipOf(l, "python/a.py=1")
	made := must(l.LayerVersions.Publish(l.Context(), workflow.NewLayerVersion{
		LayerName:   layerName,
		Description: "lock 1a2b",
		Target:      l.target(),
		License:     "MIT",
		Zip:         l.upload(zip),
	}))(l)
	want := workflow.LayerVersion{
		ARN:         made.ARN,
		LayerName:   layerName,
		Version:     1,
		Description: "lock 1a2b",
		CodeSHA256:  codeSHA256(zip),
		Created:     made.Created,
	}
	if made != want || made.Created.IsZero() || !strings.HasSuffix(made.ARN, ":layer:"+layerName+":1") {
		l.Fatalf("published %+v", made)
	}

	if got := must(l.LayerVersions.Get(l.Context(), made.ARN))(l); got != made {
		l.Fatalf("read %+v, published %+v", got, made)
	}

	want.CodeSHA256 = "" // List does not return it
	if all := must(l.LayerVersions.List(l.Context(), layerName))(l); len(all) != 1 || all[0] != want {
		l.Fatalf("listed %+v, want %+v", all, want)
	}
}

func (l layerVersionsTest) newestFirst() {
	l.add("a=1")
	l.add("a=2")
	l.add("a=3")
	l.addLayer(layerName+"-other", "a=1")
	l.wantVersions(3, 2, 1)
}

func (l layerVersionsTest) sameZip() {
	l.add("a=1")
	l.add("a=1")
	l.wantVersions(2, 1)
}

func (l layerVersionsTest) absentObject() {
	ref := l.upload(zipOf(l, "a=1"))
	ref.Key += ".other"
	l.fails(workflow.NewLayerVersion{Zip: ref})
	l.wantVersions()
}

func (l layerVersionsTest) absentObjectVersion() {
	ref := l.upload(zipOf(l, "a=1"))
	ref.VersionID = "0123456789abcdef"
	l.fails(workflow.NewLayerVersion{Zip: ref})
	l.wantVersions()
}

func (l layerVersionsTest) notZip() {
	l.fails(workflow.NewLayerVersion{Zip: l.upload(pattern(100))})
	l.wantVersions()
}

func (l layerVersionsTest) longDescription() {
	v := workflow.NewLayerVersion{
		LayerName:   layerName,
		Target:      l.target(),
		Zip:         l.upload(zipOf(l, "a=1")),
		Description: string(pattern(256)),
	}
	if got := must(l.LayerVersions.Publish(l.Context(), v))(l); got.Description != v.Description {
		l.Fatalf("description %q", got.Description)
	}

	v.Description += "x"
	l.fails(v)
	l.wantVersions(1)
}

func (l layerVersionsTest) absentVersion() {
	_, err := l.LayerVersions.Get(l.Context(), absent(l.add("a=1")))
	wantFault(l, "get", err, fault.NotFound)
}

func (l layerVersionsTest) notARN() {
	_, err := l.LayerVersions.Get(l.Context(), "arn:aws:lambda:us-east-1:123456789012:layer:x")
	wantFault(l, "get", err, fault.BadInput)
	wantFault(l, "delete", l.LayerVersions.Delete(l.Context(), layerName), fault.BadInput)
}

func (l layerVersionsTest) unzippedSize() {
	v := l.add("python/a.py=" + strings.Repeat("0", 100_000))
	if got := must(l.LayerVersions.Unzipped(l.Context(), v.ARN))(l); got != 100_000 {
		l.Fatalf("%d bytes, want 100000", got)
	}

	_, err := l.LayerVersions.Unzipped(l.Context(), absent(v))
	wantFault(l, "an absent version", err, fault.NotFound)
	_, err = l.LayerVersions.Unzipped(l.Context(), layerName)
	wantFault(l, "a name", err, fault.BadInput)
}

func (l layerVersionsTest) share() {
	v := l.add("a=1")
	for _, with := range []string{"o-abcde12345", "210987654321", "o-abcde12345"} {
		if err := l.LayerVersions.Share(l.Context(), v, with); err != nil {
			l.Fatalf("share with %s: %v", with, err)
		}
	}

	for _, with := range []string{"", "*", "o-x", "12345", "arn:aws:iam::210987654321:root"} {
		wantFault(l, "share with "+with, l.LayerVersions.Share(l.Context(), v, with), fault.BadInput)
	}
}

func (l layerVersionsTest) shareAbsent() {
	v := l.add("a=1")
	succeeds(l, l.LayerVersions.Delete(l.Context(), v.ARN))
	wantFault(l, "share", l.LayerVersions.Share(l.Context(), v, "210987654321"), fault.NotFound)
}

func (l layerVersionsTest) deleteVersion() {
	l.add("a=1")
	v := l.add("a=2")
	succeeds(l, l.LayerVersions.Delete(l.Context(), v.ARN))
	succeeds(l, l.LayerVersions.Delete(l.Context(), v.ARN))
	l.wantVersions(1)

	_, err := l.LayerVersions.Get(l.Context(), v.ARN)
	wantFault(l, "get", err, fault.NotFound)
	if next := l.add("a=3"); next.Version != 3 {
		l.Fatalf("version %d, want 3", next.Version)
	}
}

func (l layerVersionsTest) deleteInOtherAccount() {
	arn := must(release.ParseARN(l.add("a=1").ARN))(l)
	arn.Account = "999999999999"
	wantFault(l, "delete", l.LayerVersions.Delete(l.Context(), arn.String()), fault.BadInput)
	l.wantVersions(1)
}

func (l layerVersionsTest) canceled() {
	v := l.add("a=1")
	wantFault(l, "delete", l.LayerVersions.Delete(canceledContext(l), v.ARN), fault.Canceled)
	l.wantVersions(1)
}
