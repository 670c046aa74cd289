package anthropic

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// image gives the block of the image that stands at path, none if the API could not fetch it.
func (r *request) image(path string, v jsontext.Value) ([]byte, error) {
	if len(v) == 0 {
		return nil, translate.Missing(path, "an object")
	}
	if v.Kind() == '"' { // Mistral's
		return r.imageAt(path, path, v)
	}
	var address jsontext.Value
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		if name == "url" {
			address = v
		} else {
			r.left.Leave(path, name, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := translate.IsString(path+".url", address); err != nil {
		return nil, err
	}
	return r.imageAt(path, path+".url", address)
}

// imageAt gives the block of the image at path with the address that stands at.
func (r *request) imageAt(path, at string, address jsontext.Value) ([]byte, error) {
	url := translate.Unquote(address)
	scheme, rest, _ := strings.Cut(url, ":")
	switch strings.ToLower(scheme) {
	case "http":
		// The API fetches by https only: LiteLLM, which sends it such addresses as they are, fetches those of http
		// itself. A gateway that fetched what clients name would open its own network to them.
		r.left.LeaveOut(path)
		return nil, nil
	case "https":
		return append(append([]byte(`{"type":"image","source":{"type":"url","url":`), address...), "}}"...), nil
	case "data":
		mediaType, data, ok := imageData(rest)
		if pdf, isPDF := wire.PDFFile(url); isPDF {
			return documentBlock(pdf, nil), nil
		}
		if !ok {
			return nil, translate.Invalid(at, "a data: URL of a jpeg, png, gif or webp image in base64")
		}
		block := append([]byte(`{"type":"image","source":{"type":"base64","media_type":"`), mediaType...)
		block = translate.Quote(append(block, `","data":`...), data)
		return append(block, "}}"...), nil
	}
	return nil, translate.Invalid(at, "an address that begins with https:, http: or data:")
}

// imageData reads what follows data: in an address, as RFC 2397 has it. The media type is the one of the data, which the API
// compares: it refuses a PNG image that is called a JPEG one. Those of images that it knows are good only.
//
// The API takes Base64 alone, without line breaks: https://github.com/openclaw/openclaw/issues/18212.
// See https://github.com/vybestack/llxprt-code/issues/2130 and https://github.com/mealie-recipes/mealie/pull/5897.
func imageData(rest string) (mediaType, data string, ok bool) {
	meta, data, _ := strings.Cut(rest, ",")
	data = wire.Base64(data)
	mediaType, encoding, _ := strings.Cut(strings.ToLower(meta), ";")
	if encoding != "base64" && !strings.HasSuffix(encoding, ";base64") {
		return "", "", false
	}
	begins, _ := base64.StdEncoding.DecodeString(data[:min(len(data), base64.StdEncoding.EncodedLen(len("RIFF....WEBP")))])
	switch {
	case data == "":
		return "", "", false
	case bytes.HasPrefix(begins, []byte("\xff\xd8\xff")):
		return "image/jpeg", data, true
	case bytes.HasPrefix(begins, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png", data, true
	case bytes.HasPrefix(begins, []byte("GIF8")):
		return "image/gif", data, true
	case bytes.HasPrefix(begins, []byte("RIFF")) && bytes.HasSuffix(begins, []byte("WEBP")):
		return "image/webp", data, true
	}
	switch mediaType {
	case "image/jpeg", "image/png", "image/gif", "image/webp":
		return mediaType, data, true
	case "image/jpg": // a common slip
		return "image/jpeg", data, true
	}
	return "", "", false
}
