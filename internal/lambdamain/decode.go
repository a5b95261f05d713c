package lambdamain

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
)

// MaxBytes is how much a function takes and gives: what Step Functions carries between two states.
const MaxBytes = 256 << 10

// decode reads the input strictly.
func decode(raw []byte, into any) error {
	bad := func(hint string, err error) error {
		return fault.New(fault.BadInput, "read", "input", err).WithHint(hint)
	}
	t := reflect.TypeOf(into).Elem()
	if len(raw) > MaxBytes {
		return bad("pass references to documents, not documents",
			fmt.Errorf("%d bytes, at most %d are read", len(raw), MaxBytes))
	}

	var value any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}

		return bad(shapeHint(t), err)
	}

	end := d.InputOffset()
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("pass one JSON value", fmt.Errorf("something follows the JSON value that ends at byte %d", end))
	}

	if value == nil && t.Kind() == reflect.Struct {
		return bad(shapeHint(t), errors.New("it is null"))
	}

	if path, among := foreign(value, t); path != "" {
		return bad("the fields there are "+strings.Join(among, ", "), fmt.Errorf("unknown field %q", path))
	}

	d = json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			at := "it"
			if wrong.Field != "" {
				at = fmt.Sprintf("field %q", wrong.Field)
			}

			err = fmt.Errorf("%s is a JSON %s, want %s", at, wrong.Value, wrong.Type)
		}

		return bad(shapeHint(t), err)
	}

	return nil
}

// foreign finds the first field, in the order of names, that the type does not have in this
// spelling: its path, and the names that are there. The decoder itself knows neither, and takes
// "RUN" for "run". It does not look into what decodes itself, nor where the type says any.
func foreign(value any, t reflect.Type) (path string, among []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}

	if decodesItself(t) {
		return "", nil
	}

	below := func(step string, value any, t reflect.Type) bool {
		path, among = foreign(value, t)
		if path != "" {
			path = step + "." + path
		}

		return path != ""
	}
	switch v := value.(type) {
	case map[string]any:
		fields := map[string]reflect.Type{}
		switch t.Kind() {
		case reflect.Struct:
			fields = fieldsOf(t)
		case reflect.Map:
		default:
			return "", nil // a wrong type, which the decoder says
		}

		for _, name := range slices.Sorted(maps.Keys(v)) {
			of, known := fields[name]
			if t.Kind() == reflect.Map {
				of = t.Elem()
				known = true
			}

			if !known {
				return name, slices.Sorted(maps.Keys(fields))
			}

			if below(name, v[name], of) {
				return path, among
			}
		}
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return "", nil
		}

		for i, element := range v {
			if below(fmt.Sprint(i), element, t.Elem()) {
				return path, among
			}
		}
	}

	return "", nil
}

// decodesItself reports whether a type has a parser of its own.
func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// fieldsOf returns the fields of a struct by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Tag.Get("json") == "-", f.Anonymous && name == "", !f.IsExported():
			continue // left out, or its own fields are listed, or nobody's
		case name == "":
			name = f.Name
		}

		fields[name] = f.Type
	}

	return fields
}

// shapeHint says what an input looks like.
func shapeHint(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return "pass one JSON value"
	}

	return "pass an object with the fields " + strings.Join(slices.Sorted(maps.Keys(fieldsOf(t))), ", ")
}

// encode writes the output.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fault.New(fault.Internal, "write", "output", err)
	}

	out := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(out) > MaxBytes {
		return nil, fault.New(fault.Internal, "write", "output",
			fmt.Errorf("%d bytes, Step Functions carries at most %d", len(out), MaxBytes))
	}

	return out, nil
}

// runOf is the run that an input belongs to, for the log: "" when it does not say.
func runOf(raw []byte) string {
	var in struct {
		Run string `json:"run"`
	}
	if len(raw) > MaxBytes || json.Unmarshal(raw, &in) != nil {
		return ""
	}

	return in.Run
}
