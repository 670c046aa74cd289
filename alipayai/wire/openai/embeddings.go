package openai

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Embeddings gives the answer to a request for embeddings in the encoding that was asked for: base64 of 32-bit numbers, the least
// significant byte first, where that was asked for and the server has given numbers, as many do. OpenAI's SDKs ask for it
// unasked, and that for Node reads numbers for base64, of which it makes a quarter as many:
// https://github.com/BerriAI/litellm/pull/42421, https://github.com/garrytan/gbrain/pull/220. Every other byte stays as it was.
func Embeddings(request, answer []byte) []byte {
	if !bytes.Contains(request, []byte(`"base64"`)) || !asksForBase64(request) || !translates(answer) {
		return answer
	}
	e := edits{body: answer}
	defer e.release()
	for _, top := range e.members(span{0, len(answer)}) {
		if top.name != "data" {
			continue
		}
		for _, one := range e.elements(top.value) {
			for _, m := range e.members(one) {
				if m.name != "embedding" {
					continue
				}
				if encoded, ok := e.floats(m.value); ok {
					e.replace(m.value, encoded)
				}
			}
		}
	}
	return e.apply()
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
