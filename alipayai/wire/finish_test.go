package wire

import "testing"

// TestFinishWords has finish reasons of vendors' own, as clients of the other APIs see them by OpenAI's word, and how much of an
// answer there is.
func TestFinishWords(t *testing.T) {
	for reason, want := range map[string]struct {
		word   string
		ending Ending
	}{
		"content_filter: PROHIBITED_CONTENT": {"content_filter", EndingCut}, // https://github.com/HKUDS/Vibe-Trading/pull/308
		"content_filter":                     {"content_filter", EndingCut},
		"IMAGE_PROHIBITED_CONTENT":           {"content_filter", EndingUnknown}, // https://github.com/BerriAI/litellm/issues/20357
		"SPII":                               {"content_filter", EndingUnknown}, // https://github.com/NousResearch/hermes-agent/pull/53610
		"TOOL_CALL":                          {"tool_calls", EndingWhole},
		"function_call_filter: MALFORMED_FUNCTION_CALL": {"function_call_filter: MALFORMED_FUNCTION_CALL", EndingUnknown}, // nothing of what was to be called has come
		"MAX_TOKENS":    {"length", EndingCut},
		"network_error": {"length", EndingUnknown}, // GLM's: https://github.com/pydantic/pydantic-ai/issues/7678
		"abort":         {"length", EndingUnknown},
		"Error":         {"length", EndingUnknown},
		"halted":        {"halted", EndingUnknown},
		"":              {"", EndingWhole},
	} {
		if word, ending := FinishWord(reason), EndingOf(reason); word != want.word || ending != want.ending {
			t.Errorf("%q is %q, %v", reason, word, ending)
		}
	}
}
