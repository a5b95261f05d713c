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

// MaxBytes is the largest input and the largest output of a function: the payload limit of Step
// Functions.
const MaxBytes = 256 << 10

// decode parses the input strictly. into is a pointer. All errors are the fault BadInput.
func decode(raw []byte, into any) error {
	t := reflect.TypeOf(into).Elem()
	if len(raw) > MaxBytes {
		return badInput("pass references to documents, not documents",
			fmt.Errorf("%d bytes, limit %d", len(raw), MaxBytes))
	}

	value, err := parse(raw, t)
	if err != nil {
		return err
	}

	if path, known := unknownField(value, t); path != "" {
		return badInput("the known fields are "+strings.Join(known, ", "), fmt.Errorf("unknown field %q", path))
	}

	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badInput(shapeHint(t), inPlainWords(err))
	}

	return nil
}

func badInput(hint string, err error) error {
	return fault.New(fault.BadInput, "read", "input", err).WithHint(hint)
}

// parse parses the input without a type. It must be exactly one JSON value, and not null where a
// struct is expected.
func parse(raw []byte, t reflect.Type) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}

		return nil, badInput(shapeHint(t), err)
	}

	end := d.InputOffset()
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, badInput("pass one JSON value",
			fmt.Errorf("more data after the JSON value, which ends at byte %d", end))
	}

	if value == nil && t.Kind() == reflect.Struct {
		return nil, badInput(shapeHint(t), errors.New("it is null"))
	}

	return value, nil
}

// inPlainWords replaces the decoder's message about a wrong type by one that names the field as it
// is in JSON.
func inPlainWords(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}

	subject := "it"
	if wrong.Field != "" {
		subject = fmt.Sprintf("field %q", wrong.Field)
	}

	return fmt.Errorf("%s is a JSON %s, want %s", subject, wrong.Value, wrong.Type)
}

// unknownField finds the first field, in the order of names, that the type does not have. It
// returns its path and the names that the type has there; "" if there is none.
//
// The JSON decoder does not tell the path, and accepts "RUN" for "run". What has a parser of its
// own is not checked, nor is what the type declares as any. A value of a wrong type is left to the
// decoder.
func unknownField(value any, t reflect.Type) (path string, known []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}

	if decodesItself(t) {
		return "", nil
	}

	switch v := value.(type) {
	case map[string]any:
		switch t.Kind() {
		case reflect.Struct:
			return unknownInStruct(v, t)
		case reflect.Map:
			return unknownInMap(v, t)
		}
	case []any:
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
			return unknownInList(v, t)
		}
	}

	return "", nil
}

func unknownInStruct(object map[string]any, t reflect.Type) (path string, known []string) {
	fields := fieldsOf(t)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		field, ok := fields[name]
		if !ok {
			return name, slices.Sorted(maps.Keys(fields))
		}

		if path, known := unknownField(object[name], field); path != "" {
			return name + "." + path, known
		}
	}

	return "", nil
}

func unknownInMap(object map[string]any, t reflect.Type) (path string, known []string) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if path, known := unknownField(object[name], t.Elem()); path != "" {
			return name + "." + path, known
		}
	}

	return "", nil
}

func unknownInList(list []any, t reflect.Type) (path string, known []string) {
	for i, element := range list {
		if path, known := unknownField(element, t.Elem()); path != "" {
			return fmt.Sprintf("%d.%s", i, path), known
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

// fieldsOf returns the types of a struct's fields by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Tag.Get("json") == "-", !f.IsExported():
			continue
		case f.Anonymous && name == "":
			continue // VisibleFields lists the embedded struct's own fields
		case name == "":
			name = f.Name
		}

		fields[name] = f.Type
	}

	return fields
}

// shapeHint describes an input of this type.
func shapeHint(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return "pass one JSON value"
	}

	return "pass an object with the fields " + strings.Join(slices.Sorted(maps.Keys(fieldsOf(t))), ", ")
}

// encode returns the output as compact JSON.
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
			fmt.Errorf("%d bytes, limit of Step Functions %d", len(out), MaxBytes))
	}

	return out, nil
}

// runOf returns the field "run" of an input for the log, or "".
func runOf(raw []byte) string {
	var in struct {
		Run string `json:"run"`
	}
	if len(raw) > MaxBytes || json.Unmarshal(raw, &in) != nil {
		return ""
	}

	return in.Run
}
