package translate

import "github.com/go-json-experiment/json/jsontext"

// Parts are those of a message's content in chat completions' form.
type Parts struct {
	list  []byte // with commas between them
	n     int
	first jsontext.Value // the text, if the first part is one
}

// Empty says that there are none.
func (p *Parts) Empty() bool { return p.n == 0 }

// Text adds a text, a string, unless that is empty, which some servers refuse.
func (p *Parts) Text(v jsontext.Value) {
	if len(Characters(v)) == 0 {
		return
	}
	if p.n == 0 {
		p.first = v
	}
	p.Add(`{"type":"text","text":`, v, "}")
}

// Add adds a part, in pieces.
func (p *Parts) Add(before string, middle []byte, after string) {
	p.n++
	if len(p.list) > 0 {
		p.list = append(p.list, ',')
	}
	p.list = append(append(append(p.list, before...), middle...), after...)
}

// Join adds the parts of another.
func (p *Parts) Join(other *Parts) {
	p.n += other.n
	p.list = Join(p.list, other.list)
}

// Content is a text where there is only one: every server takes that.
func (p *Parts) Content() jsontext.Value {
	switch {
	case p.n == 0:
		return jsontext.Value(`""`)
	case p.n == 1 && p.first != nil:
		return p.first
	}
	return append(append(jsontext.Value{'['}, p.list...), ']')
}
