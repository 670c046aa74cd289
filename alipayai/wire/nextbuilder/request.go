package nextbuilder

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// request is the body of a call, in the names of the official SDKs. What they also know is not sent: inputs and
// multi_modal_inputs (files by their id in Alipay's own store) have no counterpart in OpenAI's API.
type request struct {
	AgentID       string `json:"agent_id"`
	OuterUserID   string `json:"outer_user_id"`
	Query         string `json:"query"`
	RequestID     string `json:"request_id"`
	SessionID     string `json:"session_id"`
	LLMThinking   bool   `json:"llm_thinking,omitzero"`
	ConfigVersion string `json:"config_version,omitzero"`
}

// EncodeRequest asks the agent what the last message of the user says. It fails with a [*wire.RequestError] when there
// is no such message or no text in it.
func (f Format) EncodeRequest(ask wire.Ask) (wire.Encoded, error) {
	chat, err := readChat(ask.Body)
	if err != nil {
		return wire.Encoded{}, err
	}
	from := caller{tenant: ask.Tenant, user: chat.User}
	if from.user == "" {
		from.user = chat.SafetyIdentifier
	}
	unsupported := chat.unsupportedFields()
	name := ""
	if v := chat.Metadata[sessionKey]; v.Kind() == '"' {
		name = unquote(v)
	}
	if name != "" && !from.mayShareSession() {
		unsupported = append(unsupported, "metadata."+sessionKey)
		name = ""
	}
	session := from.sessionOfCall(ask.ID)
	if name != "" {
		session = from.session(name)
	}
	query, left, err := readMessages(chat.Messages, name != "")
	if err != nil {
		return wire.Encoded{}, err
	}
	unsupported = append(unsupported, left...)
	slices.Sort(unsupported)
	body, err := json.Marshal(request{
		AgentID:       f.AgentID,
		OuterUserID:   from.outerUserID(),
		Query:         query,
		RequestID:     ask.ID,
		SessionID:     session,
		LLMThinking:   f.Thinking,
		ConfigVersion: f.ConfigVersion,
	}, jsontext.AllowInvalidUTF8(true)) // of what is not the client's; it becomes U+FFFD
	return wire.Encoded{Body: body, Unsupported: slices.Compact(unsupported)}, err
}
