package gate

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// modes finds files that Lambda's user cannot read. Layers that Layersmith writes have none.
func modes(in Input) []Finding {
	n := 0
	first := ""
	for _, e := range in.Tree.Entries() {
		if !in.AsItIs || !e.Closed {
			continue
		}

		if n++; n == 1 {
			first = e.Name
		}
	}

	if n == 0 {
		return nil
	}

	text := fmt.Sprintf("and %d more files can be read by their owner only, or by nobody: Lambda runs as another user",
		n-1)
	if n == 1 {
		text = "can be read by its owner only, or by nobody: Lambda runs as another user"
	}

	return []Finding{{
		Subject: first,
		Check:   "modes",
		Message: text,
		Hint:    "run chmod -R a+rX before zipping, or: layersmith prune, which repairs it",
	}}
}

var sitePackages = regexp.MustCompile(`^(.*/)?lib/(python3\.\d+)/site-packages/$`)

// layout finds distributions outside of the folder that Python looks in, beside those that are
// right.
func layout(in Input) (found []Finding) {
	if !in.AsItIs {
		return nil
	}

	count := map[string]int{}
	var folders []string
	for _, e := range in.Tree.Entries() {
		folder, ok := misplaced(in, e.Name)
		if !ok {
			continue
		}

		if count[folder]++; count[folder] == 1 {
			folders = append(folders, folder)
		}
	}

	for _, folder := range folders {
		name := folder
		if name == "" {
			name = "the root of the zip"
		}

		things := "distributions lie"
		if count[folder] == 1 {
			things = "distribution lies"
		}

		found = append(found, Finding{
			Subject: in.Name,
			Check:   "layout",
			Message: fmt.Sprintf("%d %s in %s, where %s does not look",
				count[folder], things, name, in.Target.Runtime()),
			Hint: "move what is there into " + in.Prefix + ", and zip again",
		})
	}

	return found
}

// misplaced returns the folder of a distribution that METADATA shows to be in a wrong place.
func misplaced(in Input, name string) (folder string, ok bool) {
	dir, file := path.Split(name)
	if file != "METADATA" || !strings.HasSuffix(dir, ".dist-info/") {
		return "", false
	}

	folder, _ = path.Split(strings.TrimSuffix(dir, "/"))
	if m := sitePackages.FindStringSubmatch(folder); m != nil {
		return folder, m[1] != "python/" || m[2] != in.Target.Runtime()
	}

	return folder, !strings.HasPrefix(folder, in.Prefix)
}
