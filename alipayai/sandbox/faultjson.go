package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// duration is a time.Duration that reads and writes as "1m30s".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New(`want a duration with a unit, as in "250ms"`)
	}
	*d = duration(v)
	return nil
}

type plainFault Fault // without the methods, for encoding/json

type faultJSON struct {
	plainFault
	Delay duration `json:"delay,omitzero"`
	Skew  duration `json:"skew,omitzero"`
}

func (j faultJSON) fault() Fault {
	f := Fault(j.plainFault)
	f.Delay, f.Skew = time.Duration(j.Delay), time.Duration(j.Skew)
	return f
}

// set decodes one field, so that an error can name it.
func (j *faultJSON) set(name string, value json.RawMessage) error {
	doc, err := json.Marshal(map[string]json.RawMessage{name: value})
	if err != nil {
		return fmt.Errorf("%s: not JSON", name)
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	err = dec.Decode(j)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && wrong.Type != nil:
		return fmt.Errorf("%s: want %s, not %s", name, jsonType(wrong.Type), wrong.Value)
	}
	return fmt.Errorf("%s: %s", name, inJSONsWords(err))
}

// inJSONsWords says what a reader of JSON found wrong, without the names of this code's types.
func inJSONsWords(err error) string {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok || wrong.Type == nil {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	if wrong.Field == "" {
		return fmt.Sprintf("want %s, not %s", jsonType(wrong.Type), wrong.Value)
	}
	// The field of an embedded struct is named after it.
	at := strings.TrimPrefix(wrong.Field, "embeddingRequest.")
	return fmt.Sprintf("%s: want %s, not %s", at, jsonType(wrong.Type), wrong.Value)
}

// jsonType names the JSON that is read into a type.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

// MarshalJSON writes the form that PUT /_sandbox/faults reads.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultJSON{plainFault(f), duration(f.Delay), duration(f.Skew)})
}

// UnmarshalJSON reads that form. Unknown fields are refused by name.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return errors.New("kind: want an object with a kind")
	}
	var j faultJSON
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := j.set(name, fields[name]); err != nil {
			return err
		}
	}
	*f = j.fault()
	return nil
}

// parseFaults reads the body of PUT /_sandbox/faults.
func parseFaults(body []byte) ([]Fault, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf(`%w: want {"faults":[…]}`, ErrFault)
	}
	for name := range doc {
		if name != "faults" {
			return nil, fmt.Errorf("%w: unknown field %q", ErrFault, name)
		}
	}
	var items []json.RawMessage
	if err := json.Unmarshal(doc["faults"], &items); err != nil || items == nil {
		return nil, fmt.Errorf("%w: faults: want a list", ErrFault)
	}
	faults := make([]Fault, len(items))
	for i, item := range items {
		if err := faults[i].UnmarshalJSON(item); err != nil {
			return nil, fmt.Errorf("%w: faults[%d].%w", ErrFault, i, err)
		}
	}
	return faults, nil
}
