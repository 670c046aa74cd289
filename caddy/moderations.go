package alipaycaddy

import (
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// answerModerations answers POST /v1/moderations by what the moderator says of each input, which goes to no provider but
// its own model's.
func (m *moderatedRequest) answerModerations(w http.ResponseWriter, body []byte) {
	inputs, err := moderate.Inputs(body)
	if err != nil {
		m.refuse(w, failure.UnreadableRequest(err))
		return
	}
	policy := m.h.moderator.policy
	verdicts := make([]moderate.Verdict, len(inputs))
	var asked [][]wire.Text // of what the rules permit
	var at []int
	for i, texts := range inputs {
		if verdicts[i] = policy.CheckRules(texts); !verdicts[i].Blocked && policy.Model != nil {
			asked, at = append(asked, texts), append(at, i)
		}
	}
	if len(asked) > 0 {
		if f := m.outside(); f != nil {
			m.refuse(w, f)
			return
		}
		for i, v := range m.askModel(asked) {
			verdicts[at[i]] = v
		}
	}
	for i, v := range verdicts {
		m.texts = inputs[i]
		if v.Err != nil {
			m.record(v)
		} else { // what is flagged is an answer, and no refusal
			m.h.moderator.metrics.moderated(m.h.Moderator, string(v.By), resultOf(v))
		}
		if v.By == moderate.ByError && v.Blocked {
			m.refuse(w, alipayai.ModerationUnavailable(v.Policy))
			return
		}
	}
	m.note(moderationNone, "")
	answerPage(m.h.app.cors, w, m.r)
	w.Header().Set("Content-Type", "application/json")
	id := m.requestID()
	w.Header().Set("X-Request-Id", id)
	_, _ = w.Write(moderate.Answer("modr-"+id, m.h.Moderator, verdicts))
}
