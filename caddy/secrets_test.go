package alipaycaddy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What editors put around a file's text is no part of a secret, and a placeholder is replaced where nothing else stands.
func TestResolvedValues(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "{file." + path + "}"
	}
	t.Setenv("TEST_SECRET", "from-the-environment")
	t.Setenv("TEST_ENDED", "from-the-environment\r\n\n")
	t.Setenv("TEST_LINES", "two\nlines\n")
	t.Setenv("TEST_BREAK", "\n")
	s := newSecrets(true)
	for name, test := range map[string]struct {
		value, want, wrong string
	}{
		"environment":              {"{env.TEST_SECRET}", "from-the-environment", ""},
		"environment, line breaks": {"{env.TEST_ENDED}", "from-the-environment", ""}, // https://github.com/clusterzx/paperless-ai/issues/469
		"environment, two lines":   {"{env.TEST_LINES}", "two\nlines", ""},
		"environment, a break":     {"{env.TEST_BREAK}", "", "option: placeholder {env.TEST_BREAK} is not set or empty"},
		"file":                     {file("plain", "from-a-file\n"), "from-a-file", ""},
		"byte order mark and CRLF": {file("marked", "\ufefffrom-a-file\r\n"), "from-a-file", ""},
		"literal":                  {"a-literal", "a-literal", ""},
		"braces":                   {`{"a": 1}`, `{"a": 1}`, ""},
		"text around it":           {"Bearer {env.TEST_SECRET}", "", "option: {env.TEST_SECRET} is replaced only where it is the whole value"},
		"of a request":             {"{http.request.host}", "", "option: {http.request.host} is not replaced here"},
		"not set":                  {"{env.TEST_UNSET}", "", "option: placeholder {env.TEST_UNSET} is not set or empty"},
		"empty":                    {"", "", "option is empty"},
	} {
		for how, resolve := range map[string]func(option, value string) (string, error){"secret": s.resolve, "public": s.public} {
			t.Run(name+", "+how, func(t *testing.T) {
				got, err := resolve("option", test.value)
				if got != test.want || (err != nil) != (test.wrong != "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("got %q, %v; want %q, %q", got, err, test.want, test.wrong)
				}
			})
		}
	}
	if got, err := s.fill("option", "Bearer {file."+filepath.Join(dir, "marked")+"}"); got != "Bearer from-a-file" || err != nil {
		t.Errorf("a header is filled with %q, %v", got, err)
	}
}
