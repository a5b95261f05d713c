package workspace

import (
	"fmt"
	"path"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
)

// place is the key of a name in Layer.places: the key of layer.yaml under which it is, and the
// name.
func placeKey(key, name string) string { return key + "\x00" + name }

// note remembers where layer.yaml names something.
func (l *Layer) note(key, name string, v value) {
	if l.places == nil {
		l.places = map[string]string{}
	}

	l.places[placeKey(key, name)] = fmt.Sprintf("%s:%d", v.doc.file, v.line)
}

// Where is the place in layer.yaml of a name in the list of a key: "layers/main/layer.yaml:3". Of a
// name that was not read from there, it is the file.
func (l Layer) Where(key, name string) string {
	if at, ok := l.places[placeKey(key, name)]; ok {
		return at
	}

	for _, at := range l.places {
		file, _, _ := strings.Cut(at, ".yaml:")
		return file + ".yaml"
	}

	return path.Join(l.Name, "layer.yaml")
}

// noted is texts, and remembers where each of them is.
func (l *Layer) noted(key string, v value) []string {
	var out []string
	for _, item := range v.each() {
		if s, ok := item.scalar(); ok {
			out = append(out, s)
			l.note(key, s, item)
		}
	}

	return out
}

// maxListed is how many known words a hint lists.
const maxListed = 12

// Suggest is a hint with the known word most similar to s, whatever its case, or with the known
// words when they are few. "" when there are none.
func Suggest(s string, known []string) string {
	if word := Similar(s, known); word != "" {
		return fmt.Sprintf("did you mean %q?", word)
	}

	switch {
	case len(known) == 0:
		return ""
	case len(known) > maxListed:
		return fmt.Sprintf("%d are known, for example %s", len(known), strings.Join(known[:maxListed], ", "))
	}

	return "known: " + strings.Join(known, ", ")
}

// Similar is the known word most similar to s, whatever its case; "" when none is similar.
func Similar(s string, known []string) string {
	best := ""
	distance := len(s)/2 + 1
	for _, k := range known {
		if d := levenshtein(strings.ToLower(s), strings.ToLower(k)); d < distance {
			best = k
			distance = d
		}
	}

	return best
}

// withoutList finds rules that a layer enables although they need a list from it, which it does not
// give: they would do nothing.
func (l *loader) withoutList(layer Layer) {
	book, err := policy.Builtin()
	if err != nil {
		return // the layer's rules have reported it
	}

	for _, r := range book {
		if s, ok := layer.Policy.Rules[r.ID]; !ok || !s.Enabled || layer.Policy.Enables(r) {
			continue
		}

		l.find(layer.Where("rules", r.ID), fmt.Sprintf("rule %s does nothing without %s", r.ID, r.Select.From),
			fmt.Sprintf("list what to keep: %s in layer.yaml; that enables the rule", r.Select.From))
	}
}
