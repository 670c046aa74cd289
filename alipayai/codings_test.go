package alipayai_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// Answers that proxies compress are read in whichever coding HTTP names, and a failure says which one is not.
func TestCodingsOfAnswers(t *testing.T) {
	in := func(open func(io.Writer) io.WriteCloser, text string) string {
		var b bytes.Buffer
		z := open(&b)
		_, _ = io.WriteString(z, text)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	zlibs := func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
	gzips := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	raw := func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, flate.BestSpeed); return z }
	zstds := func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }
	stream := chunksOf(`"delta":{"role":"assistant","content":"x"}`, `"delta":{},"finish_reason":"stop"`)
	for kind, sent := range map[string]string{"whole": wholeAnswer, "stream": stream} {
		for name, c := range map[string]struct {
			codings []string // as lines of the header
			text    string
			fails   string // what the failure says; empty for none
		}{
			"gzip":            {[]string{"gzip"}, in(gzips, sent), ""},
			"deflate":         {[]string{"deflate"}, in(zlibs, sent), ""},
			"deflate, raw":    {[]string{"Deflate"}, in(raw, sent), ""},
			"zstd":            {[]string{"zstd"}, in(zstds, sent), ""},
			"deflate in gzip": {[]string{"deflate, gzip"}, in(gzips, in(zlibs, sent)), ""},
			"by two proxies":  {[]string{"deflate", "identity", "gzip"}, in(gzips, in(zlibs, sent)), ""},
			// https://github.com/freelensapp/freelens-ai-extension/issues/272
			"gzip, only said":  {[]string{"gzip"}, sent, ""},
			"zlib, only said":  {[]string{"deflate"}, sent, ""},
			"zstd, only said":  {[]string{"zstd"}, sent, ""},
			"both, only said":  {[]string{"deflate, gzip"}, sent, ""},
			"one, only said":   {[]string{"deflate, gzip"}, in(gzips, sent), ""},
			"br, only said":    {[]string{"br"}, sent, ""},
			"only said":        {[]string{"utf-8"}, sent, ""},
			"deflate, cut":     {[]string{"deflate"}, in(zlibs, sent)[:30], "the"},
			"brotli":           {[]string{"br"}, "\x0b\x02\x80" + strings.Repeat("\xff", 40), "it came in Content-Encoding br, which was not asked for"},
			"brotli in gzip":   {[]string{"br, gzip"}, in(gzips, "\x0b\x02\x80"), "it came in Content-Encoding gzip, which was not asked for"},
			"more than enough": {[]string{"gzip,gzip,gzip,gzip,gzip"}, in(gzips, in(gzips, in(gzips, in(gzips, in(gzips, sent))))), "it came in Content-Encoding gzip"},
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Parallel()
				r := startRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", map[string]string{"whole": "application/json", "stream": "text/event-stream"}[kind])
					w.Header()["Content-Encoding"] = c.codings
					_, _ = io.WriteString(w, c.text)
				}), plainProvider, first(anyModel))
				body := `{"model":"m","messages":[{"role":"user","content":"q"}]}`
				if kind == "stream" {
					body = with(body, `"stream":true`)
				}
				got := r.post("/v1/chat/completions", body)
				if c.fails == "" && (got.status != http.StatusOK || got.body != sent || got.header.Get("Content-Encoding") != "") {
					t.Errorf("%d %q", got.status, got.body)
				}
				if c.fails != "" && (got.status != http.StatusBadGateway || !strings.Contains(got.body, c.fails)) {
					t.Errorf("%d %q", got.status, got.body)
				}
			})
		}
	}
}
