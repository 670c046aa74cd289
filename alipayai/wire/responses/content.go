package responses

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// part is one of an item's content, as written.
type part struct {
	kind                          string
	text                          jsontext.Value // or the refusal
	url, detail, fileID           jsontext.Value
	fileURL, fileData, fileName   jsontext.Value
	audio, file                   jsontext.Value
	breakpoint, annotations, logs jsontext.Value
}

func readPart(path string, dec *translate.Decoder) (p part, err error) {
	_, err = dec.Members(func(name string, v jsontext.Value) error {
		if v.Kind() == 'n' {
			return nil
		}
		switch name {
		case "type":
			if p.kind = translate.Name(v); p.kind == "" {
				return translate.IsString(path+".type", v)
			}
		case "text", "refusal":
			p.text = v
		case "image_url":
			p.url = v
		case "detail":
			p.detail = v
		case "file_id":
			p.fileID = v
		case "file_url":
			p.fileURL = v
		case "file_data":
			p.fileData = v
		case "filename":
			p.fileName = v
		case "input_audio":
			p.audio = v
		case "file":
			p.file = v
		case "prompt_cache_breakpoint":
			p.breakpoint = v
		case "annotations":
			p.annotations = v
		case "logprobs":
			p.logs = v
		}
		return nil
	})
	if err == nil && p.kind == "" {
		err = translate.Missing(path+".type", "a string")
	}
	return p, err
}

// texts gives the characters of the texts of the member name of the item at path, which may be one text; other parts are
// left out. by is whose parts they are.
func (v *conversation) texts(path, name string, content jsontext.Value, by speaker) (text []byte, err error) {
	if content.Kind() == '"' {
		return translate.Characters(content), nil
	}
	err = translate.Objects(path+"."+name, content, func(path string, dec *translate.Decoder) error {
		p, err := readPart(path, dec)
		v.client.misplaced = v.client.misplaced || by.partOf(p.kind) != p.kind
		switch {
		case err != nil:
			return err
		case isText[p.kind]:
			if p.text.Kind() != '"' {
				return translate.Missing(path+".text", "a string")
			}
			text = appendText(text, translate.Characters(p.text))
		default:
			v.client.left.LeaveOut("input.content." + wire.Visible(p.kind))
		}
		return nil
	})
	return text, err
}

// isText has the types of parts that are texts.
var isText = map[string]bool{
	"input_text": true, "output_text": true, "text": true, "refusal": true, "summary_text": true, "reasoning_text": true,
}

// appendText appends more characters, after an empty line where both are not empty.
func appendText(text, more []byte) []byte {
	if len(text) > 0 && len(more) > 0 {
		text = append(text, `\n\n`...)
	}
	return append(text, more...)
}

// content gives what a user said in the message at path.
func (c *client) content(path string, v jsontext.Value) (jsontext.Value, error) {
	if v.Kind() == '"' {
		return v, nil
	}
	var to translate.Parts
	err := translate.Objects(path+".content", v, func(path string, dec *translate.Decoder) error {
		p, err := readPart(path, dec)
		if err != nil {
			return err
		}
		c.misplaced = c.misplaced || others.partOf(p.kind) != p.kind
		left, err := c.part(path, p, &to)
		if left != nil {
			to.Text(left)
		}
		return err
	})
	return to.Content(), err
}

// part reads a part that a user, or a tool, may show, and gives a word for one that is left out: a message without it would be empty,
// or another one.
func (c *client) part(path string, p part, to *translate.Parts) (left jsontext.Value, err error) {
	switch {
	case isText[p.kind]:
		if p.text.Kind() != '"' {
			return nil, translate.Missing(path+".text", "a string")
		}
		to.Text(p.text)
	case p.kind == "input_image":
		return c.image(path, p, to)
	case p.kind == "input_file":
		return c.file(path, p, to)
	case p.kind == "image_url" && p.url != nil:
		if err := p.within(path+".image_url", p.url); err != nil {
			return nil, err
		}
		return c.image(path, p, to)
	case p.kind == "file" && p.file != nil:
		if err := p.within(path+".file", p.file); err != nil {
			return nil, err
		}
		return c.file(path, p, to)
	case p.kind == "input_audio" && p.audio.Kind() == '{':
		to.Add(`{"type":"input_audio","input_audio":`, p.audio, "}")
	default:
		c.left.LeaveOut("input.content." + wire.Visible(p.kind))
		return translate.LeftOut("part"), nil // and not a client's own word
	}
	return nil, nil
}

// within reads what a part in the form of chat completions, of type image_url or file, has in an object of its own. Clients that
// know one form of parts write them here too: https://github.com/MervinPraison/PraisonAI/issues/3934,
// https://github.com/HeyPuter/puter/pull/3815.
func (p *part) within(path string, v jsontext.Value) error {
	if v.Kind() == '"' { // Mistral's image_url
		return nil
	}
	p.url = nil
	return translate.Object(path, v, func(name string, v jsontext.Value) error {
		if v.Kind() == 'n' {
			return nil
		}
		switch name {
		case "url":
			p.url = v
		case "detail":
			p.detail = v
		case "file_id":
			p.fileID = v
		case "file_data":
			p.fileData = v
		case "filename":
			p.fileName = v
		}
		return nil
	})
}

func (c *client) image(path string, p part, to *translate.Parts) (left jsontext.Value, err error) {
	if p.url == nil {
		if p.fileID == nil {
			return nil, translate.Missing(path+".image_url", "a string")
		}
		c.left.LeaveOut("input.content.input_image.file_id")
		return translate.LeftOut("input_image"), nil
	}
	if err := translate.IsString(path+".image_url", p.url); err != nil {
		return nil, err
	}
	image := p.url
	switch detail := translate.Unquote(p.detail); detail {
	case "", "auto":
	case "low", "high":
		image = append(append(image, `,"detail":`...), p.detail...)
	default:
		c.left.LeaveOut("input.content.input_image.detail")
	}
	to.Add(`{"type":"image_url","image_url":{"url":`, image, "}}")
	return nil, nil
}

// file reads a file. What becomes of one that is no PDF in base64, or is at an address, is the provider's dialect's to say.
func (c *client) file(path string, p part, to *translate.Parts) (left jsontext.Value, err error) {
	if detail := translate.Unquote(p.detail); detail != "" && detail != "auto" { // which chat completions have for images alone
		c.left.LeaveOut("input.content.input_file.detail")
	}
	switch {
	case p.fileData != nil:
		if err := translate.IsString(path+".file_data", p.fileData); err != nil {
			return nil, err
		}
		data := []byte(p.fileData)
		if pdf, ok := wire.PDFFile(translate.Unquote(p.fileData)); ok && pdf == translate.Unquote(p.fileData) { // Base64 alone
			data = translate.PDFData(pdf)
		}
		to.Add("", translate.AppendFile(nil, data, p.fileName), "")
	case p.fileURL != nil:
		if err := translate.IsString(path+".file_url", p.fileURL); err != nil {
			return nil, err
		}
		to.Add("", translate.AppendFile(nil, p.fileURL, p.fileName), "")
	case p.fileID != nil:
		c.left.LeaveOut("input.content.input_file.file_id")
		return translate.LeftOut("input_file"), nil
	default:
		return nil, translate.Missing(path+".file_data", "a string")
	}
	return nil, nil
}

// output reads what a tool gave: texts for the tool's message, and what else there is for the user's.
func (v *conversation) output(it *item) error {
	switch {
	case it.callID == "":
		return translate.Missing(it.path+".call_id", "a non-empty string")
	case !it.isOutput():
		return translate.Missing(it.path+".output", "a string or an array")
	case v.skipped[it.callID]:
		return nil
	}
	v.endAssistant()
	if !v.awaited[it.callID] && !v.open {
		return &wire.RequestError{Param: it.path, Code: wire.CodeInvalidValue, Message: "no call of a tool comes before this output: send an item with its call_id"}
	}
	v.spoken = true
	text, err := v.outputText(it)
	if err != nil {
		return err
	}
	m := append(append(translate.Quote(nil, it.callID), `,"content":"`...), text...)
	v.chat.Message(`{"role":"tool","tool_call_id":`, m, `"}`)
	if delete(v.awaited, it.callID); len(v.awaited) == 0 {
		v.endOutputs()
		v.release()
	}
	return nil
}

func (v *conversation) outputText(it *item) (text []byte, err error) {
	switch {
	case it.kind == searchOutput:
		return v.found(it)
	case it.output.Kind() == '"':
		return translate.Characters(it.output), nil
	}
	var shown translate.Parts
	err = translate.Objects(it.path+".output", it.output, func(path string, dec *translate.Decoder) error {
		p, err := readPart(path, dec)
		v.client.misplaced = v.client.misplaced || others.partOf(p.kind) != p.kind
		switch {
		case err != nil:
			return err
		case isText[p.kind] && p.text.Kind() == '"':
			text = appendText(text, translate.Characters(p.text))
			return nil
		}
		left, err := v.client.part(path, p, &shown)
		text = appendText(text, translate.Characters(left))
		return err
	})
	if !shown.Empty() {
		v.shown.Text(append(append([]byte(`"Shown by the tool call `), translate.Characters(translate.Quote(nil, it.callID))...), `:"`...))
		v.shown.Join(&shown)
	}
	return text, err
}

// endOutputs appends what tools have shown, after all of their outputs.
func (v *conversation) endOutputs() {
	if v.shown.Empty() || len(v.awaited) > 0 {
		return
	}
	v.chat.User(v.shown.Content())
	v.shown = translate.Parts{}
}
