package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// placeholderTag is the key of a field's tag that says whether placeholders are replaced in it.
const placeholderTag = "placeholder"

// The values of that tag. A field without one takes no placeholder.
const (
	// placeholderWhole is of a value that may be one placeholder, as [secrets] resolves it.
	placeholderWhole = "whole"
	// placeholderWithin is of a value that may have some in it, as secrets.fill resolves it.
	placeholderWithin = "within"
	// placeholderText is of free text, in which what looks like a placeholder is none, and of templates, which have their own.
	placeholderText = "text"
)

// Bounds of values that are numbers.
const (
	// leastDuration is shorter than any that is of use. A number that was meant as seconds is, in nanoseconds.
	leastDuration = time.Millisecond
	// mostDuration is longer than any that is of use, and short enough to be added to and doubled.
	mostDuration = 100 * 365 * 24 * time.Hour
	// mostBytes is as much as a Caddyfile takes for a size.
	mostBytes = 1 << 40
	// mostNumber is more than any number of requests, tokens, calls or the like.
	mostNumber = 1_000_000_000_000
)

// replaced finds placeholders of Caddy's that somebody may expect to be replaced in a value, those of requests too.
var replaced = regexp.MustCompile(`\{(?:env|file|http|system|time|tls|vars)\.[^{}]*\}`)

// checkValues refuses what no option of a module can mean, whichever it is: a null in a list, a name or an entry that is
// empty, a time or a size out of all bounds, a placeholder where none is replaced, and what is set beside an `off`. Errors name the option as the JSON
// does, but a list's entry as the Caddyfile does: `provider alipay: limit: window`. module is a pointer to its struct.
func checkValues(module any) error {
	return checkStruct(reflect.ValueOf(module).Elem(), "")
}

func checkStruct(s reflect.Value, path string) error {
	t := s.Type()
	if t.PkgPath() != reflect.TypeFor[App]().PkgPath() {
		return nil // Caddy's own
	}
	if err := checkOff(s, path); err != nil {
		return err
	}
	for i := range t.NumField() {
		field := t.Field(i)
		option, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case !field.IsExported():
		case field.Anonymous && option == "":
			if err := checkStruct(s.Field(i), path); err != nil {
				return err
			}
		case option != "" && option != "-":
			v := valueOf{path: path, option: option, takes: field.Tag.Get(placeholderTag)}
			if err := v.check(s.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkOff refuses options of what is switched off: all others of its struct with `off`, and those that begin with `cache_` with
// `cache_off`.
func checkOff(s reflect.Value, path string) error {
	for off := range s.Type().Fields() {
		name, _, _ := strings.Cut(off.Tag.Get("json"), ",")
		of, is := strings.CutSuffix(name, "off")
		if !is || off.Type.Kind() != reflect.Bool || of != "" && !strings.HasSuffix(of, "_") || !s.FieldByIndex(off.Index).Bool() {
			continue
		}
		for field := range s.Type().Fields() {
			option, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if option == "" || option == name || !strings.HasPrefix(option, of) || s.FieldByIndex(field.Index).IsZero() {
				continue
			}
			return fmt.Errorf("%s is set beside %s, which makes it mean nothing; take one of them out",
				valueOf{path: path, option: option}.name(), name)
		}
	}
	return nil
}

// valueOf is a value of an option, or one in its list.
type valueOf struct {
	path   string // of what the option stands in; empty for the module
	option string
	takes  string // what its tag says of placeholders
	within bool   // it is an entry already
}

// name is how errors call it.
func (o valueOf) name() string {
	if o.path == "" {
		return o.option
	}
	return o.path + ": " + o.option
}

func (o valueOf) check(v reflect.Value) error {
	switch v.Type() {
	case reflect.TypeFor[caddy.Duration]():
		return o.checkDuration(time.Duration(v.Int()))
	case reflect.TypeFor[json.RawMessage]():
		return nil // of a module, which checks it
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return o.check(v.Elem())
		}
	case reflect.Struct:
		return checkStruct(v, o.name())
	case reflect.Int64: // all of them are sizes
		if n := v.Int(); n > mostBytes {
			return fmt.Errorf("%s is %d bytes, more than can be; write at most %d (1 TiB)", o.name(), n, mostBytes)
		}
	case reflect.Int:
		if n := v.Int(); n > mostNumber {
			return fmt.Errorf("%s is %d, more than can be; the most is %d", o.name(), n, mostNumber)
		}
	case reflect.Float64:
		if n := v.Float(); n > mostNumber {
			return fmt.Errorf("%s is %v, more than can be; the most is %d", o.name(), n, mostNumber)
		}
	case reflect.String:
		return o.checkText(v.String())
	case reflect.Slice:
		for i := range v.Len() {
			if err := o.entry(strconv.Itoa(i + 1)).checkEntry(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		return o.checkMap(v)
	}
	return nil
}

func (o valueOf) checkMap(m reflect.Value) error {
	named := make(map[string]reflect.Value, m.Len())
	for key, value := range m.Seq2() {
		named[fmt.Sprint(key.Interface())] = value
	}
	for _, key := range slices.Sorted(maps.Keys(named)) {
		if strings.TrimSpace(key) == "" {
			return fmt.Errorf("%s has an entry whose name is empty: %q; write the name, or take the entry out", o.name(), key)
		}
		entry := o.entry(key)
		if found := replaced.FindString(key); found != "" {
			return entry.notReplaced(found)
		}
		// A text may be empty here, as some are by which another text is replaced.
		if err := entry.checkNull(named[key]); err != nil {
			return err
		}
		if err := entry.check(named[key]); err != nil {
			return err
		}
	}
	return nil
}

// entry is one of an option's entries, of that name or number.
func (o valueOf) entry(name string) valueOf {
	if !o.within {
		o.option, o.within = singular(o.option), true
	}
	o.option += " " + name
	return o
}

// singular is the Caddyfile's name of an option that has entries, or nearly so.
func singular(option string) string {
	switch {
	case strings.HasSuffix(option, "ies"):
		return strings.TrimSuffix(option, "ies") + "y"
	case option == "cors":
		return option
	case strings.HasSuffix(option, "sses"):
		return strings.TrimSuffix(option, "es")
	}
	return strings.TrimSuffix(option, "s")
}

// checkEntry is check of what stands in a list.
func (o valueOf) checkEntry(v reflect.Value) error {
	if v.Kind() == reflect.String && v.Len() == 0 && o.takes == "" {
		return fmt.Errorf(`%s is empty (""); write its value, or take it out`, o.name())
	}
	if err := o.checkNull(v); err != nil {
		return err
	}
	return o.check(v)
}

func (o valueOf) checkNull(v reflect.Value) error {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("%s is null; write its options, or take it out", o.name())
	}
	return nil
}

func (o valueOf) checkDuration(d time.Duration) error {
	switch {
	case d < 0:
		return fmt.Errorf("%s is %v, and a time cannot be negative; write it like 30s", o.name(), d)
	case d > 0 && d < leastDuration:
		return fmt.Errorf(`%s is %v, less than %v; write it like 30s. A number of the JSON is in nanoseconds, and "30s" is taken there too`, o.name(), d, leastDuration)
	case d > mostDuration:
		return fmt.Errorf("%s is %v, more than 100 years; write a shorter time, like 30d", o.name(), d)
	}
	return nil
}

func (o valueOf) checkText(text string) error {
	if o.takes == placeholderText || o.takes == placeholderWhole { // which is resolved, and checked then
		return nil
	}
	for _, found := range replaced.FindAllString(text, -1) {
		switch {
		case o.takes != placeholderWithin:
			return o.notReplaced(found)
		case !isPlaceholder(found):
			return fmt.Errorf("%s: %s is not replaced here; {env.NAME} and {file./path} are", o.name(), found)
		}
	}
	return nil
}

// notReplaced is the error for a placeholder where none is.
func (o valueOf) notReplaced(found string) error {
	if name, ok := strings.CutPrefix(strings.Trim(found, "{}"), "env."); ok {
		return fmt.Errorf("%s: %s is not replaced here; write the value itself, or {$%s} in a Caddyfile", o.name(), found, name)
	}
	return fmt.Errorf("%s: %s is not replaced here; write the value itself", o.name(), found)
}
