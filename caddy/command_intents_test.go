package alipaycaddy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIntentsTest(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("intents/fruit.txt", "apples and pears\na ripe banana\n")
	file("intents/metal.txt", "iron and steel\na copper wire\n")
	file("broken/metal.txt", "iron and steel\n")
	config := file("Caddyfile", "{\n\talipayai {\n\t\tintents "+dir+"/intents\n\t}\n}\n")
	broken := file("Broken", "{\n\talipayai {\n\t\tintents "+dir+"/broken\n\t}\n}\n")
	labelled := file("labelled.tsv", "# a comment\n\nfruit\tapples\nfruit\ta copper wire\nmetal\tcopper wire\n")
	for name, c := range map[string]struct {
		args []string
		want []string
		fail bool
	}{
		"built-in examples": {[]string{file("en.tsv", "financial\tmy credit card was declined\ntrivial\thello there\n")},
			[]string{"texts     2", "accuracy  1.0000", "financial      1  1.0000"}, false},
		"own examples": {[]string{labelled, "--config", config},
			[]string{"texts     3", "accuracy  0.6667", "fruit      2  0.5000     1.0000", "metal      1  1.0000     0.5000", "fruit      1      1\n", "metal      0      1\n"}, false},
		"one intent":   {[]string{labelled, "--config", broken, "--adapter", "caddyfile"}, []string{"two intents at least"}, true},
		"no tab":       {[]string{file("wrong.tsv", "fruit\tapples\nfruit pears\n")}, []string{"wrong.tsv: line 2: write an intent, a tab and a text"}, true},
		"empty":        {[]string{file("empty.tsv", "\n")}, []string{"there is no text"}, true},
		"no file":      {[]string{filepath.Join(dir, "gone.tsv")}, []string{"gone.tsv"}, true},
		"not a file":   {nil, []string{"accepts 1 arg"}, true},
		"no Caddyfile": {[]string{labelled, "--config", filepath.Join(dir, "none")}, []string{"none"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			output, err := runCommand(t, append([]string{"intents", "test"}, c.args...)...)
			if (err != nil) != c.fail {
				t.Errorf("error %v", err)
			}
			if err != nil {
				output += err.Error()
			}
			for _, want := range c.want {
				if !strings.Contains(output, want) {
					t.Errorf("no %q in\n%s", want, output)
				}
			}
		})
	}
}
