package wire

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestIsDefault(t *testing.T) {
	tests := map[string]struct {
		field, value string
		want         bool
	}{
		"absent":              {"seed", ``, true},
		"null":                {"seed", `null`, true},
		"number":              {"n", `1`, true},
		"another spelling":    {"temperature", `1.0e0`, true},
		"negative zero":       {"frequency_penalty", `-0`, true},
		"another number":      {"n", `2`, false},
		"object with spaces":  {"response_format", ` { "type" : "te\u0078t" } `, true},
		"one of two":          {"service_tier", `"default"`, true},
		"neither":             {"service_tier", `"flex"`, false},
		"both booleans":       {"parallel_tool_calls", `false`, true},
		"type differs":        {"store", `0`, false},
		"empty list":          {"tools", `[ ]`, true},
		"filled list":         {"tools", `[{}]`, false},
		"part of a field":     {"messages.annotations", `[]`, true},
		"same name elsewhere": {"annotations", `[]`, false},
		"no default":          {"seed", `0`, false},
		"not JSON":            {"n", `1x`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := tt.value
			v := jsontext.Value(tt.value)
			if got := IsDefault(tt.field, v); got != tt.want || string(v) != before {
				t.Errorf("got %v, want %v; the value is now %s", got, tt.want, v)
			}
		})
	}
	for field, values := range defaults {
		for _, v := range values {
			if !IsDefault(field, jsontext.Value(v)) {
				t.Errorf("%s: %s is not in canonical form", field, v)
			}
		}
	}
}

func TestVisible(t *testing.T) {
	tests := map[string]struct{ word, want string }{
		"plain":        {"enable_search", "enable_search"},
		"empty":        {"", "?"},
		"header break": {"a\r\nX-Evil: b", "a??X-Evil:?b"},
		"NUL and DEL":  {"a\x00\x7fb", "a??b"},
		"no ASCII":     {"日本", "??"},
		"long":         {strings.Repeat("x", 100), strings.Repeat("x", 64)},
		"long, wide":   {strings.Repeat("日", 100), strings.Repeat("?", 64)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Visible(tt.word); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
