package anthropic

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// source reads what an image or a document is of.
func source(path string, v jsontext.Value) (kind string, mediaType, data, url, content jsontext.Value, err error) {
	if len(v) == 0 {
		return "", nil, nil, nil, nil, translate.Missing(path, "an object")
	}
	err = translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			kind = translate.Unquote(v)
		case "media_type":
			mediaType = v
		case "data":
			data = v
		case "url":
			url = v
		case "content":
			content = v
		}
		return nil
	})
	return kind, mediaType, data, url, content, err
}

// image reads an image, and reports whether it is left out.
func (c *client) image(path string, b clientBlock, to *translate.Parts) (left bool, err error) {
	kind, mediaType, data, url, _, err := source(path+".source", b.source)
	switch {
	case err != nil:
		return false, err
	case kind == "url" && url.Kind() == '"':
		to.Add(`{"type":"image_url","image_url":{"url":`, url, `}}`)
	case kind == "base64" && mediaType.Kind() == '"' && data.Kind() == '"':
		to.Add(`{"type":"image_url","image_url":{"url":`, dataURL(mediaType, data), `}}`)
	case kind == "url" || kind == "base64":
		return false, translate.Invalid(path+".source", "a url, or a media_type and data")
	default:
		c.left.LeaveOut("messages.content.image." + wire.Visible(kind))
		return true, nil
	}
	return false, nil
}

func dataURL(mediaType, data jsontext.Value) []byte {
	u := append([]byte(`"data:`), translate.Characters(mediaType)...)
	return append(append(append(u, ";base64,"...), translate.Characters(data)...), '"')
}

// document reads a document, and reports whether it is left out.
func (c *client) document(path string, b clientBlock, to *translate.Parts) (left bool, err error) {
	kind, mediaType, data, url, content, err := source(path+".source", b.source)
	if err != nil {
		return false, err
	}
	switch {
	case kind == "text" && data.Kind() == '"':
		c.describe(b, to)
		to.Text(data)
	case kind == "content" && content.Kind() == '"':
		c.describe(b, to)
		to.Text(content)
	case kind == "content":
		c.describe(b, to)
		return false, translate.Objects(path+".source.content", content, func(path string, dec *translate.Decoder) error {
			b, err := c.block(path, dec)
			if err != nil {
				return err
			}
			return c.shown(path, b, to)
		})
	case kind == "base64" && mediaType.Kind() == '"' && data.Kind() == '"':
		c.describe(b, to)
		name := b.title
		if len(translate.Characters(name)) == 0 && strings.EqualFold(translate.Unquote(mediaType), "application/pdf") {
			name = jsontext.Value(`"document.pdf"`) // and no name that would stand before the text of another
		}
		to.Add("", translate.AppendFile(nil, dataURL(mediaType, data), name), "")
	case kind == "url" && url.Kind() == '"':
		c.describe(b, to)
		to.Add("", translate.AppendFile(nil, url, b.title), "")
	case kind == "url" || kind == "base64":
		return false, translate.Invalid(path+".source", "a url, or a media_type and data")
	default:
		c.left.LeaveOut("messages.content.document." + wire.Visible(kind))
		return true, nil
	}
	return false, nil
}

// describe gives a document's title and context.
func (c *client) describe(b clientBlock, to *translate.Parts) {
	for _, v := range []jsontext.Value{b.title, b.context} {
		if v.Kind() == '"' {
			to.Text(v)
		}
	}
}

func (c *client) searchResult(path string, b clientBlock, to *translate.Parts) error {
	c.describe(b, to)
	if b.source.Kind() == '"' {
		to.Text(b.source)
	}
	if b.content.Kind() == '"' {
		to.Text(b.content)
	}
	if b.content.Kind() != '[' {
		return nil
	}
	return translate.Objects(path+".content", b.content, func(path string, dec *translate.Decoder) error {
		b, err := c.block(path, dec)
		if err != nil {
			return err
		}
		return c.shown(path, b, to)
	})
}

// summary gives what a compaction says in the place of all that came before it, which its client may have taken out
// (platform.claude.com/docs/en/build-with-claude/compaction, https://github.com/vercel/ai/issues/21263): other providers know no
// such block, and had nothing of the conversation without it. One that failed says nothing.
func summary(b clientBlock) []byte {
	text := translate.Characters(b.content)
	if len(text) == 0 {
		return nil
	}
	return append([]byte(`Summary of the conversation so far:\n\n`), text...)
}
