package anthropic

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// maxNames bounds how many names are given of what was left out; "..." stands for the others.
const maxNames = 32

// omissions are the names of what could not be carried over.
type omissions map[string]struct{}

// leave notes that the member name of what stands at path is left out, unless its value says nothing.
func (o omissions) leave(path, name string, v jsontext.Value) {
	name = wire.Visible(name)
	if path != "" {
		name = withoutIndexes(path) + "." + name
	}
	if !wire.IsDefault(name, v) {
		o[name] = struct{}{}
	}
}

// leaveOut notes that what stands at path is left out.
func (o omissions) leaveOut(path string) { o[withoutIndexes(path)] = struct{}{} }

// names gives the names sorted.
func (o omissions) names() []string {
	names := slices.Sorted(maps.Keys(o))
	if len(names) > maxNames {
		names = append(names[:maxNames], "...")
		slices.Sort(names)
	}
	return names
}

// withoutIndexes gives messages.content for messages[3].content[0].
func withoutIndexes(path string) string {
	var b strings.Builder
	for path != "" {
		name, rest, _ := strings.Cut(path, "[")
		b.WriteString(name)
		_, path, _ = strings.Cut(rest, "]")
	}
	return b.String()
}
