package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// ToolName is what an API takes as the name of a tool. Vendors differ: a name that has dots, as those of MCP servers have,
// is one at Google and none at OpenAI.
type ToolName struct {
	// Most is how many characters it may have.
	Most int
	// Dots says that it may have dots and colons, besides letters, digits, underscores and hyphens.
	Dots bool
	// Letter says that it begins with a letter or an underscore.
	Letter bool
	// Reserved are names that are refused although they have the form.
	Reserved []string
}

// Takes reports whether the API takes the name.
func (t *ToolName) Takes(name string) bool {
	return name != "" && len(name) <= t.Most && strings.IndexFunc(name, func(r rune) bool { return !t.has(r) }) < 0 &&
		!(t.Letter && !begins(name[0])) && !slices.Contains(t.Reserved, name)
}

// Fit gives the name itself where it is taken, or else one that is: the same for the same, so that prompts stay cacheable,
// and another for another. An empty name stays empty.
func (t *ToolName) Fit(name string) string {
	if name == "" || t.Takes(name) {
		return name
	}
	fit := strings.Map(func(r rune) rune {
		if t.has(r) {
			return r
		}
		return '_'
	}, name)
	if t.Letter && !begins(fit[0]) {
		fit = "_" + fit
	}
	sum := sha256.Sum256([]byte(name))
	end := "_" + hex.EncodeToString(sum[:4])
	return fit[:min(len(fit), t.Most-len(end))] + end
}

func (t *ToolName) has(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || t.Dots && (r == '.' || r == ':')
}

// begins reports whether a name may begin so at an API that wants a letter.
func begins(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// ToolNames are the names that tools have at a provider, each with the client's own: those alone that differ.
type ToolNames map[string]string

// Fit gives the tool's name in the form, and remembers it where that is another one.
func (n *ToolNames) Fit(form *ToolName, name string) string {
	fit := form.Fit(name)
	if fit != name {
		if *n == nil {
			*n = make(ToolNames)
		}
		(*n)[fit] = name
	}
	return fit
}

// Distinct gives names of which none is given twice, each made of one that is wanted. However many are wanted that are
// taken, each takes about as long as the first. Its zero value is ready.
type Distinct struct {
	// after has every name that is given, with one that comes after it among those that Take tries: where it looks next.
	after map[string]string
}

// Take gives wanted, or where that is taken the first of other(wanted), other(other(wanted)) and so on that is not.
func (d *Distinct) Take(wanted string, other func(taken string) string) string {
	if d.after == nil {
		d.after = make(map[string]string)
	}
	var passed []string
	name := wanted
	for {
		next, taken := d.after[name]
		if !taken {
			break
		}
		passed = append(passed, name)
		name = next
	}
	d.after[name] = other(name)
	for _, p := range passed { // the way is walked once
		d.after[p] = d.after[name]
	}
	return name
}
