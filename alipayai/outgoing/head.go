package outgoing

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// writePlain writes a request as [http.Request.Write] does, byte for byte and with
// the same traces, without its allocations. It does so for what the gateway
// composes, and reports false, with nothing written, for what takes more thought.
// The request is plain.
func writePlain(w *bufio.Writer, req *http.Request, trace *httptrace.ClientTrace) (bool, error) {
	const fields = 16
	body, host, agent := bodyReader(req.Body), req.Host, req.Header["User-Agent"]
	if host == "" {
		host = req.URL.Host
	}
	target := req.URL.RequestURI()
	if body == nil || int64(body.Len()) != req.ContentLength || body.Len() == 0 || len(req.TransferEncoding) > 0 || req.Close ||
		req.Method == "" || len(agent) == 0 || textproto.TrimString(agent[0]) == "" || len(req.Header) > fields ||
		strings.IndexFunc(host, isUnusualInHost) >= 0 || host == "" || strings.IndexFunc(target, isControl) >= 0 {
		return false, nil
	}
	var room [fields]string
	names := room[:0]
	for name := range req.Header {
		switch name {
		case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer":
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)

	// A bufio.Writer keeps its first error until Flush.
	_, _ = w.WriteString(req.Method)
	_ = w.WriteByte(' ')
	_, _ = w.WriteString(target)
	_, _ = w.WriteString(" HTTP/1.1\r\n")
	writeField(w, "Host", host)
	writeField(w, "User-Agent", agent[0])
	_, _ = w.WriteString("Content-Length: ")
	_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), req.ContentLength, 10))
	_, _ = w.WriteString("\r\n")
	for _, name := range names {
		writeField(w, name, req.Header[name]...)
	}
	if trace.WroteHeaderField != nil {
		trace.WroteHeaderField("Host", []string{host})
		trace.WroteHeaderField("User-Agent", trimmed(agent[:1]))
		trace.WroteHeaderField("Content-Length", []string{strconv.FormatInt(req.ContentLength, 10)})
		for _, name := range names {
			trace.WroteHeaderField(name, trimmed(req.Header[name]))
		}
	}
	_, _ = w.WriteString("\r\n")
	if trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	_, err := body.WriteTo(w)
	_ = req.Body.Close()
	if trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
	return true, err
}

// writeField writes a field, a line for each value.
func writeField(w *bufio.Writer, name string, values ...string) {
	for _, value := range values {
		_, _ = w.WriteString(name)
		_, _ = w.WriteString(": ")
		_, _ = w.WriteString(textproto.TrimString(value))
		_, _ = w.WriteString("\r\n")
	}
}

// trimmed gives values as they are written.
func trimmed(values []string) []string {
	for i, value := range values {
		if len(textproto.TrimString(value)) < len(value) {
			values = slices.Clone(values)
			for j := i; j < len(values); j++ {
				values[j] = textproto.TrimString(values[j])
			}
			break
		}
	}
	return values
}

// isUnusualInHost reports whether net/http might write a host with r otherwise.
func isUnusualInHost(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".-_:[]", r))
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// bodyReader gives what a body in memory is read from; nil for another body, whose
// reading may have to wait. net/http looks in the same way (isKnownInMemoryReader).
func bodyReader(body any) *bytes.Reader {
	if b, ok := body.(*Body); ok {
		return &b.Reader
	}
	if reflect.TypeOf(body) != readerBody {
		return nil
	}
	r, _ := reflect.TypeAssert[*bytes.Reader](reflect.ValueOf(body).Field(0))
	return r
}
