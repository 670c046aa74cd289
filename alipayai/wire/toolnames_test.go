package wire

import (
	"strings"
	"testing"
)

func TestToolNames(t *testing.T) {
	forms := map[string]ToolName{
		"plain":    {Most: 64},
		"dots":     {Most: 64, Dots: true, Letter: true},
		"reserved": {Most: 64, Reserved: []string{"search"}},
		"short":    {Most: 12, Letter: true},
	}
	for name, form := range forms {
		seen := make(map[string]string)
		for _, own := range []string{
			"f", "get_weather", "search", "search_", "files.read", "files_read", "files:read", "files/read", "files read", "7up", "-f", "_f", "查询", "查詢", "\x00", "\xff",
			strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a", 66), strings.Repeat("é", 64), "mcp__server.tool:v1",
		} {
			fit := form.Fit(own)
			if !form.Takes(fit) {
				t.Errorf("%s: %q becomes %q, which is not taken", name, own, fit)
			}
			if form.Takes(own) != (fit == own) {
				t.Errorf("%s: %q becomes %q", name, own, fit)
			}
			if form.Fit(own) != fit || form.Fit(fit) != fit {
				t.Errorf("%s: %q has several names", name, own)
			}
			if other, ok := seen[fit]; ok {
				t.Errorf("%s: %q and %q both become %q", name, own, other, fit)
			}
			seen[fit] = own
		}
		if form.Fit("") != "" {
			t.Errorf("%s: a name is invented", name)
		}
	}
	var names ToolNames
	for _, own := range []string{"f", "a.b", "a.b"} {
		names.Fit(&ToolName{Most: 64}, own)
	}
	if len(names) != 1 || names[(&ToolName{Most: 64}).Fit("a.b")] != "a.b" {
		t.Errorf("remembers %v", names)
	}
}
