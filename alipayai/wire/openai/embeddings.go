package openai

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Embeddings gives the answer to a request for embeddings what its client goes by.
//
// That is the encoding that was asked for: base64 of 32-bit numbers, the least significant byte first, where that was asked for
// and the server has given numbers, as many do. OpenAI's SDKs ask for it unasked, and that for Node reads numbers for base64, of
// which it makes a quarter as many: https://github.com/BerriAI/litellm/pull/42421, https://github.com/garrytan/gbrain/pull/220.
//
// And it is the index of each: where the server names none, its place, and where it names others, 0, which Gemini leaves out:
// https://github.com/samfoy/pi-session-search/issues/13, https://github.com/spring-projects/spring-ai/issues/7019.
//
// And it is what typed clients insist on: object, in the answer and in each of the embeddings, which TEI and others leave out
// (https://github.com/raphaelmansuy/edgequake/issues/164), the model, which is asked's then
// (https://github.com/agentgateway/agentgateway/pull/2684), and both numbers of a usage, of which Jina has one
// (https://github.com/api7/aisix/pull/483).
//
// Every other byte stays as it was.
func Embeddings(request, answer []byte, asked string) []byte {
	encodes := bytes.Contains(request, []byte(`"base64"`)) && asksForBase64(request)
	embeddings := keys(answer, `"embedding"`)
	if !encodes && keys(answer, `"index"`) >= embeddings && keys(answer, `"object"`) > embeddings && keys(answer, `"model"`) > 0 &&
		keys(answer, `"usage"`) == keys(answer, `"prompt_tokens"`) && keys(answer, `"usage"`) == keys(answer, `"total_tokens"`) || !translates(answer) {
		return answer
	}
	e := edits{body: answer}
	defer e.release()
	members := e.members(span{0, len(answer)})
	e.listOfEmbeddings(members, asked)
	for _, top := range members {
		if top.name == "usage" {
			e.embeddingUsage(top.value)
		}
		if top.name != "data" {
			continue
		}
		named := false
		var unnamed []unnamedEmbedding
		for i, one := range e.elements(top.value) {
			switch index, has := e.embedding(one, encodes); {
			case !has:
			case index == span{} || e.text(index).Kind() == 'n':
				unnamed = append(unnamed, unnamedEmbedding{i, one, index})
			default:
				named = true
			}
		}
		for _, one := range unnamed {
			switch {
			case !named:
				e.name(one, one.place)
			case len(unnamed) == 1:
				e.name(one, 0)
			}
		}
	}
	return e.apply()
}

// keys counts how often the name, which is quoted, is a key in text.
func keys(text []byte, name string) (n int) {
	for {
		_, rest, ok := bytes.Cut(text, []byte(name))
		if !ok {
			return n
		}
		if text = rest; bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(":")) {
			n++
		}
	}
}

// listOfEmbeddings gives an answer that has those members the object and the model, where it has embeddings.
func (e *edits) listOfEmbeddings(members []member, asked string) {
	if !slices.ContainsFunc(members, func(m member) bool { return m.name == "data" }) {
		return
	}
	e.give(members, "object", []byte(`"list"`))
	e.give(members, "model", quote(asked))
}

// give gives an object with those members one, unless it is there and is not null.
func (e *edits) give(members []member, name string, value []byte) {
	i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
	switch {
	case i < 0:
		e.insert(members[0].key.start, appendOrReplace(e, nil, span{}, name, value))
	case e.text(members[i].value).Kind() == 'n':
		e.replace(members[i].value, value)
	}
}

// embeddingUsage gives a usage that has one of its numbers the other: all of the tokens are of the prompt.
func (e *edits) embeddingUsage(v span) {
	members := e.members(v)
	var known []byte
	for _, m := range members {
		if n, ok := wire.UsageCount(e.text(m.value)); ok && (m.name == "prompt_tokens" || m.name == "total_tokens") {
			if known = strconv.AppendInt(nil, n, 10); !wire.IsWhole(e.text(m.value)) {
				e.replace(m.value, known)
			}
		}
	}
	if known != nil {
		e.give(members, "prompt_tokens", known)
		e.give(members, "total_tokens", known)
	}
}

// embedding edits an embedding, and gives where its index stands; false for what has none.
func (e *edits) embedding(one span, encodes bool) (index span, has bool) {
	members := e.members(one)
	for _, m := range members {
		switch m.name {
		case "embedding":
			has = true
			if encodes {
				if encoded, ok := e.floats(m.value); ok {
					e.replace(m.value, encoded)
				}
			}
		case "index":
			index = m.value
		}
	}
	if has {
		e.give(members, "object", []byte(`"embedding"`))
	}
	return index, has
}

// unnamedEmbedding is an embedding at a place in the list, whose index is null or not there.
type unnamedEmbedding struct {
	place       int
	whole, null span
}

// name gives an embedding its index.
func (e *edits) name(one unnamedEmbedding, index int) {
	if one.null == (span{}) {
		e.insert(one.whole.start+len("{"), []byte(`"index":`+strconv.Itoa(index)+`,`))
		return
	}
	e.replace(one.null, []byte(strconv.Itoa(index)))
}

func asksForBase64(request []byte) (asks bool) {
	_ = translate.Members(request, func(name string, v jsontext.Value) error { // which has been read before
		asks = asks || name == "encoding_format" && translate.Unquote(v) == "base64"
		return nil
	})
	return asks
}

// floats gives the array of numbers at s as a string of base64; ok is false for what is none.
func (e *edits) floats(s span) (encoded []byte, ok bool) {
	if e.text(s).Kind() != '[' {
		return nil, false
	}
	numbers := e.elements(s)
	room := make([]byte, 0, 4*len(numbers))
	for _, number := range numbers {
		v := e.text(number)
		f, err := strconv.ParseFloat(string(v), 32)
		if err != nil || v.Kind() != '0' {
			return nil, false
		}
		room = binary.LittleEndian.AppendUint32(room, math.Float32bits(float32(f)))
	}
	encoded = base64.StdEncoding.AppendEncode([]byte{'"'}, room)
	return append(encoded, '"'), true
}
