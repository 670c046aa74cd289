package responses

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// tool is one that is offered.
type tool struct {
	name, namespace string
	custom, search  bool
	// wire is its name in chat completions' form, and function what it is there.
	wire     string
	function []byte
}

// offered are the tools of a request.
type offered struct {
	tools  []tool
	choice []byte // the member, if there is one

	byName map[fullName]*tool
	byWire map[string]*tool
	names  wire.Distinct // those in chat completions' form
}

// fullName is what a client calls a tool by.
type fullName struct{ namespace, name string }

// find gives the tool of that name in chat completions' form; nil for none.
func (o *offered) find(wire string) *tool { return o.byWire[wire] }

// of gives the tool of that name; nil for none.
func (o *offered) of(namespace, name string) *tool { return o.byName[fullName{namespace, name}] }

// only has the tools alone, each once.
func (o *offered) only(tools []tool) {
	o.tools, o.byName, o.byWire = nil, nil, nil
	for _, t := range tools {
		if o.find(t.wire) == nil {
			o.add(t)
		}
	}
}

func (o *offered) add(t tool) {
	if o.byName == nil {
		o.byName, o.byWire = make(map[fullName]*tool), make(map[string]*tool)
	}
	o.tools = append(o.tools, t)
	o.byName[fullName{t.namespace, t.name}], o.byWire[t.wire] = &t, &t
}

// wireName is the name of a tool in chat completions' form, whether it is offered or not.
func (o *offered) wireName(namespace, name string) string {
	if t := o.of(namespace, name); t != nil {
		return t.wire
	}
	return flat(namespace, name)
}

// maxName is how many characters the name of a function may have.
const maxName = 64

// flat puts the name of a namespace before that of its tool.
func flat(namespace, name string) string {
	if namespace == "" {
		return name
	}
	whole := strings.TrimSuffix(namespace, "__") + "__" + name
	if len(whole) > maxName {
		return hashed(whole)
	}
	return whole
}

// hashed gives a name of its own that keeps the beginning of another.
func hashed(name string) string {
	sum := sha256.Sum256([]byte(name))
	return name[:min(len(name), maxName-13)] + "_" + hex.EncodeToString(sum[:6])
}

// append appends the tools, and which of them is to be called.
func (o *offered) append(b []byte, serial bool) []byte {
	if len(o.tools) == 0 {
		return b
	}
	b = append(b, `,"tools":[`...)
	for i := range o.tools {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, o.tools[i].function...)
	}
	b = append(append(b, ']'), o.choice...)
	if serial {
		b = append(b, `,"parallel_tool_calls":false`...)
	}
	return b
}

// size is about how many bytes append appends.
func (o *offered) size() int {
	n := len(o.choice)
	for i := range o.tools {
		n += len(o.tools[i].function) + len(",")
	}
	return n
}
