package alipaycaddy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Flags without a value, files that are no such thing and configurations of another form are refused, by their names and
// without a word of Go.
func TestCommandsRefuse(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, content := range map[string]string{
		"empty": "", "text": "hello\n", "list.json": "[]", "word.json": `{"apps":{"alipayai":"a"}}`, "apps.json": `{"apps":"a"}`, "ledger.json": `{"apps":{"alipayai":{"ledger":[]}}}`,
		"texts": "financial\tWhat is on my account?\n",
		"good":  "{\n\tadmin 127.0.0.1:1\n\talipayai {\n\t\tprovider a {\n\t\t\tprofile sandbox\n\t\t\tmodel m\n\t\t}\n\t}\n}\n",
	} {
		if name == "good" {
			name = "Caddyfile.good"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = "Caddyfile.good"
	suite := []string{"suite", "run", "--config", good, "--builtin", "compliance-zh"}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"config empty":           {[]string{"sign", "a", "--config", ""}, "--config is empty"},
		"file empty":             {[]string{"ledger", "report", "--file", ""}, "--file is empty"},
		"by empty":               {[]string{"ledger", "report", "--by", ""}, "--by is empty"},
		"intents, config empty":  {[]string{"intents", "test", "texts", "--config", ""}, "--config is empty"},
		"address empty":          {[]string{"calendar", "--address", ""}, "--address is empty"},
		"suite, compare empty":   {append(suite, "--compare", ""), "--compare is empty"},
		"suite, json a folder":   {append(suite, "--json", dir), "--json: open " + dir},
		"suite, junit nowhere":   {append(suite, "--junit", "no/where.xml"), "--junit: open no/where.xml"},
		"configuration a list":   {[]string{"sign", "a", "--config", "list.json"}, "reading the configuration list.json: all of it is array, and has to be of another type"},
		"app a word":             {[]string{"sign", "a", "--config", "word.json"}, "apps.alipayai is string"},
		"apps a word":            {[]string{"check", "--config", "apps.json"}, "apps is string"},
		"ledger a list":          {[]string{"ledger", "report", "--config", "ledger.json"}, "apps.alipayai.ledger is array"},
		"ledger, empty file":     {[]string{"ledger", "report", "--file", "empty"}, "empty is empty"},
		"ledger, another's file": {[]string{"ledger", "lines", "--file", "text"}, "text: it is the file of something else"},
		"ledger, folder":         {[]string{"ledger", "lines", "--file", dir}, dir + ": it is a folder"},
		"ledger, zone alone":     {[]string{"ledger", "report", "--zone", "Asia/Shanghai"}, "--zone is that of the days of --file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, notes, err := runCommandApart(t, test.args...)
			if err == nil {
				t.Fatal("no error")
			}
			said := err.Error() + notes
			if !strings.Contains(said, test.want) || strings.Contains(said, "struct") || strings.Contains(said, "goroutine") {
				t.Errorf("it says %q, want %q", said, test.want)
			}
			if wantStatus := test.args[0] == "suite"; strings.Contains(err.Error(), "status 2") != wantStatus {
				t.Errorf("error %v; a suite that could not be run has status 2", err)
			}
		})
	}
}
