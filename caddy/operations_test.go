package alipaycaddy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// firstCells gives what the rows of the tables in a section of a document are about: the words in backquotes of their
// first cell.
func firstCells(t *testing.T, document, section string) map[string]bool {
	t.Helper()
	_, text, found := strings.Cut("\n"+string(must(os.ReadFile(document))), "\n"+section+"\n")
	if !found {
		t.Fatalf("%s has no section %q", document, section)
	}
	level, _, _ := strings.Cut(section, " ")
	text, _, _ = strings.Cut(text, "\n"+level+" ")
	cells := make(map[string]bool)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		first, _, _ := strings.Cut(line[2:], " |")
		for i, word := range strings.Split(first, "`") {
			if i%2 == 1 {
				cells[word] = true
			}
		}
	}
	return cells
}

// TestMetricsAreDocumented holds that OPERATIONS.md has a row for each metric, and none for another.
func TestMetricsAreDocumented(t *testing.T) {
	names := make(map[string]bool)
	files, _ := parsed(t)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && strings.HasPrefix(text, "caddy_alipayai_") {
					names[text] = true
				}
			}
			return true
		})
	}
	if len(names) < 40 {
		t.Errorf("only %d metrics were found", len(names))
	}
	rows := firstCells(t, "OPERATIONS.md", "## Metrics")
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !rows[name] {
			t.Errorf("OPERATIONS.md has no row for %s", name)
		}
	}
	for row := range rows {
		if strings.HasPrefix(row, "caddy_alipayai_") && !names[row] {
			t.Errorf("there is no metric %s", row)
		}
	}
}

// TestAlertsAreDocumented holds that OPERATIONS.md says of each kind of alert when it begins and ends.
func TestAlertsAreDocumented(t *testing.T) {
	file := must(parser.ParseFile(token.NewFileSet(), "../alipayai/alert/notification.go", nil, parser.SkipObjectResolution))
	rows, kinds := firstCells(t, "OPERATIONS.md", "## Alerts"), 0
	ast.Inspect(file, func(n ast.Node) bool {
		declared, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := declared.Type.(*ast.Ident); ok && of.Name == "Kind" {
			kinds++
			if kind := must(strconv.Unquote(declared.Values[0].(*ast.BasicLit).Value)); !rows[kind] {
				t.Errorf("OPERATIONS.md has no row for the alert %s", kind)
			}
		}
		return true
	})
	if kinds < 20 {
		t.Errorf("only %d kinds of alerts were found", kinds)
	}
}

// TestDialectsAreDocumented holds that README.md, where it describes the option, and the table of dialects name each.
func TestDialectsAreDocumented(t *testing.T) {
	_, option, _ := strings.Cut(string(must(os.ReadFile("README.md"))), "\n| `dialect` | how it takes OpenAI's form")
	option, _, _ = strings.Cut(option, "\n")
	rows := firstCells(t, "../alipayai/README.md", "### Dialects")
	for _, name := range openai.DialectNames() {
		if !strings.Contains(option, "`"+name+"`") {
			t.Errorf("README.md does not name %s where it describes the option dialect", name)
		}
		if !rows[name] && name != openai.NoDialect {
			t.Errorf("alipayai/README.md does not say what becomes of a request for the dialect %s", name)
		}
	}
}
