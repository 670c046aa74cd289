package alipaycaddy

import (
	"encoding/json"
	"encoding/pem"
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
