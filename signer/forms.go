package signer

import (
	"fmt"
	"slices"
	"strings"
)

// forms are what {signature} and {time} stand for in a layout's templates.
type forms struct{ mac, time partKind }

// The names that LayoutConfig.Encoding and LayoutConfig.Time take; the first of each is the default.
var (
	encodings = []formName{
		{"hex", partHex}, {"HEX", partHexUpper}, {"base64", partBase64}, {"base64url", partBase64URL}, {"base64_escaped", partBase64Escaped},
	}
	timeForms = []formName{{"ms", partTimeMS}, {"s", partTimeS}, {"iso", partTimeISO}}
)

type formName struct {
	name string
	kind partKind
}

// form is the name of the placeholder that name stands for.
func (f forms) form(name string) string {
	switch name {
	case "signature":
		return placeholders[f.mac].name
	case "time":
		return placeholders[f.time].name
	}
	return name
}

// forms reads the options Encoding and Time. One that no template asks for is refused: it would change nothing.
func (c *LayoutConfig) forms() (f forms, err error) {
	if f.mac, err = c.formOf("encoding", c.Encoding, encodings, "signature"); err != nil {
		return f, err
	}
	f.time, err = c.formOf("time", c.Time, timeForms, "time")
	return f, err
}

func (c *LayoutConfig) formOf(option, value string, known []formName, placeholder string) (partKind, error) {
	if value == "" {
		return known[0].kind, nil
	}
	var names []string
	for _, form := range known {
		if form.name != value {
			names = append(names, form.name)
			continue
		}
		if !c.uses("{" + placeholder + "}") {
			return 0, fmt.Errorf("%s: decides the form of {%s}, which stands in no header and no content", option, placeholder)
		}
		return form.kind, nil
	}
	last := len(names) - 1
	return 0, fmt.Errorf("%s %q is unknown; use %s or %s", option, value, strings.Join(names[:last], ", "), names[last])
}

// uses reports whether a template of c has the placeholder.
func (c *LayoutConfig) uses(placeholder string) bool {
	has := func(f Field) bool { return strings.Contains(f.Value, placeholder) }
	return strings.Contains(c.Content, placeholder) || strings.Contains(c.AnswerContent, placeholder) ||
		slices.ContainsFunc(c.Fields, has) || slices.ContainsFunc(c.AnswerFields, has)
}
