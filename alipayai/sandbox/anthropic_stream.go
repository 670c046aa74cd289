package sandbox

// script is message_start, then each block with its start, its deltas and its
// stop, then message_delta and message_stop. A ping follows the first start.
func (f anthropic) script(a *answer) script {
	start := newClaudeMessage(a)
	start.Usage.Output = 1 // the API counts the first token here, and all of them in message_delta
	end := claudeEvent("message_stop", struct{}{})
	out := script{open: [][]byte{claudeEvent("message_start", claudeStart{start})}, end: end}
	ping := claudeEvent("ping", struct{}{})

	var before []byte // what stands between the deltas of two blocks
	blocks := f.blocks(a)
	for i, block := range blocks {
		before = append(before, claudeEvent("content_block_start", claudeBlock{Index: i, Block: emptied(block)})...)
		if i == 0 {
			out.open = append(out.open, before, ping)
			before = nil
		}
		for _, delta := range deltas(a, block) {
			event := claudeEvent("content_block_delta", claudeBlock{Index: i, Delta: delta})
			out.content = append(out.content, append(before, event...))
			before = nil
		}
		if _, ok := block.(claudeThinking); ok {
			before = claudeEvent("content_block_delta", claudeBlock{Index: i, Delta: signatureDelta{"signature_delta", thoughtSignature}})
		}
		before = append(before, claudeEvent("content_block_stop", claudeBlock{Index: i})...)
	}
	out.finish = [][]byte{before, claudeEvent("message_delta", claudeFinish{newClaudeStop(a), claudeUsage{Input: a.promptTokens, Output: a.answerTokens}}), end}
	return out
}

type claudeStart struct {
	Message claudeMessage `json:"message"`
}

type claudeBlock struct {
	Index int `json:"index"`
	Block any `json:"content_block,omitzero"`
	Delta any `json:"delta,omitzero"`
}

type claudeFinish struct {
	Delta claudeStop  `json:"delta"`
	Usage claudeUsage `json:"usage"`
}

type (
	textDelta struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	thinkingDelta struct {
		Type     string `json:"type"`
		Thinking string `json:"thinking"`
	}
	signatureDelta struct {
		Type      string `json:"type"`
		Signature string `json:"signature"`
	}
	inputDelta struct {
		Type    string `json:"type"`
		Partial string `json:"partial_json"`
	}
)

// emptied is a block as its start shows it.
func emptied(block any) any {
	switch b := block.(type) {
	case claudeText:
		b.Text = ""
		return b
	case claudeThinking:
		b.Thinking, b.Signature = "", ""
		return b
	case claudeToolUse:
		b.Input = struct{}{}
		return b
	}
	return block
}

// deltas are the content of a block, piece by piece.
func deltas(a *answer, block any) (out []any) {
	if b, ok := block.(claudeThinking); ok {
		return []any{thinkingDelta{"thinking_delta", b.Thinking}}
	}
	for _, p := range a.pieces() {
		if a.end == endsInCall {
			out = append(out, inputDelta{"input_json_delta", p})
		} else {
			out = append(out, textDelta{"text_delta", p})
		}
	}
	return out
}

// claudeEvent writes an event: its data is v with the event's type in it.
func claudeEvent(kind string, v any) []byte {
	body := mustJSON(v)
	rest := ""
	if len(body) > len("{}") {
		rest = ","
	}
	return []byte("event: " + kind + "\ndata: {\"type\":\"" + kind + "\"" + rest + string(body[1:]) + "\n\n")
}
