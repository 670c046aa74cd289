package alipaycaddy

import (
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
)

// answerModerations answers POST /v1/moderations by what the moderator says of each input, which goes to no provider but
// its own model's.
func (m *moderatedRequest) answerModerations(w http.ResponseWriter, body []byte) {
	inputs, err := moderate.Inputs(body)
	if err != nil {
		m.refuse(w, failure.UnreadableRequest(err))
		return
	}
	verdicts := make([]moderate.Verdict, len(inputs))
	for i, texts := range inputs {
		m.texts = texts
		v := m.h.moderator.policy.CheckRules(texts)
		if !v.Blocked && m.h.moderator.policy.Model != nil {
			if f := m.outside(); f != nil {
				m.refuse(w, f)
				return
			}
			v = m.askModel()
		}
		if v.Err != nil {
			m.record(v)
		} else { // what is flagged is an answer, and no refusal
			m.h.moderator.metrics.moderated(m.h.Moderator, string(v.By), resultOf(v))
		}
		if v.By == moderate.ByError && v.Blocked {
			m.refuse(w, alipayai.ModerationUnavailable(v.Policy))
			return
		}
		verdicts[i] = v
	}
	m.note(moderationNone, "")
	answerPage(m.h.app.cors, w, m.r)
	w.Header().Set("Content-Type", "application/json")
	id := m.requestID()
	w.Header().Set("X-Request-Id", id)
	_, _ = w.Write(moderate.Answer("modr-"+id, m.h.Moderator, verdicts))
}
