package alipayai_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// witness keeps what is recorded, and hands it on to a recorder with a log and a vault.
type witness struct {
	*evidence.Recorder
	log bytes.Buffer
	dir string
	key *age.X25519Identity

	mu      sync.Mutex
	records []evidence.Record
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{dir: t.TempDir(), key: key}
	vault, err := evidence.NewVault(evidence.VaultOptions{Dir: w.dir, Recipients: []age.Recipient{key.Recipient()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vault.Close)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&w.log), zapcore.DebugLevel)
	w.Recorder = evidence.NewRecorder(evidence.Options{Logger: zap.New(core), Vault: vault})
	return w
}

func (w *witness) Record(r evidence.Record) {
	w.mu.Lock()
	w.records = append(w.records, r)
	w.mu.Unlock()
	w.Recorder.Record(r)
}

// sealed gives the records in the vault.
func (w *witness) sealed(t *testing.T) (records []evidence.Record) {
	t.Helper()
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "*.age"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := evidence.Open(f, w.key)
		if f.Close(); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// Each system error leaves one record with the whole request, in whatever shape it came, and without a credential.
func TestEvidenceOfEverySystemError(t *testing.T) {
	for name, test := range map[string]struct {
		format sandbox.Format
		fault  sandbox.Fault
		stream bool
		status int // of the upstream
		code   string
		around *upstream.RequestFields
	}{
		"500":                    {fault: sandbox.Fault{Kind: sandbox.SystemError500}, status: 500},
		"in a 200":               {fault: sandbox.Fault{Kind: sandbox.SystemError200}, status: 200},
		"OpenAI's shape":         {fault: sandbox.Fault{Kind: sandbox.SystemError200, Shape: sandbox.ShapeOpenAI}, status: 200},
		"Antom's shape":          {fault: sandbox.Fault{Kind: sandbox.SystemError200, Shape: sandbox.ShapeGlobal}, status: 200},
		"v2's shape":             {fault: sandbox.Fault{Kind: sandbox.SystemError200, Shape: sandbox.ShapeGateway}, status: 200},
		"another name":           {fault: sandbox.Fault{Kind: sandbox.SystemError500, Code: "UNKNOWN_EXCEPTION"}, status: 500, code: "UNKNOWN_EXCEPTION"},
		"500 for a stream":       {fault: sandbox.Fault{Kind: sandbox.SystemError500}, stream: true, status: 500},
		"a stream's first event": {fault: sandbox.Fault{Kind: sandbox.SystemErrorFirst}, stream: true, status: 200},
		"after content":          {fault: sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 3}, stream: true, status: 200},
		"after content, v2":      {fault: sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 3, Shape: sandbox.ShapeGateway}, stream: true, status: 200},
		"agent":                  {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 3}, status: 200},
		"agent, for a stream":    {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 3}, stream: true, status: 200},
		"agent, in place of it":  {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.SystemError500}, stream: true, status: 500},
		"a wrapped request": {fault: sandbox.Fault{Kind: sandbox.SystemError500}, status: 500,
			around: &upstream.RequestFields{Fields: map[string]string{"app_id": "{client_id}", "note": "{nonce}"}}},
		"a wrapped request, for a stream": {fault: sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 3}, stream: true, status: 200,
			around: &upstream.RequestFields{Fields: map[string]string{"app_id": "{client_id}", "note": "{nonce}"}}},
		"nothing of another kind": {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "BUSY"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWitness(t)
			if test.format == "" {
				test.format = sandbox.OpenAI
			}
			l := newLadder(t, []sandbox.Format{test.format, sandbox.OpenAI}, func(g *alipayai.Gateway) {
				g.Evidence = w
				g.Providers[0].RequestFields = test.around
			})
			test.fault.Times = 1
			l.upstreams[0].set(t, test.fault)
			body := chatBody("[[events:9]] a payload with 13812345678 in it")
			if test.stream {
				body = streamBody("[[events:9]] a payload with 13812345678 in it")
			}
			got := l.post(chatPath, body)
			records := w.sealed(t)
			if test.status == 0 {
				if len(records) != 0 || w.log.Len() != 0 {
					t.Errorf("%d records, log %s", len(records), &w.log)
				}
				return
			}
			if len(records) != 1 || len(w.records) != 1 || strings.Count(w.log.String(), "\n") != 1 {
				t.Fatalf("%d records sealed of %d, log %s", len(records), len(w.records), &w.log)
			}
			if test.code == "" {
				test.code = "SYSTEM_ERROR"
			}
			r, sent := records[0], l.upstreams[0].calls()[0]
			if !bytes.Equal(r.Request.Body, sent.body) || !strings.Contains(string(r.Request.Body), "13812345678") {
				t.Errorf("recorded %s, sent %s", r.Request.Body, sent.body)
			}
			if r.RequestID != got.header.Get("X-Request-Id") || r.Tenant != "acme" || r.Provider != "first" || r.Endpoint != "chat" ||
				r.Model != l.upstreams[0].model || r.Attempt != 1 || r.Code != test.code || r.Time.IsZero() {
				t.Errorf("recorded %+v", r)
			}
			// What the model had said is in the sealed record alone.
			if strings.Contains(w.log.String(), `You `) {
				t.Errorf("log %s", &w.log)
			}
			// Of a stream all that had come is kept, and its last event is what the log shows.
			if event := string(r.Response.Event); (event != "") != (test.status == 200 && (test.stream || test.format == sandbox.NextBuilder)) ||
				!strings.HasSuffix(strings.TrimSpace(string(r.Response.Body)), strings.TrimSpace(event)) && !strings.Contains(event, "error") {
				t.Errorf("event %q of %q", event, r.Response.Body)
			}
			if n := strings.Count(string(r.Response.Body), "data:"); test.fault.AfterEvents > 0 && n <= test.fault.AfterEvents {
				t.Errorf("%d events are recorded, want more than %d", n, test.fault.AfterEvents)
			}
			if r.Request.Method != "POST" || !strings.HasSuffix(r.Request.URL, l.upstreams[0].path) || r.Response.Status != test.status ||
				!strings.Contains(string(r.Response.Body), test.code) || r.Response.Header.Get("Date") == "" {
				t.Errorf("recorded %+v", r)
			}
			all, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range []string{"Authorization", "Signature"} {
				_, token, _ := strings.Cut(sent.header.Get(field), " ")
				for place, text := range map[string]string{"the record": string(all), "the log": w.log.String()} {
					if secret := sent.header.Get(field); secret != "" && strings.Contains(text, secret) || token != "" && strings.Contains(text, token) {
						t.Errorf("%s holds %s: %s", place, field, text)
					}
				}
			}
			if strings.Contains(w.log.String(), "13812345678") {
				t.Errorf("the log holds the payload: %s", &w.log)
			}
		})
	}
}

// Every attempt that ends so leaves a record of its own.
func TestEvidenceOfEveryProvider(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	l := newLadder(t, alipays, func(g *alipayai.Gateway) { g.Evidence = w })
	for _, u := range l.upstreams {
		u.set(t, sandbox.Fault{Kind: sandbox.SystemError500})
	}
	l.chat("hello")
	if records := w.sealed(t); len(records) != 2 || records[0].Provider == records[1].Provider || records[0].Attempt == records[1].Attempt {
		t.Errorf("recorded %+v", records)
	}
}
