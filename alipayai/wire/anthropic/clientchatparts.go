package anthropic

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// chatPart is a part of a message in a request for chat completions that may be in another API's form, as written.
type chatPart struct {
	kind                               string
	text, url, detail                  jsontext.Value
	fileData, fileURL, fileID, name    jsontext.Value
	source, data, mediaType, cacheMark jsontext.Value
}

// member reads one of its members.
func (p *chatPart) member(name string, v jsontext.Value) error {
	switch name {
	case "type":
		p.kind = translate.Unquote(v)
	case "text":
		p.text = v
	case "image_url":
		p.url = v
	case "detail":
		p.detail = v
	case "file_data":
		p.fileData = v
	case "file_url":
		p.fileURL = v
	case "file_id":
		p.fileID = v
	case "filename":
		p.name = v
	case "source":
		p.source = v
	case "data":
		p.data = v
	case "mimeType", "mime_type", "media_type":
		p.mediaType = v
	case "cache_control":
		p.cacheMark = v
	}
	return nil
}

// ownParts gives the parts of the content at path with those in chat completions' form that are in another API's; nil where none is.
//
// Clients that know one form of parts write them wherever they send messages: those of Responses, the image and document blocks of
// Messages, and the images that tools of MCP give (modelcontextprotocol.io/specification, ImageContent). A provider refuses them
// ("Invalid value: 'input_text'"), or answers without having seen them. See https://github.com/ztxz16/fastllm/pull/597,
// https://github.com/modelship-ai/modelship/pull/190, https://github.com/lidge-jun/opencodex/pull/4534,
// https://github.com/Bike4Mind/bike4mind/issues/2746.
func (c *chatClient) ownParts(path string, content jsontext.Value) (own jsontext.Value, err error) {
	if content.Kind() != '[' {
		return nil, nil
	}
	changed := false
	var list []byte
	err = translate.Array(path, content, func(path string, v jsontext.Value) error {
		as, err := c.ownPart(path, v)
		changed = changed || as != nil
		if as == nil {
			as = v
		}
		list = translate.Join(list, as)
		return err
	})
	if !changed {
		return nil, err
	}
	return slices.Concat([]byte{'['}, list, []byte{']'}), err
}

// sourceTypes are the types of what images and documents are of in the Messages API. Any other is a vendor's own, which the gateway cannot read.
var sourceTypes = [...]string{"base64", "url", "text", "content", "file"}

// ownPart gives the part at path, or the parts that become of it, with commas between them, in chat completions' form; nil where it
// stays as it is: in that form, or in one that no API has.
func (c *chatClient) ownPart(path string, v jsontext.Value) (as jsontext.Value, err error) {
	var p chatPart
	_ = translate.Generated(v, p.member)
	switch p.kind {
	case "input_text", "output_text":
		if p.text.Kind() == '"' {
			as = slices.Concat([]byte(`{"type":"text","text":`), p.text, []byte("}"))
		}
	case "input_image":
		as = p.image(&c.left)
	case "input_file":
		as = p.file()
	case "image", "document", "search_result":
		switch {
		case p.kind == "image" && p.data.Kind() == '"' && p.mediaType.Kind() == '"':
			as = slices.Concat([]byte(`{"type":"image_url","image_url":{"url":`), dataURL(p.mediaType, p.data), []byte("}}"))
		case slices.Contains(sourceTypes[:], typeOf(p.source)) || p.source.Kind() == '"' && p.kind == "search_result":
			var shown translate.Parts
			err = c.asBlock(path, v, func(b clientBlock) error { return c.shown(path, b, &shown) })
			as = inList(shown.Content())
		}
	}
	if as == nil || err != nil {
		return nil, err
	}
	return append(c.marked(as[:len(as)-1], p.cacheMark), '}'), nil
}

// inList gives content as parts, with commas between them.
func inList(content jsontext.Value) jsontext.Value {
	if content.Kind() == '"' {
		return slices.Concat([]byte(`{"type":"text","text":`), content, []byte("}"))
	}
	return content[1 : len(content)-1 : len(content)-1]
}

// image gives an image of the Responses API's; nil for one by its id, of which chat completions have none. They have none of its
// details above high either.
func (p *chatPart) image(left *translate.Omissions) jsontext.Value {
	image := p.url
	if len(translate.Characters(image)) > 0 {
		image = slices.Concat([]byte(`{"url":`), image)
		switch translate.Unquote(p.detail) {
		case "":
		case "auto", "low", "high":
			image = append(append(image, `,"detail":`...), p.detail...)
		default:
			left.LeaveOut("messages.content.input_image.detail")
		}
		image = append(image, '}')
	}
	if image.Kind() != '{' {
		return nil
	}
	return slices.Concat([]byte(`{"type":"image_url","image_url":`), image, []byte("}"))
}

// file gives a file of the Responses API's.
func (p *chatPart) file() jsontext.Value {
	data := p.fileData
	if len(translate.Characters(data)) == 0 { // SDKs write "" for none
		data = p.fileURL
	}
	switch {
	case len(translate.Characters(data)) > 0:
		if pdf, ok := wire.PDFFile(translate.Unquote(data)); ok && pdf == translate.Unquote(data) { // Base64 alone
			data = translate.PDFData(pdf)
		}
		return translate.AppendFile(nil, data, p.name)
	case p.fileID.Kind() == '"':
		return slices.Concat([]byte(`{"type":"file","file":{"file_id":`), p.fileID, []byte("}}"))
	}
	return nil
}
