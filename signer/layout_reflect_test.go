package signer

import (
	"net/http"
	"testing"
)

// An answer that sends its request's signature back is seen, wherever the signature stands and in whatever form the
// two directions have it; another signature is not, and neither is a field that cannot be read.
func TestLayoutReflects(t *testing.T) {
	fields := map[string]string{
		"alone": "{signature}", "beside the time": "t={time},v1={signature}", "beside a digest": "{body_sha256};{signature}",
		"beside the client": "{client_id}:{signature}", "beside all": "{key_version},{nonce},{time_s},{signature}",
	}
	forms := map[string]string{"hex": "{hex}", "HEX": "{HEX}", "base64": "{base64}", "base64url": "{base64url}", "base64_escaped": "{base64_escaped}"}
	for request, value := range fields {
		for encoding := range forms {
			for form, answer := range forms {
				l := must(NewLayout(LayoutConfig{
					ClientID: "app", Keys: layoutKeys(t), Encoding: encoding, Content: `{body}`, Fields: []Field{{"X-Sig", value}},
					AnswerContent: `{body}`, AnswerFields: []Field{{"X-Answer", "v=" + answer}},
				}))(t)
				m := chatMessage()
				m.Nonce = "n-1"
				sent, back := header(must(l.Sign(m))(t).Fields), header(must(l.SignResponse(m))(t).Fields)
				if !l.Reflects(sent, back) {
					t.Errorf("%s, %s: an answer in %s does not reflect: %v, %v", request, encoding, form, sent, back)
				}
				other := m
				other.Body = []byte("{}")
				if l.Reflects(sent, header(must(l.SignResponse(other))(t).Fields)) {
					t.Errorf("%s, %s: another signature in %s reflects", request, encoding, form)
				}
				for _, broken := range []http.Header{{}, {"X-Answer": {"v="}}, {"X-Answer": {back.Get("X-Answer"), back.Get("X-Answer")}}, {"X-Answer": {back.Get("X-Answer") + "!"}}} {
					if l.Reflects(sent, broken) || l.Reflects(broken, back) {
						t.Errorf("%s, %s: %v reflects", request, encoding, broken)
					}
				}
			}
		}
	}
}
