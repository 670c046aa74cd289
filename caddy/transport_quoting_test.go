package alipaycaddy

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

// TestTransportHidesWhatIsNotContent has an upstream that quotes the signature that it
// was sent in each part of an answer that is not a success's content.
func TestTransportHidesWhatIsNotContent(t *testing.T) {
	for name, upstream := range map[string]func(w http.ResponseWriter, sign string){
		"early hints": func(w http.ResponseWriter, sign string) {
			w.Header().Set("Link", "<"+sign+">")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
		},
		"trailer": func(w http.ResponseWriter, sign string) {
			w.Header().Set("Trailer", "X-Quoted")
			io.WriteString(w, "content")
			w.Header().Set("X-Quoted", sign)
		},
		"trailer of a stream": func(w http.ResponseWriter, sign string) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Trailer", "X-Quoted")
			io.WriteString(w, "data: content\n\n")
			w.Header().Set("X-Quoted", sign)
		},
		"trailer of an error": func(w http.ResponseWriter, sign string) {
			w.Header().Set("Trailer", "X-Quoted")
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, "broken")
			w.Header().Set("X-Quoted", sign)
		},
		"redirect": func(w http.ResponseWriter, sign string) {
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(http.StatusFound)
			io.WriteString(w, "see "+sign)
		},
		"error as events": func(w http.ResponseWriter, sign string) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, "data: "+sign+"\n\n")
		},
		"name of a field": func(w http.ResponseWriter, sign string) {
			w.Header().Set("X-"+strings.NewReplacer("+", "", "/", "", "=", "").Replace(sign), "1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			signed := make(chan string, 1)
			g := answering(t, func(w http.ResponseWriter, r *http.Request) {
				sign := r.FormValue("sign")
				signed <- sign
				upstream(w, sign)
			})
			var seen strings.Builder
			trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
				return http.Header(header).Write(&seen)
			}}
			req := must(http.NewRequest("POST", "http://"+g.vars["gateway"]+anAPI, nil))
			resp := must(g.http.Do(req.WithContext(httptrace.WithClientTrace(t.Context(), trace))))
			defer resp.Body.Close()
			seen.Write(must(io.ReadAll(resp.Body)))
			resp.Header.Write(&seen)
			resp.Trailer.Write(&seen)
			sign := <-signed
			if len(sign) < 100 {
				t.Fatalf("signature %q", sign)
			}
			if what := strings.ToLower(seen.String()); strings.Contains(what, strings.ToLower(sign[:12])) {
				t.Errorf("the client sees %s", what)
			}
		})
	}
}
