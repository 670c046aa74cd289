package sandbox

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// Moonshot is the API of Kimi.
const Moonshot Dialect = "moonshot"

// moonshot takes temperatures from 0 to 1 (https://platform.moonshot.cn/docs/guide/migrating-from-openai-to-kimi) and, for the
// arguments of tools, schemas that say the type of each place where it is decided: docs/mfjs-spec.md and the errors of
// https://github.com/MoonshotAI/walle, as its service words them in https://github.com/openclaw/openclaw/issues/113130 and
// https://github.com/can1357/oh-my-pi/pull/5980.
func moonshot(r *vendorRequest) *vendorError {
	wrong := func(message string) *vendorError {
		return &vendorError{http.StatusBadRequest, map[string]any{"error": map[string]any{"message": message, "type": "invalid_request_error"}}}
	}
	if f, has := r.number("temperature"); has && !(f >= 0 && f <= 1) {
		return wrong("Invalid request: temperature must be between 0 and 1")
	}
	var tools []struct {
		Function struct{ Parameters any }
	}
	_ = json.Unmarshal(r.fields["tools"], &tools)
	for _, tool := range tools {
		if at, says := flavoured("root", tool.Function.Parameters); says != "" {
			return wrong("Invalid request: tools.function.parameters is not a valid moonshot flavored json schema, details: <At path '" + at + "': " + says + ">")
		}
	}
	return nil
}

// flavoured says what of a schema is not of Moonshot's kind, and where; empty for nothing.
func flavoured(at string, schema any) (where, says string) {
	s, ok := schema.(map[string]any)
	if !ok {
		return "", ""
	}
	list, _ := s["anyOf"].([]any)
	_, typed := s["type"]
	_, refers := s["$ref"]
	items, hasItems := s["items"]
	_, isObject := items.(map[string]any)
	switch {
	case typed && len(list) > 0:
		return at, "when using anyOf, type should be defined in anyOf items instead of the parent schema"
	case typed && refers:
		return at, "when using $ref, type should be defined in the referenced schema instead of the parent schema"
	case hasItems && !isObject:
		return at, "items must be an object"
	}
	for _, branch := range list {
		b, _ := branch.(map[string]any)
		if _, requires := b["required"]; requires && b["properties"] == nil {
			return at + ".anyOf", "'properties' keyword is missing"
		}
		if where, says = flavoured(at+".anyOf", branch); says != "" {
			return where, says
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if _, ok := properties[name].(map[string]any); !ok {
			return at + ".properties", "property schema for '" + name + "' must be an object"
		}
		if where, says = flavoured(at+".properties."+name, properties[name]); says != "" {
			return where, says
		}
	}
	return flavoured(at+".items", items)
}
