package wire

import "testing"

// TestArgumentsObject has what models, servers and clients make of the arguments of a call.
func TestArgumentsObject(t *testing.T) {
	for name, tt := range map[string]struct {
		text, want string
		whole      bool
	}{
		"an object":      {` {"a": 1} `, `{"a": 1}`, true},
		"nothing":        {"", "{}", true},
		"null":           {"null", "{}", true},
		"an empty array": {"[]", "{}", true},
		// https://github.com/vllm-project/vllm/pull/54964, https://github.com/JetBrains/koog/issues/2095, https://github.com/quarkiverse/quarkus-langchain4j/pull/2642
		"encoded twice":      {`"{\"a\":1}"`, `{"a":1}`, true},
		"encoded thrice":     {`"\"{\\\"a\\\":1}\""`, `{"a":1}`, true},
		"an empty text":      {`""`, "{}", true},
		"white space inside": {"\"{\\n  \\\"a\\\": 1\\n}\"", "{\n  \"a\": 1\n}", true},
		"cut":                {`{"a":`, `{"INVALID_JSON":"{\"a\":"}`, false},
		"cut inside":         {`"{\"a\":"`, `{"INVALID_JSON":"\"{\\\"a\\\":\""}`, false},
		"a text":             {`"a"`, `{"INVALID_JSON":"\"a\""}`, false},
		"an array":           {`[1]`, `{"INVALID_JSON":"[1]"}`, false},
		"a number":           {`7`, `{"INVALID_JSON":"7"}`, false},
		"half a text":        {`"{}`, `{"INVALID_JSON":"\"{}"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, whole := ArgumentsObject(tt.text)
			if string(got) != tt.want || whole != tt.whole {
				t.Errorf("%s, %v, want %s, %v", got, whole, tt.want, tt.whole)
			}
		})
	}
}
