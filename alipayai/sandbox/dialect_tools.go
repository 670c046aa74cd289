package sandbox

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// The names that tools may have: at OpenAI, which others follow, and at Google.
var (
	plainName  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	googleName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$`)
)

// toolNames are the names of the tools that are offered.
func (r *vendorRequest) toolNames() []string {
	var tools []struct{ Function struct{ Name string } }
	_ = json.Unmarshal(r.fields["tools"], &tools)
	names := make([]string, len(tools))
	for i, tool := range tools {
		names[i] = tool.Function.Name
	}
	return names
}

// chosenTool is the tool that tool_choice names; "" for none.
func (r *vendorRequest) chosenTool() string {
	var choice struct{ Function struct{ Name string } }
	_ = json.Unmarshal(r.fields["tool_choice"], &choice)
	return choice.Function.Name
}

// forcesTool reports whether tool_choice demands a call.
func (r *vendorRequest) forcesTool() bool {
	return string(r.fields["tool_choice"]) == `"required"` || r.chosenTool() != ""
}

// misnamed gives the first name of a tool that is not of that form, and where it is.
func (r *vendorRequest) misnamed(form *regexp.Regexp) (at, name string) {
	wrong := func(name string) bool { return name != "" && !form.MatchString(name) }
	for i, name := range r.toolNames() {
		if wrong(name) {
			return fmt.Sprintf("tools[%d].function.name", i), name
		}
	}
	if name := r.chosenTool(); wrong(name) {
		return "tool_choice.function.name", name
	}
	for i, m := range r.messages {
		for j, call := range m.calls {
			if wrong(call.Function.Name) {
				return fmt.Sprintf("messages[%d].tool_calls[%d].function.name", i, j), call.Function.Name
			}
		}
	}
	return "", ""
}
