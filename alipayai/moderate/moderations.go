package moderate

import (
	"encoding/json"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// MaxInputs is how many texts a moderator gives verdicts on in one answer, since a model is asked for each.
const MaxInputs = 64

// Inputs takes the input of a request of POST /v1/moderations apart: one element for each result that its answer has, a
// string or all parts of an array of parts. Images are refused, for rules cannot read them. Every error is a
// [*wire.RequestError]. Source: OpenAI's reference, "Create moderation".
func Inputs(body []byte) ([][]wire.Text, error) {
	var request struct {
		Input json.RawMessage `json:"input"`
	}
	_ = json.Unmarshal(body, &request) // what does not parse has no input
	var one string
	if json.Unmarshal(request.Input, &one) == nil {
		return [][]wire.Text{{embedded(one)}}, nil
	}
	var many []string
	if json.Unmarshal(request.Input, &many) == nil {
		if len(many) == 0 || len(many) > MaxInputs {
			return nil, unreadableInput("an array of 1 to 64 strings")
		}
		inputs := make([][]wire.Text, len(many))
		for i, text := range many {
			inputs[i] = []wire.Text{embedded(text)}
		}
		return inputs, nil
	}
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if json.Unmarshal(request.Input, &parts) != nil || len(parts) == 0 {
		return nil, unreadableInput("a string, an array of strings, or an array of parts of type text")
	}
	var texts []wire.Text
	for _, part := range parts {
		if part.Type != "text" || part.Text == nil {
			return nil, unreadableInput("parts of type text alone, since this moderator reads no images")
		}
		texts = append(texts, embedded(*part.Text))
	}
	return [][]wire.Text{texts}, nil
}

func embedded(text string) wire.Text { return wire.Text{Message: -1, Value: text} }

func unreadableInput(want string) error {
	return &wire.RequestError{Param: "input", Code: wire.CodeInvalidValue, Message: "invalid 'input': expected " + want}
}

// categories are OpenAI's, which its clients' types require. A moderator's policies stand beside them.
var categories = [...]string{
	"harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
	"self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
}

// result is one of an answer to POST /v1/moderations.
type result struct {
	Flagged    bool                `json:"flagged"`
	Categories map[string]bool     `json:"categories"`
	Scores     map[string]float64  `json:"category_scores"`
	Applied    map[string][]string `json:"category_applied_input_types"`
}

// Answer makes the answer to a request of POST /v1/moderations, in OpenAI's form: a result for each verdict, whose policy
// is one category more.
func Answer(id, model string, verdicts []Verdict) []byte {
	results := make([]result, len(verdicts))
	for i, v := range verdicts {
		r := result{v.Blocked, make(map[string]bool), make(map[string]float64), make(map[string][]string)}
		for _, c := range categories {
			r.Categories[c], r.Scores[c], r.Applied[c] = false, 0, []string{"text"}
		}
		if v.Blocked {
			r.Categories[v.Policy], r.Scores[v.Policy], r.Applied[v.Policy] = true, 1, []string{"text"}
		}
		results[i] = r
	}
	return encode(struct {
		ID      string   `json:"id"`
		Model   string   `json:"model"`
		Results []result `json:"results"`
	}{id, model, results})
}
