package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a call carries, as the benchmark defines it.
const (
	requestSize  = 700  // bytes of a request's body
	answerSize   = 1200 // bytes of a JSON answer's body
	streamEvents = 50   // events of a streamed answer, its [DONE] included
)

const (
	// tokenPath is where the upstream grants access tokens.
	tokenPath = "/oauth2/token"
	// brokenPath is below which every call is a system error.
	brokenPath = "/broken"
)

const (
	modelName = "bench-1"
	// slowModel is the model whose streams take slowEvery from event to event.
	slowModel = "bench-slow"
	slowEvery = time.Second
)

var (
	streamAsked = []byte(`"stream":true`)
	slowAsked   = []byte(`"model":"` + slowModel + `"`)
	streamEnd   = []byte("data: [DONE]\n\n")
)

// serveUpstream answers every call at once with the same bytes, so that it takes
// as little of the machine as net/http allows.
func serveUpstream() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: upstream(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // ends with the process
	return l.Addr().String(), nil
}

// upstream is an OpenAI endpoint, with a token endpoint beside it.
func upstream() http.Handler {
	answer, events := answerBody(), eventBodies()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+tokenPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"bench-token","token_type":"Bearer","expires_in":1800}`)
	})
	mux.HandleFunc("POST "+brokenPath+"/v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"code":"SYSTEM_ERROR","message":"broken"}`)
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) < requestSize-translated {
			http.Error(w, "the body did not arrive whole", http.StatusBadRequest)
			return
		}
		if !bytes.Contains(body, streamAsked) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
			w.Write(answer)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		flusher := http.NewResponseController(w)
		var pause <-chan time.Time
		if bytes.Contains(body, slowAsked) {
			ticker := time.NewTicker(slowEvery)
			defer ticker.Stop()
			pause = ticker.C
		}
		for i, event := range events {
			if i > 0 && pause != nil {
				select {
				case <-pause:
				case <-r.Context().Done():
					return
				}
			}
			w.Write(event)
			if flusher.Flush() != nil {
				return
			}
		}
	})
	return mux
}

// requestBody is a chat request of requestSize bytes.
func requestBody(model string, stream bool) []byte {
	head := `{"model":"` + model + `","temperature":0.2,`
	if stream {
		head += string(streamAsked) + ","
	}
	return fill(head+`"messages":[{"role":"system","content":"You answer in one sentence."},{"role":"user","content":"`,
		requestTail, requestSize)
}

// translated is how many bytes less a request may have that came in another dialect.
const translated = 100

// requestTail is what follows the prompt in a request.
const requestTail = `"}]}`

// answerBody is a chat completion of answerSize bytes.
func answerBody() []byte {
	return fill(`{"id":"chatcmpl-bench","object":"chat.completion","created":1767225600,"model":"bench-1",`+
		`"choices":[{"index":0,"message":{"role":"assistant","content":"`,
		`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":150,"completion_tokens":230,"total_tokens":380}}`,
		answerSize)
}

// eventBodies are the events of a streamed chat completion, of which the first has the role and no content, as OpenAI's.
func eventBodies() [][]byte {
	const head = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"model":"bench-1",` +
		`"choices":[{"index":0,"delta":`
	events := make([][]byte, 0, streamEvents)
	events = append(events, []byte(head+`{"role":"assistant","content":""},"finish_reason":null}]}`+"\n\n"))
	for len(events) < streamEvents-2 {
		events = append(events, []byte(head+`{"content":" lorem ipsum"},"finish_reason":null}]}`+"\n\n"))
	}
	return append(events, []byte(head+`{},"finish_reason":"stop"}]}`+"\n\n"), streamEnd)
}

// fill is head, prose and tail, size bytes together.
func fill(head, tail string, size int) []byte {
	const prose = "lorem ipsum dolor sit amet "
	n := size - len(head) - len(tail)
	return []byte(head + strings.Repeat(prose, n/len(prose)+1)[:n] + tail)
}
