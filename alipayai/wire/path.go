package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxPath is how many members a [Path] goes through at most.
const maxPath = 8

// Path says where a value stands in a JSON object, by the names of the members to go through: data, token. It goes through
// JSON in a string as well, as Ant's interfaces have it in biz_content, and through an array where a name is a place in it,
// from 0: choices, 0, text.
type Path []string

// ParsePath reads a path as configured: names with a dot between them, as in data.token. A dot that belongs to a name is
// written \. and a backslash \\.
func ParsePath(text string) (Path, error) {
	var path Path
	var name strings.Builder
	end := func() error {
		if name.Len() == 0 {
			return errors.New("has an empty name in it")
		}
		path = append(path, name.String())
		name.Reset()
		return nil
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == '.' || text[i+1] == '\\'):
			i++
			name.WriteByte(text[i])
		case c == '\\':
			return nil, errors.New(`has a backslash in it that stands before neither a dot nor a backslash`)
		case c == '.':
			if err := end(); err != nil {
				return nil, err
			}
		default:
			name.WriteByte(c)
		}
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(path) > maxPath {
		return nil, fmt.Errorf("has more than %d names", maxPath)
	}
	return path, nil
}

// String writes p as [ParsePath] reads it.
func (p Path) String() string {
	names := make([]string, len(p))
	for i, name := range p {
		names[i] = strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(name)
	}
	return strings.Join(names, ".")
}

// Lookup gives the values at paths in an object, strings and numbers as their text, true and false as those words: empty
// where there is none, or an object, an array or null. It fails with [ErrMalformed] where text is no JSON object, or has two
// values at one path: two readers could take one each.
func Lookup(text []byte, paths ...Path) ([]string, error) {
	found, err := find(text, paths)
	if err != nil {
		return nil, err
	}
	values := make([]string, len(paths))
	for i, v := range found {
		switch v.Kind() {
		case '"':
			values[i] = unquote(v)
		case '0', 't', 'f':
			values[i] = string(v)
		}
	}
	return values, nil
}

// find gives the values at paths as they are written, nil where there is none.
func find(text []byte, paths []Path) ([]jsontext.Value, error) {
	found := make([]jsontext.Value, len(paths))
	all := make([]int, len(paths))
	for i := range all {
		all[i] = i
	}
	return found, findBelow(text, paths, all, 0, found)
}

// findBelow looks for those of paths that candidates names, of which depth names have been gone through.
func findBelow(text []byte, paths []Path, candidates []int, depth int, found []jsontext.Value) error {
	s := newScanner(text, Limits{}, lenient...)
	defer s.release()
	var here, deeper []int
	err := s.document(func(name []byte) error {
		here, deeper = here[:0], deeper[:0]
		for _, i := range candidates {
			switch path := paths[i]; {
			case len(path) == depth || path[depth] != string(name):
			case len(path) == depth+1:
				here = append(here, i)
			default:
				deeper = append(deeper, i)
			}
		}
		v, err := s.raw()
		if err != nil {
			return err
		}
		for _, i := range here {
			if found[i] != nil {
				return errRepeated
			}
			found[i] = v
		}
		return findIn(v, paths, deeper, depth+1, found)
	})
	if err != nil && !errors.Is(err, ErrMalformed) {
		return s.malformed(err)
	}
	return err
}

// findIn looks into a value for those of paths that candidates names, of which depth names have been gone through.
func findIn(v jsontext.Value, paths []Path, candidates []int, depth int, found []jsontext.Value) error {
	if len(candidates) == 0 {
		return nil
	}
	if inner, ok := objectIn(v); ok {
		return findBelow(inner, paths, candidates, depth, found)
	}
	var elements []json.RawMessage
	if v.Kind() != '[' || json.Unmarshal(v, &elements) != nil {
		return nil
	}
	for _, i := range candidates {
		at, err := strconv.Atoi(paths[i][depth])
		switch {
		case err != nil || at < 0 || at >= len(elements):
		case len(paths[i]) == depth+1:
			found[i] = jsontext.Value(elements[at])
		default:
			if err := findIn(jsontext.Value(elements[at]), paths, []int{i}, depth+1, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// objectIn gives an object that is v, or that v is a string of.
func objectIn(v jsontext.Value) ([]byte, bool) {
	if v.Kind() == '"' {
		v = jsontext.Value(strings.TrimSpace(unquote(v)))
	}
	return v, bytes.HasPrefix(v, []byte("{"))
}
