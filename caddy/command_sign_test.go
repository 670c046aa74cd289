//go:build unix

package alipaycaddy

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf16"
)

// signingConfig writes a configuration with the provider "own", which signs, and gives its path.
func signingConfig(t *testing.T, dir string) string {
	t.Helper()
	t.Setenv("OWN_KEY", "a-key-of-the-test-1")
	t.Setenv("OWN_SECRET", "a-secret-of-the-test-1")
	path := filepath.Join(dir, "Caddyfile")
	config := "{\nalipayai {\nprovider own {\nprofile alipay\nenvironment sandbox\nbase_url https://ai.example.com\nclient_id APP1\n" +
		"key 1 {env.OWN_KEY}\ntoken https://ai.example.com/token {env.OWN_SECRET}\n}\n}\n}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSignRefuses has arguments and files that cannot be signed: the error names the option and what would be right, and no
// file is waited for, or read without an end.
func TestSignRefuses(t *testing.T) {
	dir := t.TempDir()
	config := signingConfig(t, dir)
	pipe, large := filepath.Join(dir, "pipe"), filepath.Join(dir, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := sparse.Truncate(32<<20 + 1); err != nil {
		t.Fatal(err)
	}
	sparse.Close()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a pipe":                 {[]string{"--body-file", pipe}, "--body-file: " + pipe + " is no regular file"},
		"a device":               {[]string{"--body-file", "/dev/zero"}, "--body-file: /dev/zero is no regular file"},
		"a folder":               {[]string{"--body-file", dir}, "--body-file: " + dir + " is no regular file"},
		"a large file":           {[]string{"--body-file", large}, "--body-file: is larger than 32 MiB"},
		"no file":                {[]string{"--body-file", filepath.Join(dir, "none")}, "--body-file: stat"},
		"no method":              {[]string{"--method", ""}, "--method is empty"},
		"a method of two words":  {[]string{"--method", "PO ST"}, `--method "PO ST" is no method`},
		"a method with a field":  {[]string{"--method", "GET\r\nX: y"}, "is no method"},
		"another's address":      {[]string{"--uri", "https://example.com/v1"}, `--uri "https://example.com/v1" is no target`},
		"another's host":         {[]string{"--uri", "//example.com/v1"}, "is no target"},
		"no path":                {[]string{"--uri", ""}, "--uri is empty"},
		"a path without a slash": {[]string{"--uri", "v1"}, "is no target"},
		"a fragment":             {[]string{"--uri", "/v1?a=b#c"}, "is no target"},
		"a space":                {[]string{"--uri", "/v 1"}, "is no target"},
		"a line break":           {[]string{"--uri", "/v1\r\nX: y"}, "is no target"},
		"no hexadecimal":         {[]string{"--uri", "/v%zz"}, "is no target"},
		"letters beyond ASCII":   {[]string{"--uri", "/中"}, "is no target"},
		"braces":                 {[]string{"--uri", "/{id}"}, "is no target"},
		"a word for a time":      {[]string{"--time", "now"}, `--time "now" is no time`},
		"a time before all":      {[]string{"--time", "-1"}, "is no time"},
		"a time after all":       {[]string{"--time", "253402300800000"}, "is no time"},
		"a fraction":             {[]string{"--time", "1.5"}, "is no time"},
		"two providers":          {[]string{"own"}, "name one provider of the configuration, as in"},
	} {
		out, err := runCommand(t, append([]string{"sign", "own", "--config", config}, test.args...)...)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(out, "# What is signed") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if _, err := runCommand(t, "sign", "--config", config); err == nil || !strings.Contains(err.Error(), "name one provider of the configuration, as in") {
		t.Errorf("no provider: %v", err)
	}
}

// TestSignForCurl holds that curl sends the target that was signed.
func TestSignForCurl(t *testing.T) {
	config := signingConfig(t, t.TempDir())
	for target, options := range map[string]string{"/v1/x?a=b%20c": "", "/v1/../x": "--path-as-is", "/v1/.": "--path-as-is", "/v1/x?a[0]=1": "--globoff", "/it's": ""} {
		out, err := runCommand(t, "sign", "own", "--config", config, "--uri", target)
		_, line, _ := strings.Cut(out, "# The request:\n")
		if err != nil || !strings.Contains(line, strings.ReplaceAll("https://ai.example.com"+target, "'", `'\''`)) {
			t.Errorf("%s: %v\n%s", target, err, out)
		}
		for _, option := range []string{"--path-as-is", "--globoff"} {
			if strings.Contains(line, option) != (option == options) {
				t.Errorf("%s: %q in\n%s", target, option, line)
			}
		}
	}
}

// TestSignShowsATokenInTheQuery holds that a token whose place is the query stands there, as a placeholder, in what is signed
// and in the line for curl, and in no field.
func TestSignShowsATokenInTheQuery(t *testing.T) {
	dir := t.TempDir()
	path := signingConfig(t, dir)
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options, uri string
		want         []string
	}{
		"signed": {
			"", "/v1/x?a=b%20c",
			[]string{"POST /v1/x?a=b%20c&access_token=<access token>\n", "'https://ai.example.com/v1/x?a=b%20c&access_token=<access token>'"},
		},
		"not signed": {"signature {\ncontent {body}\nheader X-Sig {signature}\n}\n", "/v1/x", []string{"'https://ai.example.com/v1/x?access_token=<access token>'"}},
	} {
		text := strings.Replace(string(config), "{env.OWN_SECRET}\n", "{env.OWN_SECRET} {\nquery access_token\n}\n"+c.options, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := runCommand(t, "sign", "own", "--config", path, "--uri", c.uri)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", name, want, out)
			}
		}
		if strings.Contains(out, "Authorization") || strings.Contains(out, "%3C") {
			t.Errorf("%s: the token stands elsewhere:\n%s", name, out)
		}
	}
}

// TestVerifyOddFiles has files that no HTTP message was captured in as it was sent.
func TestVerifyOddFiles(t *testing.T) {
	dir := t.TempDir()
	config := signingConfig(t, dir)
	out, err := runCommand(t, "sign", "own", "--config", config, "--uri", "/v1/x")
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(out, "# The header fields:\n")
	fields, _, _ = strings.Cut(fields, "\n\n")
	good := "POST /v1/x HTTP/1.1\n" + fields + "\n\n"
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var wide []byte
	for _, unit := range utf16.Encode([]rune("\uFEFF" + good)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	for name, test := range map[string]struct {
		content, path, want string
		fails               bool
	}{
		"as it was":         {content: good, want: "the request verifies"},
		"a mark":            {content: "\xEF\xBB\xBF" + good, want: "note: the file begins with a byte order mark, which is left out\nthe request verifies"},
		"UTF-16":            {content: string(wide), want: "--request: is text in UTF-16", fails: true},
		"no length":         {content: strings.Replace(good, "\n", "\nContent-Length: 99999999999999999999\n", 1), want: "note: Content-Length is no number of bytes\nthe request verifies"},
		"many fields":       {content: strings.Replace(good, "\n", "\n"+strings.Repeat("X-More: 1\n", 100_000), 1), want: "the request verifies"},
		"bytes":             {content: "\x00\x01\x02\n\x03", want: "its head is no HTTP", fails: true},
		"nothing":           {content: "", want: "--request: is empty", fails: true},
		"an answer":         {content: "HTTP/1.1 200 OK\n\n", want: "--request: does not begin with a line like POST", fails: true},
		"a long first line": {content: "POST /" + strings.Repeat("/", 1<<20) + " HTTP/1.1\n\n", want: "--request: its first line is longer than 64 KiB", fails: true},
		"another's address": {content: strings.Replace(good, "/v1/x", "https://ai.example.com/v1/x", 1), want: "the request verifies"},
		"an address in it":  {content: strings.Replace(good, "/v1/x", "/v1/x?to=https://other.example.com/v1/x", 1), want: "it would if the target has no query", fails: true},
		"a key in a field":  {content: strings.Replace(good, "\n", "\nContent-Encoding: a-key-of-the-test-1\n", 1), want: "the body is taken as it is", fails: false},
		"a key in the path": {content: strings.Replace(good, "/v1/x", "/a-key-of-the-test-1/v1/x", 1), want: "it would if the path begins at /v1/x", fails: true},
		"a chunk too long":  {content: strings.Replace(good, "\n", "\nTransfer-Encoding: chunked\n", 1) + "ffffffffff\r\nx", want: "--request: its body is not chunked", fails: true},
		"a pipe":            {path: pipe, want: "--request: " + pipe + " is no regular file", fails: true},
		"a folder":          {path: dir, want: "is no regular file", fails: true},
		"a device":          {path: "/dev/zero", want: "is no regular file", fails: true},
	} {
		path := test.path
		if path == "" {
			path = filepath.Join(dir, "request.http")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := runCommand(t, "verify", "own", "--config", config, "--request", path)
		said := out
		if err != nil {
			said += err.Error()
		}
		if (err != nil) != test.fails || !strings.Contains(said, test.want) || strings.Contains(said, "a-key-of-the-test-1") {
			t.Errorf("%s: %v\n%.500s", name, err, out)
		}
	}
}
