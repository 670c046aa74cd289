package messages

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// model is one of the list in the API's form.
type model struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

func readModels(canonical []byte) ([]model, *failure.Failure) {
	var list struct {
		Data []struct {
			ID      string `json:"id"`
			Created int64  `json:"created"`
		} `json:"data"`
	}
	if err := json.Unmarshal(canonical, &list); err != nil {
		return nil, door.Untranslated(err)
	}
	models := make([]model, len(list.Data))
	for i, m := range list.Data {
		models[i] = model{Type: "model", ID: m.ID, DisplayName: m.ID, CreatedAt: time.Unix(m.Created, 0).UTC().Format(time.RFC3339)}
	}
	return models, nil
}

// claudeCodeWaits is for how long Claude Code waits for a list of models, less what the way there takes.
const claudeCodeWaits = 2500 * time.Millisecond

func listModels(r *http.Request, c *alipayai.Call, _ *door.Reading) (door.Writer, *failure.Failure) {
	c.Waits = claudeCodeWaits
	return door.WholeWriter(func(canonical []byte) ([]byte, *failure.Failure) {
		models, f := readModels(canonical)
		if f != nil {
			return nil, f
		}
		return page(models, r.URL.Query())
	}), nil
}

// page gives a part of the list: limit, after_id and before_id are those of the API's reference.
func page(models []model, query url.Values) ([]byte, *failure.Failure) {
	const most, least = 1000, 20
	limit := least
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return nil, failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, "limit must be a number from 1 to 1000")
		}
		limit = n
	}
	before := query.Get("before_id")
	for i, m := range models {
		if m.ID == query.Get("after_id") {
			models = models[i+1:]
			break
		}
		if before != "" && m.ID == before {
			models = models[:i]
			break
		}
	}
	more := len(models) > limit
	switch {
	case more && before != "":
		models = models[len(models)-limit:]
	case more:
		models = models[:limit]
	}
	answer := struct {
		Data    []model `json:"data"`
		HasMore bool    `json:"has_more"`
		FirstID *string `json:"first_id"`
		LastID  *string `json:"last_id"`
	}{Data: models, HasMore: more}
	if len(models) > 0 {
		answer.FirstID, answer.LastID = &models[0].ID, &models[len(models)-1].ID
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, door.Untranslated(err)
	}
	return body, nil
}

func oneModel(_ *http.Request, _ *alipayai.Call, rd *door.Reading) (door.Writer, *failure.Failure) {
	return door.WholeWriter(func(canonical []byte) ([]byte, *failure.Failure) {
		models, f := readModels(canonical)
		if f != nil {
			return nil, f
		}
		for _, m := range models {
			if m.ID == rd.Param {
				body, err := json.Marshal(m)
				if err != nil {
					return nil, door.Untranslated(err)
				}
				return body, nil
			}
		}
		return nil, door.NoModel()
	}), nil
}
