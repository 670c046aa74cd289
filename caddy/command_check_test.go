package alipaycaddy

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/doctor"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// checkRig is a simulated API behind TLS, and a configuration of it.
type checkRig struct {
	t     *testing.T
	token string // the path of the token endpoint
	http  string // the option versions of the transport before the check; empty for none
	api   *sandbox.Server
	file  string
	base  string
	trust string
}

func newCheckRig(t *testing.T, config sandbox.Config) *checkRig {
	t.Helper()
	api, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(api)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	trust := filepath.Join(dir, "trust.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(trust, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return &checkRig{t: t, token: "/oauth2/token", api: api, file: filepath.Join(dir, "Caddyfile"), base: server.URL, trust: trust}
}

// write writes the configuration, with these options of the provider. Those that a
// report gives stand in it as they are given, but where a block is there already.
func (g *checkRig) write(options ...string) {
	g.t.Helper()
	transport := fmt.Sprintf("tls_trust_pool file %s\n", g.trust)
	if g.http != "" && !strings.Contains(strings.Join(options, "\n"), "\tversions ") {
		transport += "versions " + g.http + "\n"
	}
	blocks := map[string]string{
		"transport http {":       transport,
		"token <url> <secret> {": "",
	}
	var others strings.Builder
	for _, option := range options {
		first, rest, _ := strings.Cut(option, "\n")
		if _, ok := blocks[first]; ok {
			blocks[first] += strings.TrimSuffix(rest, "}")
			continue
		}
		others.WriteString(option + "\n")
	}
	for first, inside := range blocks {
		first = strings.Replace(first, "<url> <secret>", g.base+g.token+" {env.TEST_CHECK_OAUTH}", 1)
		others.WriteString(first + "\n" + inside + "}\n")
	}
	text := fmt.Sprintf("{\nadmin off\nalipayai {\nprovider alipay {\nprofile alipay\nenvironment sandbox\nbase_url %s\nclient_id %s\nkey 1 {env.TEST_CHECK_KEY}\n%s}\n}\n}\n",
		g.base, sandbox.DemoClientID, others.String())
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// check runs the command and gives its report, its output and whether it failed.
func (g *checkRig) check(flags ...string) (report doctor.Report, output string, failed bool) {
	g.t.Helper()
	g.t.Setenv("TEST_CHECK_KEY", string(sandbox.DemoKeys()[1]))
	g.t.Setenv("TEST_CHECK_OAUTH", sandbox.DemoOAuthSecret)
	output, err := runCommand(g.t, append([]string{"check", "alipay", "--config", g.file, "--json"}, flags...)...)
	var reports []doctor.Report
	if decodeErr := json.Unmarshal([]byte(output), &reports); decodeErr != nil || len(reports) != 1 {
		g.t.Fatalf("%v, %v: printed %s", err, decodeErr, output)
	}
	return reports[0], output, err != nil
}

// step gives a step of a report.
func step(t *testing.T, r doctor.Report, name string) doctor.Step {
	t.Helper()
	i := slices.IndexFunc(r.Steps, func(s doctor.Step) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no step %s in %+v", name, r)
	}
	return r.Steps[i]
}

// What says where the simulator's variants of answers have what.
const (
	errorNames  = "answer {\n\tcode errNo\n\tmessage errText\n\trequest_id traceId\n\tretry_after retryMs ms\n}"
	tokenAnswer = "token <url> <secret> {\n\tanswer {\n\t\taccess_token data.token\n\t\texpires data.ttl ms\n\t}\n}"
)

// The signature blocks of the simulator's variants that sign otherwise.
const (
	signedLines = `signature {
	content "{method}\n{uri}\n{client_id}\n{time_ms}\n{body_sha256}"
	header Client-Id "{client_id}"
	header Request-Time "{time_ms}"
	header Signature "algorithm=HMAC-SHA256,keyVersion={key_version},signature={base64_escaped}"
}`
	signedHex = `signature {
	content "{method} {uri}\n{client_id}.{time_ms}.{body}"
	header Client-Id "{client_id}"
	header Request-Time "{time_ms}"
	header X-Signature "{hex}"
}`
	signedSeconds = `signature {
	content "{method} {uri}\n{client_id}.{time_s}.{body}"
	header Client-Id "{client_id}"
	header Request-Time "{time_s}"
	header Signature "algorithm=HMAC-SHA256,keyVersion={key_version},signature={base64_escaped}"
}`
)

// signedWith is the profile's own layout as a block, with one thing of it replaced, and a further option.
func signedWith(from, to, option string) string {
	block := `signature {
	content "{method} {uri}\n{client_id}.{time_ms}.{body}"
	header Client-Id "{client_id}"
	header Request-Time "{time_ms}"
	header Signature "algorithm=HMAC-SHA256,keyVersion={key_version},signature={base64_escaped}"
}`
	if from != "" {
		block = strings.ReplaceAll(block, from, to)
	}
	if option != "" {
		block = strings.TrimSuffix(block, "}") + "\t" + option + "\n}"
	}
	return block
}

// Of an API that departs in one way, the check finds the option that says so and no other; with that option in the
// configuration, as it is printed, all is well.
func TestCheckFindsTheOption(t *testing.T) {
	tests := map[string]struct {
		variants []sandbox.Variant
		probe    bool // without it the option cannot be found
		want     []string
	}{
		"plain":      {},
		"token json": {[]sandbox.Variant{sandbox.VariantTokenJSON}, false, []string{"token <url> <secret> {\n\tauth json\n}"}},
		"token post": {[]sandbox.Variant{sandbox.VariantTokenPost}, false, []string{"token <url> <secret> {\n\tauth form\n}"}},
		"paths": {[]sandbox.Variant{sandbox.VariantPaths}, false, []string{
			"path chat /api/v1/chat/completions\npath embeddings /api/v1/embeddings\npath models /api/v1/models"}},
		"errors":       {[]sandbox.Variant{sandbox.VariantErrors}, true, []string{"on E1002 resign", "on E1003 refresh_token"}},
		"envelope":     {[]sandbox.Variant{sandbox.VariantEnvelope}, false, []string{"answer {\n\tinside response\n\tsuccess code A00000\n}"}},
		"error names":  {[]sandbox.Variant{sandbox.VariantErrorNames}, true, []string{errorNames}},
		"token answer": {[]sandbox.Variant{sandbox.VariantTokenAnswer}, false, []string{tokenAnswer}},
		"an envelope, and names of errors": {[]sandbox.Variant{sandbox.VariantErrorNames, sandbox.VariantEnvelope}, true, []string{
			strings.Replace(errorNames, "answer {\n", "answer {\n\tinside response\n\tsuccess code A00000\n", 1)}},
		"an envelope, and errors with status 200": {[]sandbox.Variant{sandbox.VariantErrors, sandbox.VariantEnvelope, sandbox.VariantTokenHeader}, true, []string{
			"token <url> <secret> {\n\theader X-Access-Token\n}", "answer {\n\tinside response\n\tsuccess code A00000\n}", "on E1002 resign", "on E1003 refresh_token"}},
		"all of an answer": {
			[]sandbox.Variant{sandbox.VariantErrorNames, sandbox.VariantEnvelope, sandbox.VariantTokenAnswer, sandbox.VariantTokenJSON, sandbox.VariantTokenHeader, sandbox.VariantHex}, true,
			[]string{
				"token <url> <secret> {\n\tauth json\n}", tokenAnswer, "token <url> <secret> {\n\theader X-Access-Token\n}", signedHex,
				strings.Replace(errorNames, "answer {\n", "answer {\n\tinside response\n\tsuccess code A00000\n", 1),
			}},
		"sha512": {[]sandbox.Variant{sandbox.VariantSHA512}, true, []string{signedWith("", "", "hash sha512")}},
		"zone":   {[]sandbox.Variant{sandbox.VariantZone}, true, []string{signedWith("{time_ms}", "{time_local}", "zone +08:00")}},
		"digest": {[]sandbox.Variant{sandbox.VariantDigest}, true, []string{signedWith("{body}", "{body_sha256_base64}", "")}},
		"base": {[]sandbox.Variant{sandbox.VariantBase}, false, []string{
			"path chat /gateway/v1/chat/completions\npath embeddings /gateway/v1/embeddings\npath models /gateway/v1/models"}},
		"http2":        {[]sandbox.Variant{sandbox.VariantHTTP2}, false, []string{"transport http {\n\tversions 2\n}"}},
		"header case":  {[]sandbox.Variant{sandbox.VariantHeaderCase}, true, []string{"transport http {\n\tversions 1.1\n}"}},
		"wrapped":      {[]sandbox.Variant{sandbox.VariantWrapped}, false, []string{"request {\n\tinside biz_content string\n}"}},
		"lines":        {[]sandbox.Variant{sandbox.VariantLines}, false, []string{"answer {\n\tstream {\n\t\tform json\n\t\tlast is_end true\n\t}\n}"}},
		"named events": {[]sandbox.Variant{sandbox.VariantNamedEvents}, false, []string{"answer {\n\tstream {\n\t\tname type\n\t\tevents delta\n\t\tend end\n\t}\n}"}},
		"a base, in China's time, wrapped, and streams of lines": {
			[]sandbox.Variant{sandbox.VariantBase, sandbox.VariantZone, sandbox.VariantWrapped, sandbox.VariantLines, sandbox.VariantTokenJSON}, true,
			[]string{
				"token <url> <secret> {\n\tauth json\n}", signedWith("{time_ms}", "{time_local}", "zone +08:00"),
				"path chat /gateway/v1/chat/completions\npath embeddings /gateway/v1/embeddings\npath models /gateway/v1/models",
				"request {\n\tinside biz_content string\n}", "answer {\n\tstream {\n\t\tform json\n\t\tlast is_end true\n\t}\n}",
			},
		},
		"http1":        {[]sandbox.Variant{sandbox.VariantHTTP1}, false, []string{"transport http {\n\tversions 1.1\n}"}},
		"token header": {[]sandbox.Variant{sandbox.VariantTokenHeader}, false, []string{"token <url> <secret> {\n\theader X-Access-Token\n}"}},
		"skew":         {[]sandbox.Variant{sandbox.VariantSkew}, false, nil},
		"layout":       {[]sandbox.Variant{sandbox.VariantLayout}, true, []string{signedLines}},
		"hex":          {[]sandbox.Variant{sandbox.VariantHex}, true, []string{signedHex}},
		"seconds":      {[]sandbox.Variant{sandbox.VariantSeconds}, true, []string{signedSeconds}},
		"another layout, token and paths": {
			[]sandbox.Variant{sandbox.VariantLayout, sandbox.VariantTokenPost, sandbox.VariantTokenHeader, sandbox.VariantPaths}, true,
			[]string{
				"token <url> <secret> {\n\tauth form\n}", "token <url> <secret> {\n\theader X-Access-Token\n}", signedLines,
				"path chat /api/v1/chat/completions\npath embeddings /api/v1/embeddings\npath models /api/v1/models",
			},
		},
		"another unit and codes": {
			[]sandbox.Variant{sandbox.VariantSeconds, sandbox.VariantErrors, sandbox.VariantSkew}, true,
			[]string{signedSeconds, "on E1002 resign", "on E1003 refresh_token"},
		},
		"paths that errors hide": {[]sandbox.Variant{sandbox.VariantPaths, sandbox.VariantErrors, sandbox.VariantLayout}, true, []string{
			signedLines, "path chat /api/v1/chat/completions\npath embeddings /api/v1/embeddings\npath models /api/v1/models",
			"on E1002 resign", "on E1003 refresh_token"}},
		"several": {[]sandbox.Variant{sandbox.VariantHTTP1, sandbox.VariantTokenJSON, sandbox.VariantPaths}, false, []string{
			"transport http {\n\tversions 1.1\n}", "token <url> <secret> {\n\tauth json\n}",
			"path chat /api/v1/chat/completions\npath embeddings /api/v1/embeddings\npath models /api/v1/models"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := newCheckRig(t, sandbox.Config{Variants: tc.variants})
			if slices.Contains(tc.variants, sandbox.VariantBase) {
				g.token = "/gateway/oauth2/token"
			}
			if slices.Contains(tc.variants, sandbox.VariantHTTP2) {
				g.http = "1.1"
			}
			g.write()
			var flags []string
			if tc.probe {
				flags = []string{"--probe-signature"}
			}
			if slices.ContainsFunc(tc.variants, func(v sandbox.Variant) bool {
				return v == sandbox.VariantWrapped || v == sandbox.VariantLines || v == sandbox.VariantNamedEvents
			}) {
				flags = append(flags, "--chat") // nothing else shows it
			}
			report, output, failed := g.check(flags...)
			if got := report.Options(); !slices.Equal(got, tc.want) {
				t.Errorf("options\n got %q\nwant %q\n%s", got, tc.want, output)
			}
			if failed != (len(tc.want) > 0) {
				t.Errorf("failed: %t", failed)
			}
			if arrived := g.arrived(); report.Requests != arrived || arrived > doctor.MaxRequests {
				t.Errorf("%d requests are reported, %d arrived", report.Requests, arrived)
			}
			g.write(report.Options()...)
			report, output, failed = g.check("--probe-signature", "--chat")
			if got := report.Options(); failed || len(got) > 0 {
				t.Errorf("with the options found, the check finds %q:\n%s", got, output)
			}
			for _, s := range report.Steps {
				if s.Status != doctor.OK && !slices.Contains(tc.variants, sandbox.VariantSkew) {
					t.Errorf("with the options found, step %s is %s:\n%s", s.Name, s.Status, output)
				}
			}
		})
	}
}

// arrived is how many requests the API has had, those for tokens among them.
func (g *checkRig) arrived() (n int) {
	for _, calls := range g.api.Stats().Paths {
		n += int(calls)
	}
	return n
}

// The option is found, too, where the profile says where tokens are had, and the configuration says nothing.
func TestCheckOfTheProfilesOwnTokens(t *testing.T) {
	g := newCheckRig(t, sandbox.Config{Variants: []sandbox.Variant{sandbox.VariantTokenJSON, sandbox.VariantTokenHeader}})
	text := fmt.Sprintf("{\nadmin off\nalipayai {\nprovider alipay {\nprofile sandbox\nbase_url %s\ntransport http {\ntls_trust_pool file %s\n}\n}\n}\n}\n", g.base, g.trust)
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	report, output, _ := g.check()
	want := []string{"token <url> <secret> {\n\tauth json\n}", "token <url> <secret> {\n\theader X-Access-Token\n}"}
	if got := report.Options(); !slices.Equal(got, want) {
		t.Errorf("options\n got %q\nwant %q\n%s", got, want, output)
	}
}

// A clock that is off is no reason to change an option: the gateway goes by the upstream's.
func TestCheckClock(t *testing.T) {
	g := newCheckRig(t, sandbox.Config{Variants: []sandbox.Variant{sandbox.VariantSkew}})
	g.write()
	report, output, failed := g.check("--probe-signature", "--chat")
	s := step(t, report, "clock")
	if failed || s.Status != doctor.Warn || !strings.Contains(s.Advice, "10m0s behind") || len(report.Options()) > 0 {
		t.Errorf("failed: %t\n%s", failed, output)
	}
}

// Without permission to send wrong signatures none is sent, and the suspects are named.
func TestCheckNamesSuspects(t *testing.T) {
	for _, variant := range []sandbox.Variant{sandbox.VariantLayout, sandbox.VariantHex, sandbox.VariantSeconds} {
		t.Run(string(variant), func(t *testing.T) {
			g := newCheckRig(t, sandbox.Config{Variants: []sandbox.Variant{variant}})
			g.write()
			report, output, failed := g.check()
			s := step(t, report, "signature")
			if !failed || s.Status != doctor.Fail || !strings.Contains(s.Advice, "--probe-signature") || len(report.Options()) > 0 {
				t.Errorf("failed: %t\n%s", failed, output)
			}
			if report.Requests > 3 {
				t.Errorf("%d requests", report.Requests)
			}
		})
	}
}

// The command ends with an error, and Caddy with status 1, whenever something is wrong.
func TestCheckFails(t *testing.T) {
	g := newCheckRig(t, sandbox.Config{})
	g.write()
	missing := filepath.Join(t.TempDir(), "Caddyfile")
	noProvider := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(noProvider, []byte("{\n\tadmin off\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_CHECK_KEY", string(sandbox.DemoKeys()[1]))
	t.Setenv("TEST_CHECK_OAUTH", "another-secret-of-this-app")
	tests := map[string]struct {
		args []string
		want []string
	}{
		"unknown provider":     {[]string{"check", "alipai", "--config", g.file}, []string{`"alipai"`, "declares alipay"}},
		"two providers":        {[]string{"check", "a", "b", "--config", g.file}, []string{"accepts at most 1 arg"}},
		"no such file":         {[]string{"check", "--config", missing}, []string{missing}},
		"unknown adapter":      {[]string{"check", "--config", g.file, "--adapter", "yml"}, []string{"yml"}},
		"no provider declared": {[]string{"check", "--config", noProvider}, []string{"declares no provider"}},
		"wrong secret":         {[]string{"check", "--config", g.file}, []string{"a step has failed"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			output, err := runCommand(t, tc.args...)
			if err == nil {
				t.Fatalf("no error; printed %s", output)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not have %q", err, want)
				}
			}
			if strings.Contains(output, "another-secret") {
				t.Errorf("printed the secret: %s", output)
			}
		})
	}
}

// Without a name every provider is checked, in order; the text is a table for each.
func TestCheckOfAllProviders(t *testing.T) {
	g := newCheckRig(t, sandbox.Config{})
	text := fmt.Sprintf(`{
	admin off
	alipayai {
		provider b {
			profile sandbox
			base_url %[1]s
			transport http {
				tls_trust_pool file %[2]s
			}
		}
		provider a {
			profile sandbox
			base_url %[1]s
			transport http {
				tls_trust_pool file %[2]s
			}
		}
	}
}

a-site.example {
	tls /nothing/there.pem /nothing/there.key
	respond "a site that cannot be set up here"
}
`, g.base, g.trust)
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := runCommand(t, "check", "--config", g.file)
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	a, b := strings.Index(output, "provider a (profile sandbox, sandbox) at "), strings.Index(output, "\nprovider b (")
	if a != 0 || b < 0 || strings.Count(output, "\nmodels       ok ") != 2 {
		t.Errorf("printed\n%s", output)
	}
}

func TestMergePatch(t *testing.T) {
	// RFC 7396, appendix A, those with objects.
	for _, tc := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var target, patch any
		if err := errors.Join(json.Unmarshal([]byte(tc[0]), &target), json.Unmarshal([]byte(tc[1]), &patch)); err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(mergePatch(target, patch)); string(got) != tc[2] {
			t.Errorf("%s with %s is %s, want %s", tc[0], tc[1], got, tc[2])
		}
	}
}
