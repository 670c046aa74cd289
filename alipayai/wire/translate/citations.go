package translate

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Citation is where a text cites a URL, as written. Content is what it cites there, where the provider says so, as OpenRouter does
// (https://openrouter.ai/docs/guides/features/plugins/web-search).
type Citation struct {
	URL, Title, Content jsontext.Value
	Start, End          int64
}

// EachCitation calls cite for each URL that annotations of chat completions cite. Providers that search write them, OpenAI's search
// models and OpenRouter among them: https://github.com/NVIDIA-NeMo/Switchyard/pull/730.
func EachCitation(annotations jsontext.Value, cite func(Citation)) {
	if annotations.Kind() != '[' {
		return
	}
	_ = Elements(annotations, func(_ int, v jsontext.Value) error {
		var c Citation
		if c.read(v, true); len(Characters(c.URL)) > 0 {
			cite(c)
		}
		return nil
	})
}

// read reads an annotation: outer, or its member url_citation.
func (c *Citation) read(v jsontext.Value, outer bool) {
	_ = Generated(v, func(name string, v jsontext.Value) error { // which has been read before
		switch n, ok := wire.TokenCount(v); {
		case name == "url_citation" && outer:
			c.read(v, false)
		case name == "url" && v.Kind() == '"':
			c.URL = v
		case name == "title" && v.Kind() == '"':
			c.Title = v
		case name == "content" && v.Kind() == '"':
			c.Content = v
		case name == "start_index" && ok:
			c.Start = n
		case name == "end_index" && ok:
			c.End = n
		}
		return nil
	})
}

// maxCited is how many citations of a stream are carried, and maxCitedBytes what they have together: more than any search finds.
const (
	maxCited      = 1 << 10
	maxCitedBytes = 4 << 20
)

// Cited are the citations of a stream in a client's form, each once: some providers repeat them with each chunk. What comes while no
// text is open waits for the next one. The zero value has none.
type Cited struct {
	known   map[string]struct{}
	size    int // of them, in bytes
	waiting [][]byte
}

// Add takes what annotations cite, in the form that appendTo writes.
func (c *Cited) Add(annotations jsontext.Value, appendTo func(dst []byte, one Citation) []byte) {
	EachCitation(annotations, func(one Citation) {
		written := appendTo(nil, one)
		if _, known := c.known[string(written)]; known || len(c.known) == maxCited || c.size+len(written) > maxCitedBytes {
			return
		}
		c.size += len(written)
		if c.known == nil {
			c.known = make(map[string]struct{})
		}
		c.known[string(written)] = struct{}{}
		c.waiting = append(c.waiting, written)
	})
}

// Waits reports whether there are some that wait.
func (c *Cited) Waits() bool { return len(c.waiting) > 0 }

// Take gives those that wait, which wait no longer.
func (c *Cited) Take() [][]byte {
	waiting := c.waiting
	c.waiting = nil
	return waiting
}
