package alipaycaddy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// frontPage gives the Caddyfile of the repository's README.md that has this mark.
func frontPage(t *testing.T, mark string) string { return documented(t, "../README.md", mark) }

// documented gives the Caddyfile of a document that has this mark.
func documented(t *testing.T, document, mark string) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- validated: "+mark+" -->\n```\n")
	block, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		t.Fatalf("%s has no Caddyfile with the mark %q", document, mark)
	}
	block += "\n"
	if formatted := string(caddyfile.Format([]byte(block))); formatted != block {
		t.Errorf("the Caddyfile is not formatted; it should be\n%s", formatted)
	}
	return block
}

// moved is text with each of what it mentions at another place.
func moved(t *testing.T, text string, places map[string]string) string {
	t.Helper()
	for from, to := range places {
		if !strings.Contains(text, from) {
			t.Errorf("the Caddyfile does not mention %q", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return text
}

// TestProductionCaddyfile validates the README's production Caddyfile as `caddy
// validate` does, with its files in a folder and its environment set.
func TestProductionCaddyfile(t *testing.T) {
	block := frontPage(t, "production")
	environment := map[string]string{
		"ALIPAYAI_ENCRYPTION_KEY": strings.Repeat("0123456789abcdef", 4),
		"REDIS_ADDRESS":           "127.0.0.1:6379",
		"REDIS_PASSWORD":          "a password of Redis",
		"AGE_RECIPIENT":           "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
		"SLACK_WEBHOOK_URL":       "https://hooks.slack.com/services/T0/B0/a-secret",
		"PAGERDUTY_ROUTING_KEY":   strings.Repeat("0123456789abcdef", 2),
		"ALIPAY_CLIENT_ID":        "5Y000000000000001",
		"ALIPAY_OAUTH_SECRET":     "a client secret of the app",
		"ANTHROPIC_API_KEY":       "sk-ant-a-key-of-the-provider",
	}
	for _, m := range regexp.MustCompile(`\{env\.(\w+)\}`).FindAllStringSubmatch(block, -1) {
		if _, ok := environment[m[1]]; !ok {
			t.Errorf("the Caddyfile needs %s, which this test does not set", m[1])
		}
	}
	for name, value := range environment {
		if !strings.Contains(block, "{env."+name+"}") {
			t.Errorf("the Caddyfile does not need %s", name)
		}
		t.Setenv(name, value)
	}

	dir := t.TempDir()
	_, hash := tenants.NewKey()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	block = moved(t, block, map[string]string{
		"/etc/caddy/tenants":      write("tenants", "shop "+hash.String()+"\n"),
		"/run/secrets/alipay":     filepath.Dir(write("keys/1", "a signing key of more than 16 bytes")),
		"/var/lib/caddy/evidence": filepath.Join(dir, "evidence"),
	})
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(block), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	var config *caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(config); err != nil {
		t.Error(err)
	}
}

// What the binary has is what xcaddy.md shows of it, as `caddy list-modules` prints it, and what this package's own
// documentation lists.
func TestModulesAreListed(t *testing.T) {
	var registered []string
	for _, id := range caddy.Modules() {
		if strings.Contains(id, "alipayai") {
			registered = append(registered, id)
		}
	}
	for document, begins := range map[string]string{"../xcaddy.md": "    $ ./caddy list-modules | grep alipayai\n", "doc.go": "// directives and the state that survives a reload.\n//\n"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(text), begins)
		if !found {
			t.Fatalf("%s has no list of modules", document)
		}
		var listed []string
		for line := range strings.Lines(rest) {
			fields := strings.Fields(strings.TrimPrefix(line, "//"))
			if len(fields) == 0 || !strings.Contains(fields[0], "alipayai") || strings.HasPrefix(line, "package") {
				break
			}
			listed = append(listed, fields[0])
		}
		slices.Sort(listed)
		if !slices.Equal(listed, registered) {
			t.Errorf("%s lists the modules %v, and the package registers %v", document, listed, registered)
		}
	}
}

// Every profile is in README.md's table, with its dialect and its address.
func TestProfilesAreListed(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## Profiles\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	rows := make(map[string]string)
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") && len(cells) == 7 {
			rows[strings.Trim(cells[1], " `")] = line
		}
	}
	for _, name := range upstream.ProfileNames() {
		profile := must(upstream.LookupProfile(name))
		row := rows[name]
		delete(rows, name)
		dialect := profile.Dialect
		if profile.Kind().SignsParameters {
			dialect = "" // no call is made of it
		}
		for _, has := range []string{profile.BaseURL, dialect} {
			if row == "" || has != "" && !strings.Contains(row, "`"+has+"`") {
				t.Errorf("the row of profile %s lacks %q: %s", name, has, row)
			}
		}
	}
	for name := range rows {
		t.Errorf("there is no profile %s", name)
	}
}
