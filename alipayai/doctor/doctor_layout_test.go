package doctor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// layoutProvider is newProvider's with a layout instead of the profile's.
func layoutProvider(t *testing.T, base string, patch string) (*upstream.Provider, error) {
	t.Helper()
	var changed struct {
		Signature struct {
			Content string            `json:"content"`
			Headers map[string]string `json:"headers"`
			Zone    string            `json:"zone"`
			Hash    string            `json:"hash"`
		} `json:"signature"`
	}
	if err := json.Unmarshal([]byte(patch), &changed); err != nil {
		return nil, err
	}
	var fields []signer.Field
	for name, value := range changed.Signature.Headers {
		fields = append(fields, signer.Field{Name: name, Value: value})
	}
	key, err := signer.ParseHMACKey(sandbox.DemoKeys()[1])
	if err != nil {
		return nil, err
	}
	keys, err := signer.NewRing(map[int]*signer.HMACKey{1: key})
	if err != nil {
		return nil, err
	}
	layout, err := signer.NewLayout(signer.LayoutConfig{ClientID: sandbox.DemoClientID, Keys: keys, Content: changed.Signature.Content, Fields: fields, Zone: changed.Signature.Zone, Hash: changed.Signature.Hash})
	if err != nil {
		return nil, err
	}
	return newProvider(t, base, func(p *upstream.Provider) { p.Scheme = layout }), nil
}

// Every layout that is tried can be configured, differs from all others, and has no weakness that a warning would name but that of a time in seconds.
func TestLayoutsCanBeConfigured(t *testing.T) {
	seen := make(map[string]bool)
	p := newProvider(t, "http://127.0.0.1:1", nil)
	options := layoutOptions(p, layoutTimes)
	if want := len(layoutContents)*len(layoutTimes)*len(layoutSignatures) - 1 + len(layoutOthers); len(options) != want || want+6 > MaxRequests {
		t.Errorf("%d layouts, want %d, which a check can try", len(options), want)
	}
	for _, o := range options {
		changed, err := layoutProvider(t, "http://127.0.0.1:1", o.patch)
		if err != nil {
			t.Errorf("%s: %v", o.text, err)
			continue
		}
		if seen[o.text] || !o.signs {
			t.Errorf("given twice, or not marked as one that signs: %s", o.text)
		}
		seen[o.text] = true
		// One that is asked for the time in seconds has the weakness of it.
		if warnings := changed.Scheme.(*signer.Layout).Traits().Warnings; (len(warnings) > 0) != (strings.Contains(o.text, "{time_s}") || strings.Contains(o.text, "zone")) {
			t.Errorf("%s\nwarns of %q", o.text, warnings)
		}
		if more := layoutOptions(changed, layoutTimes); more != nil {
			t.Errorf("a layout that is configured would be replaced by %d others", len(more))
		}
	}
	if p.Verify = upstream.VerifyRequire; !strings.HasSuffix(layoutOptions(p, layoutTimes)[0].text, "\nverify_response if_present") {
		t.Error("answers are still required to be signed, by a block that does not say how")
	}
}

// However many layouts are tried, no signature of any is in the report; without permission none is tried.
func TestReportsHoldNoSignatureOfALayout(t *testing.T) {
	for name, probe := range map[string]bool{"permitted": true, "not permitted": false} {
		t.Run(name, func(t *testing.T) {
			var secrets []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/oauth2/token" {
					fmt.Fprint(w, `{"access_token":"at-of-this-test-0123456789","expires_in":600}`)
					return
				}
				signature := r.Header.Get("X-Signature")
				if _, after, ok := strings.Cut(r.Header.Get("Signature"), "signature="); ok {
					signature = after
				} else if signature == "" {
					signature = r.Header.Get("Signature")
				}
				secrets = append(secrets, signature)
				said, _ := json.Marshal(map[string]string{"code": "INVALID_SIGNATURE", "message": "got " + signature + ", of " + strings.ToUpper(signature)})
				w.WriteHeader(http.StatusUnauthorized)
				w.Write(said)
			}))
			defer server.Close()
			report := Check(t.Context(), newProvider(t, server.URL, nil), Options{
				ProbeSignature: probe,
				With: func(patches []string) (*upstream.Provider, error) {
					return layoutProvider(t, server.URL, patches[len(patches)-1])
				},
			})
			want := 1
			if probe {
				want += len(layoutOptions(newProvider(t, server.URL, nil), layoutTimes))
			}
			if len(secrets) != want || report.OK() || len(report.Options()) > 0 {
				t.Errorf("%d requests for the models, want %d; options %q", len(secrets), want, report.Options())
			}
			if s := stepOf(t, report, stepSignature); !strings.Contains(s.Advice, "layouts") || len(s.Suspects) != 2 {
				t.Errorf("step %+v", s)
			}
			object, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range secrets {
				if strings.Contains(strings.ToLower(string(object)), strings.ToLower(secret)) {
					t.Errorf("signature %q is in the report: %s", secret, object)
				}
			}
		})
	}
}
