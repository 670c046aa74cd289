package responses

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// imagesOf gives the images that a model has made beside its text, as characters of base64. Providers write them as parts of type
// image_url, with data: URLs: https://github.com/maximhq/bifrost/issues/2367, https://github.com/BerriAI/litellm/pull/16586.
func imagesOf(images jsontext.Value) (list [][]byte) {
	if images == nil {
		return nil
	}
	_ = translate.Elements(images, func(_ int, v jsontext.Value) error { // which have been read before
		if data := imageData(v); len(data) > 0 {
			list = append(list, data)
		}
		return nil
	})
	return list
}

// imageData gives the base64 of a part of type image_url; nil for what is none.
func imageData(part jsontext.Value) (data []byte) {
	_ = translate.Generated(part, func(name string, v jsontext.Value) error {
		if name != "image_url" {
			return nil
		}
		if v.Kind() == '{' {
			address := jsontext.Value(nil)
			_ = translate.Generated(v, func(name string, v jsontext.Value) error {
				if name == "url" {
					address = v
				}
				return nil
			})
			v = address
		}
		data = nil
		if head, rest, ok := bytes.Cut(translate.Characters(v), []byte(";base64,")); ok && bytes.HasPrefix(head, []byte("data:image")) {
			data = rest
		}
		return nil
	})
	return data
}

// imageCall is the type of an image's item.
const imageCall = "image_generation_call"

// isOwnImage reports whether an item is an image that a model of chat completions has made. That of another is from OpenAI's own tool,
// by whichever model, and one that goes on may take none.
func (it *item) isOwnImage() bool {
	return (it.id == "" || isOwn(it.id)) && len(translate.Characters(it.result)) > 0
}

// image shows an image that the assistant has made, so that it can be changed: by the user, since no other message has images everywhere.
func (v *conversation) image(it *item) error {
	kind := "image/png"
	for begins, of := range map[string]string{"/9j/": "image/jpeg", "UklGR": "image/webp", "R0lGOD": "image/gif"} {
		if bytes.HasPrefix(translate.Characters(it.result), []byte(begins)) {
			kind = of
		}
	}
	v.endAssistant()
	v.endOutputs()
	v.spoken = true
	var shown translate.Parts
	shown.Text(jsontext.Value(`"Made by the assistant:"`))
	shown.Add(`{"type":"image_url","image_url":{"url":"data:`+kind+`;base64,`, translate.Characters(it.result), `"}}`)
	v.to().User(shown.Content())
	return nil
}

// appendImage appends the item of an image; none yet where the status says that it is in progress.
func (w *ClientWriter) appendImage(dst, data []byte, status string) []byte {
	dst = append(w.appendItemID(append(dst, `{"type":"`+imageCall+`","id":"`...), "ig", w.items), `","status":"`...)
	dst = append(append(dst, status...), `","result":`...)
	if data == nil {
		return append(dst, "null}"...)
	}
	return append(append(append(dst, '"'), data...), `"}`...)
}

// image writes an image, which comes at once.
func (w *ClientWriter) image(dst, data []byte) []byte {
	s := w.stream
	dst = w.leave(dst, "completed")
	dst = w.added(dst, w.appendImage(nil, nil, inProgress.word))
	dst = s.tail(w.place(s.head(dst, "response.image_generation_call.completed", ""), "ig"))
	item := w.appendImage(nil, data, "completed")
	dst = strconv.AppendInt(s.head(dst, "response.output_item.done", `"output_index":`), int64(w.items), 10)
	dst = s.tail(append(append(dst, `,"item":`...), item...))
	w.done(item)
	return dst
}
