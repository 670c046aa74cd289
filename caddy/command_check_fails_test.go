package alipaycaddy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/doctor"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

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

// step gives a step of a report.
func step(t *testing.T, r doctor.Report, name string) doctor.Step {
	t.Helper()
	i := slices.IndexFunc(r.Steps, func(s doctor.Step) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no step %s in %+v", name, r)
	}
	return r.Steps[i]
}
