package openai

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// completions is the older form of a chat, which no provider is asked in.
type completions struct{}

func beginCompletion(*http.Request, *alipayai.Call, *door.Reading) (door.Writer, *failure.Failure) {
	return completions{}, nil
}

// Whole implements [door.Writer].
func (completions) Whole(dst, canonical []byte) ([]byte, *failure.Failure) {
	dst, err := openai.AppendCompletion(dst, canonical)
	if err != nil {
		return dst, door.Untranslated(err)
	}
	return dst, nil
}

// Events implements [door.Writer].
func (completions) Events(dst, canonical []byte) ([]byte, *failure.Failure) {
	dst, err := openai.AppendCompletionEvents(dst, canonical)
	if err != nil {
		return dst, door.Untranslated(err)
	}
	return dst, nil
}

// Broken implements [door.Writer].
func (completions) Broken(dst []byte, e wire.Error) []byte { return e.AppendEvent(dst) }

func parseCompletion(rd *door.Reading, body []byte) *failure.Failure {
	c, err := openai.ParseCompletion(body)
	if err != nil {
		return failure.UnreadableRequest(err)
	}
	rd.Request = c.Canonical
	rd.Native = &alipayai.Native{Form: "completions", Body: body, Sendable: &c.Sent, Unsupported: c.Unsupported}
	return nil
}

// defaultModerator is the model that OpenAI's API takes where a request names none.
const defaultModerator = `"model":"omni-moderation-latest"`

// parseModeration reads the body of POST /v1/moderations, which may name a model.
func parseModeration(body []byte) (wire.Request, error) {
	if known, err := wire.ParseRequest(body, wire.Limits{}); err != nil {
		return known, err
	}
	var sent struct{ Model json.RawMessage }
	if json.Unmarshal(body, &sent) == nil && sent.Model == nil { // one of another type is refused as such
		at := bytes.IndexByte(body, '{') + 1
		named := append(append(bytes.Clone(body[:at]), defaultModerator...), ',')
		if trimmed := bytes.TrimSpace(body[at:]); len(trimmed) > 0 && trimmed[0] != '}' {
			body = append(named, body[at:]...)
		}
	}
	return wire.ParseEmbeddingsRequest(body, wire.Limits{})
}

// oneModel answers GET /v1/models/{id} from the list.
func oneModel(_ *http.Request, _ *alipayai.Call, rd *door.Reading) (door.Writer, *failure.Failure) {
	return door.WholeWriter(func(canonical []byte) ([]byte, *failure.Failure) {
		var list struct {
			Data []json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(canonical, &list); err != nil {
			return nil, door.Untranslated(err)
		}
		for _, m := range list.Data {
			var named struct {
				ID string `json:"id"`
			}
			if json.Unmarshal(m, &named) == nil && named.ID == rd.Param {
				return m, nil
			}
		}
		return nil, door.NoModel()
	}), nil
}
