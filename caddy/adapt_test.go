package alipaycaddy

import (
	"bytes"
	"encoding/json"
	goflag "flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

var update = goflag.Bool("update", false, "write what the adapt tests give into their golden files")

// goldenLine separates a golden file's Caddyfile from what it adapts to.
const goldenLine = "\n----------\n"

// TestAdapt adapts the Caddyfile of each golden file and compares the JSON with
// the rest of the file. Caddyfiles with mistakes are in the table of TestMistakes.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, found := strings.Cut(string(content), goldenLine)
			if !found {
				t.Fatal("the file has no line of ten dashes")
			}
			input += "\n"
			if formatted := string(caddyfile.Format([]byte(input))); formatted != input {
				t.Errorf("the Caddyfile is not formatted; it should be\n%s", formatted)
			}
			got, failed := adapted(t, input)
			if failed {
				t.Fatalf("adapting failed: %s", got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(strings.TrimSuffix(input, "\n")+goldenLine+got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("adapted to\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// adapted gives the indented JSON of a Caddyfile, or its error's text.
func adapted(t *testing.T, input string) (text string, failed bool) {
	t.Helper()
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n", true
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String() + "\n", false
}

// FuzzCaddyfile adapts whatever text there is: it may be refused, but no
// directive may panic, and what is accepted must be JSON.
func FuzzCaddyfile(f *testing.F) {
	files, err := filepath.Glob("testdata/adapt/[a-l]*.caddyfiletest")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(content), goldenLine)
		f.Add(input)
	}
	f.Add("{\nalipayai {\nprovider a {\ntransport alipayai a {\nhttp {\n")
	f.Add(":1\nreverse_proxy a {\ntransport alipayai\n}\n")
	f.Add("alipayai_proxy")
	f.Fuzz(func(t *testing.T, input string) {
		// Nothing outside the text: imports read files.
		if strings.Contains(input, "import") {
			return
		}
		config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), nil)
		if err == nil && !json.Valid(config) {
			t.Errorf("adapted to what is no JSON: %s", config)
		}
	})
}
