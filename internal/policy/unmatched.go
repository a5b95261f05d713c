package policy

import "slices"

// Unmatched are the choices that match none of the files.
func Unmatched(choices []Choice, files []string) []Choice {
	var out []Choice
	for _, c := range choices {
		p, err := compile([]string{c.Match})
		if err != nil || !slices.ContainsFunc(files, p.match) {
			out = append(out, c)
		}
	}

	return out
}
